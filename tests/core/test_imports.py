"""Which part may import which: read from the source, and checked in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "fvlm_data", "fvlm_train", "pipelines")
MAY_IMPORT = {
    "schemas": set(),
    "fvlm_data": {"schemas"},
    "fvlm_train": {"fvlm_data", "schemas"},
    "pipelines": {"fvlm_data", "schemas"},
}
STAGES = (
    "ingest", "segment", "radiomics", "clinical", "reports", "pairing", "shards", "qc", "phantom",
)  # fmt: skip
BETWEEN_STAGES = {
    ("radiomics", "fvlm_data.segment.merge"),
    ("radiomics", "fvlm_data.segment.nifti"),
    ("clinical", "fvlm_data.reports.sources"),
    ("pairing", "fvlm_data.reports"),
    ("pairing", "fvlm_data.segment.merge"),
    ("shards", "fvlm_data.segment.merge"),
    ("shards", "fvlm_data.segment.nifti"),
    ("qc", "fvlm_data.pairing.signature"),
    ("qc", "fvlm_data.segment.grid"),
    ("qc", "fvlm_data.segment.merge"),
    ("qc", "fvlm_data.segment.nifti"),
    ("qc", "fvlm_data.segment.organ_volumes"),
    ("qc", "fvlm_data.shards.faces"),
}
"""What a stage may import of another, by name: those who read label maps need the reader, and
the look-up of classes in anatomies; clinical tables are read as those of reports are; pages show
the pairs that pairing's rule makes, and no face that samples do not."""

HEAVY = ("torch", "prefect", "medspacy", "spacy", "distributed", "transformers", "SimpleITK")


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(module: str) -> Iterator[str]:
    """Our modules that `module` imports, within functions and for types too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            base = node.module or ""
            names = [
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """Modules with those that they import; read when a test asks, not while tests are collected."""
    return frozenset(
        (module, other) for module in MODULES for other in imported(module) if other != module
    )


def part(module: str) -> str:
    """The folder of fvlm_data or fvlm_train that holds a module, else the module itself."""
    parts = module.split(".")
    folder = ROOT / parts[0] / parts[1] if len(parts) > 1 else ROOT
    return ".".join(parts[:2]) if folder.is_dir() else module


def test_there_is_something_to_check():
    assert len(MODULES) > 60
    assert len(arrows()) > 150
    assert ("fvlm_data.store.commits", "schemas") in arrows()


def test_packages_import_one_way():
    wrong = sorted(
        (module, other)
        for module, other in arrows()
        if module.split(".")[0] != other.split(".")[0]
        and other.split(".")[0] not in MAY_IMPORT[module.split(".")[0]]
    )
    assert wrong == []


def test_stages_do_not_import_each_other():
    wrong = set()
    for module, other in arrows():
        ours, theirs = (name.split(".")[1:2] for name in (module, other))
        both = ours and theirs and ours[0] in STAGES and theirs[0] in STAGES
        if both and module.startswith("fvlm_data.") and ours != theirs:
            allowed = any(
                ours[0] == stage and (other == name or other.startswith(f"{name}."))
                for stage, name in BETWEEN_STAGES
            )
            if not allowed:
                wrong.add((module, other))
    assert sorted(wrong) == []


def test_stages_do_not_know_what_runs_them():
    above = {"cli", "run", "inspect"}
    wrong = sorted(
        (module, other)
        for module, other in arrows()
        if module.split(".")[1:2] and module.split(".")[1] in STAGES
        if other.startswith("fvlm_data.") and other.split(".")[1] in above
    )
    assert wrong == []


@pytest.mark.parametrize("of_parts", [False, True], ids=["modules", "folders"])
def test_no_two_parts_import_each_other(of_parts: bool):
    found = {(part(a), part(b)) for a, b in arrows()} if of_parts else arrows()
    both = sorted((a, b) for a, b in found if a < b and (b, a) in found and not_own(a, b))
    assert both == []


def not_own(one: str, other: str) -> bool:
    """A package's __init__ re-exports its modules: that is no arrow between parts."""
    return not (other.startswith(f"{one}.") or one.startswith(f"{other}."))


@pytest.mark.parametrize("of_parts", [False, True], ids=["modules", "folders"])
def test_nothing_imports_in_a_circle(of_parts: bool):
    following: dict[str, set[str]] = defaultdict(set)
    for a, b in arrows():
        one, other = (part(a), part(b)) if of_parts else (a, b)
        if one != other and not_own(one, other):
            following[one].add(other)
    done: set[str] = set()

    def walk(here: str, trail: tuple[str, ...]) -> None:
        assert here not in trail, f"circle: {' -> '.join((*trail[trail.index(here) :], here))}"
        if here in done:
            return
        for following_part in sorted(following[here]):
            walk(following_part, (*trail, here))
        done.add(here)

    for start in sorted(following):
        walk(start, ())


def test_import_of_the_library_is_light():
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import fvlm_data"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [
        line.removeprefix("import time:").split("|")
        for line in ended.stderr.splitlines()
        if line.startswith("import time:") and "self [us]" not in line
    ]
    assert {name.strip().split(".")[0] for _, _, name in lines} & {*HEAVY, "numpy"} == set()
    assert sum(int(own) for own, _, _ in lines) < 500_000


def test_import_of_each_part_is_light():
    """One interpreter imports one after the other and tells what each brings in."""
    parts = [f"fvlm_data.{stage}" for stage in (*STAGES, "vocabulary")]
    adapters = [f"fvlm_data.{stage}.stage" for stage in ("ingest", "reports", "pairing", "shards")]
    script = (
        "import importlib, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[2:]:\n"
        "    importlib.import_module(name)\n"
        "    found[name] = sorted(set(sys.argv[1].split()) & sys.modules.keys())\n"
        "print(json.dumps(found))\n"
    )
    forms = [name for name in MODULES if name.startswith("fvlm_data.export.")]
    names = [
        "fvlm_data.cli.main",
        "fvlm_data.run.config",
        "fvlm_data.run.registry",
        "fvlm_data.run.stages",
        *parts,
        *adapters,
        *forms,
    ]
    ended = subprocess.run(
        [sys.executable, "-c", script, "torch prefect medspacy spacy distributed", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout) == {name: [] for name in names}
