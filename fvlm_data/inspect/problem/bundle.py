"""The files of the bundle: codes, counts and versions; sentences of `doctor` alone are cleaned."""

from __future__ import annotations

import json
import platform
import re
import zipfile
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import FvlmError, InputError
from fvlm_data.inspect.problem.unnamed import (
    hidden_values,
    unnamed,
    unnamed_configuration,
)
from fvlm_data.inspect.status import records
from fvlm_data.inspect.status import status as looked_at
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.inspect.verify import Check
    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

CODE = re.compile(r"[a-z0-9_]+(:[a-z0-9_]+)?")
"""How reasons, stages and checks are called; what is called otherwise is not told."""

FRAME = re.compile(r"[A-Za-z_]\w* at [\w<>.-]+:\d+")
"""Type and place of an error, as `detail` of table quarantine gives them."""

OF_A_RUN = ("run_id", "finished", "failed", "failed_at", "seconds", "stages", "stage_seconds")
WHEN = (1980, 1, 1, 0, 0, 0)


def bundle(
    config: Config | None, context: Context | None, checks: Sequence[Check]
) -> dict[str, bytes]:
    """Content by name of file; without a configuration or store, what can be said without.

    Of a damaged store is told what can be read.
    """
    places = () if context is None else (context.store.url, str(context.vault.folder))
    hidden = hidden_values(config, places)
    files: dict[str, Any] = {"versions.json": _versions(), "doctor.json": _doctor(checks, hidden)}
    if config is not None:
        files["configuration.json"] = unnamed_configuration(config)
    if context is not None and config is not None:
        files["counts.json"] = _or_why_not(lambda: _counts(context, config))
        files["runs.json"] = _or_why_not(lambda: _runs(context))
        files["errors.json"] = _or_why_not(lambda: _errors(context))
    return {name: json.dumps(content, indent=2).encode() for name, content in files.items()}


def write_bundle(path: Path, files: Mapping[str, bytes]) -> None:
    """Write them as a zip, for the user alone to read.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    try:
        with path.open("xb") as handle, zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as packed:
            path.chmod(0o600)
            for name, content in files.items():
                # without the time and rights of this machine
                packed.writestr(zipfile.ZipInfo(name, WHEN), content)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); name a file that is not there yet"
        ) from error


def _or_why_not(told: Callable[[], Any]) -> Any:
    """What is told, or by which kind of error it cannot be: its text may name a file."""
    try:
        return told()
    except FvlmError as error:
        return {"not told": type(error).__name__}


def _versions() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted((one.metadata["Name"], one.version) for one in distributions())),
    }


def _doctor(checks: Sequence[Check], hidden: Collection[str]) -> list[dict[str, Any]]:
    return [
        {
            "statement": unnamed(check.name, hidden),
            "holds": check.passed,
            "found": unnamed(check.counted, hidden),
            "examples": [unnamed(one, hidden) for one in check.examples],
        }
        for check in checks
    ]


def _counts(context: Context, config: Config) -> dict[str, Any]:
    seen = looked_at(context, config)
    return {
        "stages": seen.summary.stages,
        "set_aside_by_stage": seen.set_aside,
        "set_aside": _coded(seen.summary.set_aside),
        "cross_checks": _coded(seen.summary.cross_checks),
        "waiting": seen.summary.waiting,
        "tables": seen.summary.tables,
        "free_bytes": seen.free_bytes,
    }


def _coded(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by code; a package of others may have put a sentence in place of one."""
    told: dict[str, int] = {}
    for name, number in counts.items():
        code = name if CODE.fullmatch(name) else "other"
        told[code] = told.get(code, 0) + number
    return told


def _runs(context: Context) -> list[dict[str, Any]]:
    told = []
    for record in records(context.store):
        made = {name: record.get(name) for name in OF_A_RUN}
        made["stages"] = {
            stage: _coded(_spaceless(counts)) for stage, counts in record.get("stages", {}).items()
        }
        told.append({**made, "versions": record.get("versions", {})})
    return told


def _spaceless(counts: Mapping[str, int]) -> dict[str, int]:
    return {name.replace(" ", "_"): number for name, number in counts.items()}


def _errors(context: Context) -> list[dict[str, Any]]:
    """Stage, type, place and number of unexpected errors over items; no item, no message."""
    query = (
        "SELECT stage, detail, count(*) FROM quarantine WHERE reason = 'unexpected' "
        "GROUP BY ALL ORDER BY ALL"
    )
    counted: dict[tuple[str, str], int] = {}
    for stage, detail, number in Relations(context.store).rows(query):
        found = FRAME.match(detail)
        key = (stage, found.group() if found else "not told")
        counted[key] = counted.get(key, 0) + number
    return [
        {"stage": stage, "error": error, "items": number}
        for (stage, error), number in sorted(counted.items())
    ]
