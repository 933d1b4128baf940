"""What the extras carry: declared where it is imported, and named by a command that lacks it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "fvlm_data", "fvlm_train", "pipelines")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BESIDE_CORE = {
    "schemas": (),
    "fvlm_data": (
        *("llm", "dicomweb", "dicom-out", "train", "xlsx", "pdf", "serve", "postgres", "s3"),
    ),
    "fvlm_train": ("train", "wandb", "mlflow", "swin"),
    "pipelines": ("flows",),
}
"""Extras that a package may import from, within functions."""

NOT_IMPORTED = {
    "pandas",  # pyarrow's to_pandas imports it
    "pylibjpeg",  # pydicom finds it and its two decoders by itself
    "pylibjpeg-libjpeg",
    "pylibjpeg-rle",
}

MODULES = {"mlflow": "mlflow-skinny"}
"""Packages of modules that are called otherwise, where an extra is not installed."""


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=;~! ]", one)[0]) for one in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


CORE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(told) for extra, told in PROJECT["optional-dependencies"].items()}


def imports(tree: ast.AST) -> set[str]:
    """First parts of the modules that are imported anywhere in a tree."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found - {*PACKAGES, *sys.stdlib_module_names}


def of_package(package: str) -> set[str]:
    """Distributions whose modules a package of ours imports."""
    held = packages_distributions()
    modules = {
        module
        for path in (ROOT / package).rglob("*.py")
        for module in imports(ast.parse(path.read_text(encoding="utf-8")))
    }
    # of an extra that is not installed here the module's name has to do
    return {normal(held.get(module, [MODULES.get(module, module)])[0]) for module in modules}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_declared(package: str):
    allowed = CORE.union(*(EXTRAS[extra] for extra in BESIDE_CORE[package]))
    assert of_package(package) - allowed == set()


def test_every_dependency_of_the_core_is_used():
    used = set().union(*(of_package(package) for package in PACKAGES))
    assert used - CORE | CORE == used | NOT_IMPORTED


def test_the_newest_server_that_prefect_starts_with_is_stated():
    (bound,) = [one for one in PROJECT["optional-dependencies"]["flows"] if "fastapi" in one]
    assert "<0.165" in bound


WITHOUT = """
import sys

class Refuser:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuser())
"""
"""Run at the start of the command and of the processes that it starts."""

COMMAND = """
import sys
sys.argv = {command!r}
from {module} import {function}
{function}()
"""
COMMANDS = {
    "fvlm-data": ("fvlm_data.cli.main", "main"),
    "fvlm-train": ("fvlm_train.cli", "train_main"),
    "fvlm-pretrain": ("fvlm_train.cli", "pretrain_main"),
    "fvlm-eval": ("fvlm_train.cli", "eval_main"),
    "fvlm-flow": ("pipelines.cli", "main"),
}
OUTSIDE_CORE = {
    "torch", "transformers", "tokenizers", "prefect", "prefect_dask", "dask", "distributed",
    "fastapi", "httpx", "dicomweb_client", "s3fs", "sklearn", "highdicom",
    "starlette", "uvicorn",
}  # fmt: skip


def without(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in an install that has the core alone."""
    module, function = COMMANDS[command[0]]
    (folder / "hook").mkdir(exist_ok=True)
    (folder / "hook" / "sitecustomize.py").write_text(WITHOUT.format(missing=OUTSIDE_CORE))
    path = os.pathsep.join([str(folder / "hook"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [
            sys.executable,
            "-c",
            COMMAND.format(command=command, module=module, function=function),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("train", "fvlm-train c.yaml --store store --out run"),
        ("train", "fvlm-eval zero-shot run --store store"),
        ("flows", "fvlm-flow run c.yaml"),
        ("s3", "fvlm-data status --store s3://bucket/store"),
        ("serve", "fvlm-data serve --store store"),
        pytest.param("s3", "fvlm-data ingest s3://bucket/in --store store", marks=pytest.mark.full),
        ("dicomweb", "fvlm-data ingest http://127.0.0.1:9/dicom-web --store store"),
        pytest.param(
            "llm",
            "fvlm-data reports reports.csv --store store --config llm.yaml",
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(tmp_path: Path, extra: str, command: str):
    (tmp_path / "c.yaml").write_text("store: ./store\ntrain: {preset: small}\n")
    (tmp_path / "llm.yaml").write_text(
        "parse: {backend: llm, llm: {endpoint: http://127.0.0.1:9/v1, model: m}}\n"
    )
    (tmp_path / "reports.csv").write_text("volume_name,findings\na.nii.gz,The lungs are clear.\n")
    ended = without(command.split(), tmp_path)
    assert ended.returncode == 2, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert f"fvlm[{extra}]" in last


@pytest.mark.full
def test_an_audit_of_nothing_needs_no_extra(tmp_path: Path):
    (tmp_path / "reports.csv").write_text("volume_name,findings\na.nii.gz,The lungs are clear.\n")
    made = without(["fvlm-data", "reports", "reports.csv", "--store", "store"], tmp_path)
    assert made.returncode == 0, made.stderr
    ended = without(["fvlm-data", "pair", "--audit", "--store", "store"], tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_a_module_of_ours_that_is_missing_is_no_missing_extra():
    from fvlm_data.extras import needs_extra

    with pytest.raises(ModuleNotFoundError, match=r"fvlm_data\.nothing"), needs_extra("x", "y"):
        import fvlm_data.nothing  # noqa: F401
