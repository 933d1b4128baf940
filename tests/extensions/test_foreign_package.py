"""A package of others with one of each kind goes through all that ours do.

Beside it lies a faulty one that brings one of each as well: it stops nothing that does not use it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import schemas
from fvlm_data.store.tables import Store
from tests.extensions.ward import (
    HERE,
    SECRET,
    STUDIES,
    Shell,
    install,
    write_configuration,
    write_data,
)

pytestmark = pytest.mark.slow

LISTS = ("sources", "report_sources", "segmentation_backends", "exports", "stages")
NAMES = ("npy", "rep", "air", "listing", "density")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packages")
    install(place, "foreign_package")
    return install(place, "faulty_package")


@pytest.fixture(scope="module")
def curated(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store that `curate` has filled from the ward's data."""
    folder = tmp_path_factory.mktemp("ward")
    write_data(folder)
    shell = Shell(folder, site, {})
    shell.ok("curate", write_configuration(folder).name)
    return shell


@pytest.fixture
def copy(curated: Shell, tmp_path: Path) -> Shell:
    """A copy of that store, to be changed."""
    shutil.copytree(curated.folder, tmp_path / "ward")
    return Shell(tmp_path / "ward", curated.site, {})


def rows(folder: Path, table: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = Store.open(str(folder / "store")).read(table).to_pylist()
    return found


def test_plugins_lists_what_each_package_adds_and_the_fault_of_the_faulty(curated: Shell):
    found = json.loads(curated.ok("plugins", "--json"))
    theirs = [one for one in found if one["package"] == "ward-tools"]
    assert [(one["list"], one["name"], one["version"]) for one in theirs] == [
        (place, name, "1.2.0") for place, name in zip(LISTS, NAMES, strict=True)
    ]
    broken = [one for one in found if one["package"] == "broken-tools"]
    assert [one["list"] for one in broken] == [*LISTS, "image_encoders"]
    assert {one["fault"] for one in broken} == {"ModuleNotFoundError at __init__.py:3"}
    assert not [one for one in found if one["fault"] and one not in broken]
    shown = curated.ok("plugins")
    assert "npy                ward-tools 1.2.0\n" in shown
    assert shown.count("cannot be used: ModuleNotFoundError at __init__.py:3") == len(broken)
    assert "Traceback" not in shown
    assert "a_module_that_nobody_has" in curated.ok("plugins", "--verbose")


def test_everything_of_theirs_was_used(curated: Shell):
    volumes = rows(curated.folder, "volumes")
    assert len(volumes) == STUDIES
    assert len(rows(curated.folder, "reports")) == STUDIES
    assert {(row["backend"], row["task"]) for row in rows(curated.folder, "masks")} == {
        ("air", "air")
    }
    measures = rows(curated.folder, "measures")
    assert {row["item"] for row in measures} == {row["volume_id"] for row in volumes}
    assert {row["stage"] for row in measures} == {"density"}
    reasons = {row["reason"] for row in rows(curated.folder, "quarantine")}
    assert {"no_description", "no_study_line"} <= reasons
    assert len(rows(curated.folder, "samples")) == STUDIES


def test_status_and_verify_know_them(curated: Shell):
    told = json.loads(curated.ok("status", "--store", "store", "--json"))
    assert told["stages"]["density"] == {"settled": STUDIES, "to do": 0}
    checks = json.loads(curated.ok("verify", "--deep", "--store", "store", "--json"))
    names = [check["name"] for check in checks]
    assert "rows and files of stage density are those that it settled" in names


def test_a_second_run_has_nothing_to_do(copy: Shell):
    stages = json.loads(copy.ok("curate", "curate.yaml", "--json"))["stages"]
    assert stages["discover ingest"]["unchanged"] == stages["discover ingest"]["files"]
    assert not [name for name, counts in stages.items() if counts.get("accepted")]


@pytest.mark.full
def test_lost_rows_of_their_stage_are_seen_and_made_anew(copy: Shell):
    before = sorted(map(str, rows(copy.folder, "measures")))
    store = Store.open(str(copy.folder / "store"))
    store.replace_all("measures", [])
    assert copy.run("verify", "--store", "store").returncode == 1
    stages = json.loads(copy.ok("curate", "curate.yaml", "--json"))["stages"]
    assert stages["density"]["damaged"] == STUDIES
    assert sorted(map(str, rows(copy.folder, "measures"))) == before


@pytest.mark.full
def test_a_setting_of_theirs_makes_anew_what_hangs_on_it_and_no_more(copy: Shell):
    write_configuration(copy.folder, density={"above_hu": 100})
    stages = json.loads(copy.ok("curate", "curate.yaml", "--json"))["stages"]
    assert [name for name, counts in stages.items() if counts.get("accepted")] == ["density"]
    write_configuration(copy.folder, segment={"backend": "air", "options": {"below_hu": -300}})
    stages = json.loads(copy.ok("curate", "curate.yaml", "--json"))["stages"]
    assert stages["segment"]["accepted"] == STUDIES
    assert not stages["ingest"].get("accepted")


@pytest.mark.full
def test_a_new_version_makes_anew_what_its_package_made(copy: Shell, tmp_path: Path):
    site = install(tmp_path / "next", "foreign_package", "1.3.0")
    newer = Shell(copy.folder, site, {})
    stages = json.loads(newer.ok("curate", "curate.yaml", "--json"))["stages"]
    for name in ("ingest", "segment", "density"):
        assert stages[name]["accepted"] == STUDIES, name
    assert not stages["reports"].get("accepted")
    newer.ok("verify", "--store", "store")


def test_their_export_is_a_command(curated: Shell, tmp_path: Path):
    listed = curated.ok("export", "--help")
    assert "(of package ward-tools 1.2.0)" in listed
    assert "(of package broken-tools 0.1)" in listed
    assert "--least-anatomies" in curated.ok("export", "listing", "--help")
    out = tmp_path / "out"
    words = ("export", "listing", str(out), "--store", "store")
    told = curated.ok(*words, "--separator", ";")
    assert f"    sort {out / 'samples.txt'}" in told
    lines = (out / "samples.txt").read_text().splitlines()
    assert {line.split(";")[1] for line in lines} == {
        row["sample_id"] for row in rows(curated.folder, "samples")
    }
    assert curated.run(*words, "--least-anatomies", "0").returncode == 2
    curated.ok("export", "tables", str(tmp_path / "tables"), "--store", "store")


@pytest.mark.full
def test_our_exports_take_their_samples(curated: Shell, tmp_path: Path):
    for name in ("webdataset", "monai", "huggingface"):
        curated.ok("export", name, str(tmp_path / name), "--store", "store")
    wrong = ("export", "nnunet", str(tmp_path / "wrong"), "--store", "store")
    assert "its name is not one that nnU-Net finds" in curated.refused(*wrong)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"sources": [{"kind": "broken", "path": "volumes"}]}, "source kind 'broken' of package"),
        ({"segment": {"backend": "broken"}}, "segmentation backend 'broken' of package"),
        ({"broken": {}}, "stage 'broken' of package broken-tools 0.1 cannot be loaded"),
        ({"density": {"abovehu": 1}}, "density.abovehu is not a known key (did you mean above_hu"),
        ({"densty": {}}, "densty is not a known key (did you mean density?)"),
        ({"segment": {"backend": "air", "options": {"hu": 1}}}, "segment.options.hu is not a kn"),
        ({"segment": {"options": {"hu": 1}}}, "segment.options: backend threshold takes none"),
        ({"sources": [{"kind": "npyy", "path": "x"}]}, "is not known (did you mean npy?)"),
        ({"sources": [{"kind": "npy"}]}, "kind npy needs `path`"),
    ],
)
def test_what_cannot_run_is_told_in_one_sentence(
    curated: Shell, tmp_path: Path, sections: dict[str, object], told: str
):
    (tmp_path / "volumes").mkdir()
    write_configuration(tmp_path, **sections)
    assert told in Shell(tmp_path, curated.site, {}).refused("curate", "curate.yaml")
    assert not (tmp_path / "store").exists()


