from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.core.built import FILES, NOTEBOOKS, PACKAGES, ROOT, build_wheel, data_files

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
    """The wheel, unpacked as pip does; the source archive that it is made from lies beside it."""
    place = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(place)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
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
        "fvlm_data/qc/assets/viewer.js",
        "fvlm_data/qc/templates/study.html",
        "fvlm_data/vocabulary/segmentation.yaml",
        "fvlm_data/vocabulary/en/anatomies.yaml",
        "fvlm_train/config/train.py",
        "fvlm_train/config/presets/small.yaml",
        "pipelines/curate.py",
    ):
        assert (site / name).is_file(), name
    assert {name for name in data_files() if not (site / name).is_file()} == set()
    assert not (site / "tests").exists()


def test_wheel_tells_its_licence_and_that_it_is_typed(site: Path):
    (told,) = site.glob("fvlm-*.dist-info")
    assert "License-Expression: Apache-2.0" in (told / "METADATA").read_text(encoding="utf-8")
    assert (told / "licenses/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert all((site / package / "py.typed").is_file() for package in PACKAGES)


def test_source_archive_holds_all_that_a_wheel_is_made_from(site: Path):
    (archive,) = site.parent.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    code = {str(p.relative_to(ROOT)) for name in PACKAGES for p in (ROOT / name).rglob("*.py")}
    notebooks = {str(p.relative_to(ROOT)) for p in (ROOT / NOTEBOOKS).glob("*.ipynb")}
    assert notebooks
    assert {*FILES, *data_files(), *code, *notebooks} - held == set()
    assert not [name for name in held if name.startswith("tests")]


def test_the_version_is_the_installed_one(site: Path, folder: Path):
    ended = run(folder, site, "sys.path.remove('')\nimport fvlm_data; print(fvlm_data.__version__)")
    assert ended.returncode == 0, ended.stderr
    assert f"fvlm-{ended.stdout.strip()}.dist-info" in {path.name for path in site.iterdir()}


@pytest.mark.parametrize(
    "command", ["fvlm-data", "fvlm-train", "fvlm-pretrain", "fvlm-eval", "fvlm-flow"]
)
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


def test_sections_of_the_trainer_are_checked_by_the_wheel(site: Path, folder: Path):
    script = (
        "sys.path.remove('')\n"
        "from importlib.metadata import entry_points\n"
        "from fvlm_data.run.config import load_config\n"
        "from fvlm_data.run.sections import OWN\n"
        "named = entry_points(group='fvlm_data.sections')\n"
        "assert {one.name: one.value for one in named} == OWN\n"
        "load_config(None, ['train.preset=small'], {'store': 's'})\n"
        "load_config(None, ['train.presett=small'], {'store': 's'})\n"
    )
    ended = run(folder, site, script)
    assert "ConfigError: configuration: train.presett is not a known key" in ended.stderr


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
