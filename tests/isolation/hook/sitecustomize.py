"""Poison, for tests only: first on PYTHONPATH, it makes chosen inputs deadly to who reads them.

FVLM_TEST_POISON is JSON: place (header, pixels, mask, report) -> [deed, mark]. The mark is part of
the file's name, the series' UID, part of the mask's name, or a word of the report.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

POISON = json.loads(os.environ.get("FVLM_TEST_POISON", "{}"))
EATEN_AT_MOST_MB = 4000


def hang():
    """Hang in C with Python's lock held, deaf to every signal that can be ignored."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(3600)


def crash():
    """Crash as a decoder does that writes where it must not."""
    os.kill(os.getpid(), signal.SIGSEGV)


def eat():
    """Take more and more memory."""
    eaten = [bytearray(b"\1" * (16 << 20)) for _ in range(EATEN_AT_MOST_MB // 16)]
    raise SystemExit(f"{len(eaten)} pieces were eaten, and nobody minded")


def deed(place: str, text: Any) -> None:
    """Do what is asked at a place for what bears the mark."""
    what, mark = POISON.get(place, (None, None))
    if what is not None and mark in str(text):
        {"hang": hang, "crash": crash, "eat": eat}[what]()


def before(module: Any, name: str, place: str, mark_of: Callable[..., Any]) -> None:
    """Have the poison act before a function of a module."""
    original = getattr(module, name)

    def poisoned(*args: Any, **named: Any) -> Any:
        deed(place, mark_of(*args))
        return original(*args, **named)

    setattr(module, name, poisoned)


def header(module: Any) -> None:
    before(module, "probe", "header", lambda found: found.relative)


def pixels(module: Any) -> None:
    before(module, "decode", "pixels", lambda dataset, frame: dataset.SeriesInstanceUID)


def mask(module: Any) -> None:
    before(module, "_contents", "mask", lambda candidate: candidate.mask.path)


def report(module: Any) -> None:
    before(module.ReportParser, "parse", "report", lambda parser, text: text)


WHERE = {
    "fvlm_data.ingest.discovery.file_kind": header,
    "fvlm_data.ingest.dicom.slice_file": pixels,
    "fvlm_data.segment.precomputed": mask,
    "fvlm_data.reports.language.parser": report,
}


class Poisoner:
    """Changes modules as they are imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        change = WHERE.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def loaded(module: Any) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = loaded
        return spec


if POISON:
    sys.meta_path.insert(0, Poisoner())