def test_faulty_reports_are_told_by_package(curated: Shell):
    words = ("reports", "reports", "--kind", "broken", "--store", "store")
    assert "of package broken-tools 0.1 cannot be loaded" in curated.refused(*words)
    words = ("export", "broken", "out", "--store", "store")
    assert "of package broken-tools 0.1 cannot be loaded" in curated.refused(*words)


@pytest.mark.full
def test_a_stage_runs_only_where_the_configuration_has_its_section(curated: Shell, tmp_path: Path):
    write_data(tmp_path)
    file = write_configuration(tmp_path)
    values = yaml.safe_load(file.read_text())
    del values["density"]
    file.write_text(yaml.safe_dump(values))
    shell = Shell(tmp_path, curated.site, {})
    assert "density" not in json.loads(shell.ok("curate", file.name, "--json"))["stages"]
    assert rows(tmp_path, "measures") == []


def test_without_the_package_its_store_is_told_what_lacks(copy: Shell):
    bare = Shell(copy.folder, None, {})
    assert "density is not a known key" in bare.refused("status", "--store", "store")
    unused = ["--set", "density=null", "--set", "segment.backend=threshold"]
    told = bare.refused("pair", "--store", "store", *unused)
    assert "sources.0.kind: this source kind is not known" in told


def test_nothing_of_a_patient_is_told(copy: Shell):
    ended = copy.run("curate", "curate.yaml")
    shown = ended.stdout + ended.stderr + copy.ok("status", "--set-aside", "--store", "store")
    assert SECRET not in shown
    held = [path for path in (copy.folder / "store").rglob("*") if path.is_file()]
    assert not [path for path in held if SECRET.encode() in path.read_bytes()]


@pytest.mark.full
def test_the_shipped_checks_pass(copy: Shell, tmp_path: Path):
    names = ("volumes", "reports", "store", "vault")
    places = [str(copy.folder / name) for name in names]
    ended = subprocess.run(
        [sys.executable, str(HERE / "conformance.py"), *places, str(tmp_path / "out")],
        env=copy.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


@pytest.mark.full
@pytest.mark.prefect
@pytest.mark.timeout(420)
def test_the_flow_settles_what_one_process_does(curated: Shell, tmp_path: Path):
    folder = tmp_path / "flow"
    for name in ("volumes", "reports", "vault"):
        shutil.copytree(curated.folder / name, folder / name)
    write_configuration(folder, execution={"workers": 2})
    shell = Shell(folder, curated.site, {"HOME": str(tmp_path), "PREFECT_HOME": str(folder / "p")})
    ended = subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", "run", "curate.yaml"],
        cwd=folder, env=shell.environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for table in schemas.TABLES:
        assert told_by(rows(folder, table)) == told_by(rows(curated.folder, table)), table


def told_by(found: list[dict[str, object]]) -> list[str]:
    """Rows without what is of a run or of copied files: ids, numbers of files, shards' times."""
    of_a_run = {"run_id", "since_run", "inode"}
    return sorted(
        str({name: value for name, value in row.items() if name not in of_a_run})
        for row in found
        if row.get("stage") != "tidy_shards"
    )
