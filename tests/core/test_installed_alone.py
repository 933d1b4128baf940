"""The wheel as a user installs it, without constraints.txt: core alone, on each Python there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.core.built import build_wheel
from tests.lacking import lacking

pytestmark = [pytest.mark.full, pytest.mark.network, pytest.mark.timeout(1200)]

VERSIONS = ("3.11", "3.12", "3.13")
OF_AN_EXTRA = ("fvlm_data.serve.",)
"""Modules that the core has no use for without [serve]."""
IMPORT_ALL = f"""
import importlib, pkgutil, warnings
import fvlm_data, schemas
import fvlm_train.cli, pipelines.cli

warnings.simplefilter("ignore")
for package in (schemas, fvlm_data):
    for module in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
        if not module.name.startswith({OF_AN_EXTRA!r}):
            importlib.import_module(module.name)
"""


def interpreter(version: str) -> str:
    """A Python of this version that runs; pyenv has shims for those that are not active, too."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [*root.glob(f"versions/{version}.*/bin/python")]
    for place in (shutil.which(f"python{version}"), *map(str, places)):
        if (
            place
            and subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return place
    pytest.skip(f"no Python {version} on this machine")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


class Install:
    """A virtual environment that holds the wheel and what it asks for, and no more."""

    def __init__(self, python: str, place: Path, wheel: Path) -> None:
        self.bin = place / "environment" / "bin"
        self.folder = place / "elsewhere"
        self.folder.mkdir()
        self.wheel = wheel
        subprocess.run([python, "-m", "venv", str(self.bin.parent)], check=True)
        self.ok("python", "-m", "pip", "install", "--quiet", str(wheel))

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        ours = ("PIP_CONSTRAINT", "PYTHONPATH")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        command = [str(self.bin / program), *words]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def ok(self, program: str, *words: str) -> str:
        ended = self.run(program, *words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def refused(self, program: str, *words: str) -> str:
        """The one sentence with which a command ends that cannot run."""
        ended = self.run(program, *words)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        (sentence,) = ended.stderr.strip().splitlines()
        return sentence


@pytest.fixture(scope="module", params=VERSIONS)
def install(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Install]:
    place = tmp_path_factory.mktemp("alone")
    yield Install(interpreter(request.param), place, wheel)
    shutil.rmtree(place)


def test_all_of_the_core_imports(install: Install):
    install.ok("python", "-m", "pip", "check")
    install.ok("python", "-c", IMPORT_ALL)


def test_a_phantom_goes_through_the_whole_chain(install: Install):
    install.ok("fvlm-data", "phantom", "phantom", "--patients", "3", "--seed", "7")
    config = {
        "store": "store",
        "sources": [{"kind": "dicom", "path": "phantom/dicom", "name": "phantom"}],
        "reports": [{"path": "phantom/reports_chest.csv"}],
        "segment": {
            "backend": "precomputed",
            "masks": "phantom/masks/manifest.csv",
            "classes": "phantom/masks/classes.yaml",
        },
        "shard": {"spacing_mm": [6.0, 6.0, 6.0]},
    }
    (install.folder / "curate.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    install.ok("fvlm-data", "curate", "curate.yaml")
    install.ok("fvlm-data", "verify", "--store", "store")
    assert list(install.folder.glob("store/shards/**/*.parquet"))


def test_what_the_core_lacks_is_named(install: Install):
    (install.folder / "c.yaml").write_text("store: ./none\ntrain: {preset: small}\n")
    assert "fvlm[train]" in install.refused("fvlm-train", "c.yaml", "--store", "s", "--out", "r")
    assert "fvlm[flows]" in install.refused("fvlm-flow", "run", "c.yaml")
    assert "fvlm[serve]" in install.refused("fvlm-data", "serve", "--store", "none")
    assert "fvlm[s3]" in install.refused("fvlm-data", "status", "--store", "s3://bucket/store")


@pytest.mark.parametrize(
    "extras", ["flows", "train", "serve,dicomweb,dicom-out,s3,llm,xlsx,pdf,postgres"]
)
def test_the_extras_resolve_beside_it(install: Install, extras: str):
    """By what the packages state; nothing is installed, as [train] alone may be gigabytes."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        lacking("uv is not installed beside this Python")
    ended = subprocess.run(
        [uv, "pip", "compile", "--quiet", "--python", str(install.bin / "python"), "-"],
        input=f"fvlm[{extras}] @ {install.wheel.as_uri()}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", ended.stdout, re.MULTILINE))
    held = install.ok("python", "-m", "pip", "list", "--format", "json")
    kept = {one["name"]: one["version"] for one in json.loads(held)}
    assert pinned["numpy"].split(".")[0] == kept["numpy"].split(".")[0]
