from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the installed wheel; the checkout is not on the path."""
    script = (
        "import sys\n"
        f"sys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f).lower()]\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script + arguments[0], *arguments[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout and unpacked as pip does."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "schemas", "fvlm_data", "fvlm_train", "pipelines"):
        (source / name).symlink_to(ROOT / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(place), str(source)]
    subprocess.run([*pip, *build], check=True, capture_output=True, text=True)
    (wheel,) = place.glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", str(place / "site"), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True, text=True)
    return place / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with names of ours."""
    (tmp_path / "schemas.py").write_text("raise SystemExit('the wrong schemas')\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    return tmp_path


def test_wheel_holds_code_and_data(site: Path):
    for name in (
        "schemas/volumes.py",
        "fvlm_data/run/presets/chest.yaml",
        "fvlm_data/vocabulary/segmentation.yaml",
        "fvlm_data/vocabulary/en/anatomies.yaml",
        "fvlm_train/config/train.py",
        "pipelines/curate.py",
    ):
        assert (site / name).is_file(), name
    tables = {file.name for file in (ROOT / "fvlm_data/segment/class_tables").iterdir()}
    held = {file.name for file in (site / "fvlm_data/segment/class_tables").glob("*")}
    assert tables == held
    assert not (site / "tests").exists()


@pytest.mark.parametrize("command", ["fvlm-data", "fvlm-train", "fvlm-eval", "fvlm-flow"])
def test_commands_run_from_a_folder_with_our_names(site: Path, folder: Path, command: str):
    script = (site / "bin" / command).read_text(encoding="utf-8")
    ended = run(folder, site, "sys.path.remove('')\n" + script.split("\n", 1)[1], "--help")
    assert ended.returncode == 0, ended.stderr
    assert "Usage" in ended.stdout or "usage" in ended.stdout


def test_commands_find_the_wheels_own_modules(site: Path, folder: Path):
    script = (
        "sys.path.remove('')\n"
        "import schemas, fvlm_data.cli.main, pipelines.cli\n"
        "print(schemas.__file__, fvlm_data.__file__, pipelines.__file__)"
    )
    ended = run(folder, site, script)
    assert ended.returncode == 0, ended.stderr
    assert all(path.startswith(str(site)) for path in ended.stdout.split())


def test_flow_imported_beside_a_pipelines_of_the_user(site: Path, folder: Path):
    ended = run(folder, site, "sys.path.remove('')\nimport pipelines.curate as c\nprint(c.curate)")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("module", ["fvlm_data", "fvlm_data.cli.main", "fvlm_data.run.curate"])
def test_users_schemas_in_the_way_stops_with_one_sentence(site: Path, folder: Path, module: str):
    ended = run(folder, site, f"import {module}")
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: fvlm_data needs its own package `schemas` beside it")
    assert last.endswith("run from another folder, or rename what stands in its way")
