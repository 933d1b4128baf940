"""Prefect flows and tasks: thin calls into fvlm_data.

Importing this package switches the telemetry of Prefect off, in this process and in those that
it starts; it does not import Prefect.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent


def _check_neighbours() -> None:
    """Refuse to run with a `schemas` or `fvlm_data` other than those installed beside this one.

    `schemas` is a common name: a file or folder of the user's in the working folder would be
    imported in its place under `python -m` or a Prefect worker.
    """
    for name in ("schemas", "fvlm_data"):
        spec = find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found != _HERE / name / "__init__.py":
            raise ImportError(
                f"pipelines needs the package `{name}` beside it in {_HERE}, but Python finds "
                f"{found}: run from another folder, or rename what stands in its way"
            )


# A temporary server takes 15-25 s to start on two cores; Prefect gives up after 20 s.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
_check_neighbours()

from fvlm_data.telemetry import TELEMETRY_OFF as TELEMETRY_OFF  # noqa: E402  # checked first
