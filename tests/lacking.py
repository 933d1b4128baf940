from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest


def lacking(what: str, kind: str = "") -> NoReturn:
    """End a test that needs what this machine lacks: skipped, but failed where all must run.

    `FVLM_TEST_LACKS` names kinds of things that are known to be missing even there.
    """
    known = kind and kind in os.environ.get("FVLM_TEST_LACKS", "").split()
    if os.environ.get("CI") == "true" and not known:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def peer_program(name: str) -> Path:
    """A program of the environment of tools that tests compare with (`make test-full`)."""
    folder = os.environ.get("FVLM_TEST_PEERS")
    if not folder:
        lacking(f"{name}: FVLM_TEST_PEERS does not name the environment that holds it")
    path = Path(folder, "bin", name)
    if not path.exists():
        lacking(f"{name} is not installed in FVLM_TEST_PEERS={folder}")
    return path
