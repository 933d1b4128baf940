"""Archives of the package, built from a copy so that the checkout stays as it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "fvlm_data", "fvlm_train", "pipelines")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt")
NOTEBOOKS = "docs/notebooks"


def copied(place: Path) -> Path:
    """A copy of what an archive is made from, and of a file that must not get into one."""
    source = place / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / NOTEBOOKS, source / NOTEBOOKS)
    (source / "tests").mkdir()
    (source / "tests" / "test_nothing.py").touch()
    return source


def build_sdist(place: Path) -> Path:
    """The source archive."""
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(place)!r})"
    run([sys.executable, "-c", code], copied(place))
    (archive,) = place.glob("*.tar.gz")
    return archive


def build_wheel(place: Path) -> Path:
    """The wheel, made from the source archive as CI does."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "wheel"]
    archive = str(build_sdist(place))
    run([*command, "--no-deps", "--no-build-isolation", "-w", str(place), archive], place)
    (wheel,) = place.glob("*.whl")
    return wheel


def run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def data_files() -> set[str]:
    """Files of the packages that are not code, as paths below the checkout."""
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
