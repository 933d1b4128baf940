from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import nibabel as nib
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

import schemas
from fvlm_data.cli.main import app
from fvlm_data.cli.options import resolved_config
from fvlm_data.run.config import load_config
from fvlm_data.run.records import begin
from fvlm_data.store.declared import Context
from schemas import Quarantined, Split
from tests.extensions.ward import AFFINE_RAS, chest


def fvlm_data(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def told(result: Result) -> str:
    """The sentence of a command that could not run."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def store(filled: Context) -> str:
    begin(filled, load_config(None, (), {"store": filled.store.url}))
    return filled.store.url


def test_verify_tells_every_statement(store: str):
    result = fvlm_data("verify", "--store", store)
    assert result.exit_code == 0, result.output
    assert "ok     every one of the files is in exactly one place (2 offered" in result.stdout
    assert "BROKEN" not in result.stdout


def test_verify_leads_with_what_is_broken_and_exits_1(store: str, filled: Context):
    filled.store.remove("masks")
    result = fvlm_data("verify", "--store", store)
    assert result.exit_code == 1
    assert result.stdout.startswith("BROKEN every named file is there")
    assert "masks/01/v_1.total.nii.gz" in result.stdout


@pytest.mark.parametrize("whole", [True, False])
def test_verify_for_machines(store: str, filled: Context, whole: bool):
    if not whole:
        filled.store.remove("masks")
    result = fvlm_data("verify", "--store", store, "--json")
    assert result.exit_code == (0 if whole else 1)
    checks = json.loads(result.stdout)
    assert all(check["passed"] for check in checks) == whole


def test_status(store: str):
    result = fvlm_data("status", "--store", store)
    assert result.exit_code == 0, result.output
    assert "In the tables: anatomy_texts 1, reports 1, samples 1, volumes 2" in result.stdout
    assert "Waiting: study waits for report 1" in result.stdout


def test_status_for_machines(store: str):
    result = fvlm_data("status", "--store", store, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["tables"]["volumes"] == 2
    assert summary["stages"]["split"] == {"settled": 0, "to do": 1}


def test_explain(store: str):
    result = fvlm_data("explain", "sa_1", "--store", store, "--reveal")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["volume"]["source_files"] == ["scans/Doe/1.dcm"]


def test_explain_of_an_unknown_sample(store: str):
    assert "sample sa_9: not in the store" in told(fvlm_data("explain", "sa_9", "--store", store))


def test_export_tables(store: str, tmp_path: Path):
    result = fvlm_data("export", "tables", str(tmp_path / "out"), "--store", store)
    assert result.exit_code == 0, result.output
    assert {file.stem for file in (tmp_path / "out").iterdir()} == set(schemas.TABLES)
    volumes = pq.read_table(tmp_path / "out" / "volumes.parquet")
    assert sorted(volumes["volume_id"].to_pylist()) == ["v_1", "v_2"]
    again = fvlm_data("export", "tables", str(tmp_path / "out"), "--store", store)
    assert "not empty; expected a new or empty folder" in told(again)


def test_compact(store: str, filled: Context):
    for _ in range(2):
        filled.store.replace(
            "splits", ["p_9"], [Split(patient_id="p_9", split="test", source="file")]
        )
    result = fvlm_data("compact", "--store", store, "--keep-hours", "0", "--json")
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    assert done["tables"]["splits"] == {"before": 2, "after": 1, "removed": 3}
    assert done["shards_given_up"] == done["shards_written"] == 0
    again = fvlm_data("compact", "--store", store)
    assert again.stdout.startswith("shards: 0 sparse ones joined to 0; 0 removed")
    assert again.stdout.endswith("0 old files removed\n")


def test_compact_of_a_store_that_cannot_be_written(store: str, monkeypatch: pytest.MonkeyPatch):
    def read_only(*arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "fsync", read_only)
    assert "Read-only file system" in told(fvlm_data("compact", "--store", store))


@pytest.mark.parametrize(
    "command", ["verify", "status", "pair", "segment", "shard", "qc", "compact", "explain x"]
)
def test_no_store_there(tmp_path: Path, command: str):
    result = fvlm_data(*command.split(), "--store", str(tmp_path / "typo"))
    assert "no store found there" in told(result)
    assert not (tmp_path / "typo").exists()


def test_unreadable_store(store: str):
    Path(store, "store.json").write_text("{")
    assert "store.json cannot be read" in told(fvlm_data("verify", "--store", store))


def test_damaged_table(store: str, filled: Context):
    for path in filled.store.files("tables/volumes"):
        if path.endswith(".parquet"):
            filled.store.remove(path)
    result = fvlm_data("verify", "--store", store)
    assert result.exit_code == 1
    assert result.stdout.startswith("BROKEN every file of the tables can be read (1 unreadable)")
    assert "table volumes cannot be read" in told(fvlm_data("explain", "sa_1", "--store", store))


def test_unknown_key_of_a_configuration(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("store: s\nshrad: {}\n")
    assert "shrad is not a known key" in told(fvlm_data("curate", str(file)))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ingest", "nowhere"], "source nowhere: not found"),
        (["reports", "r.csv", "--column", "study_uid"], "--column study_uid: expected our_name="),
        (["segment", "--backend", "precomputed"], "needs masks and classes; set both"),
        (["pair", "--set", "pair.normal=perhaps"], "pair.normal: Input should be 'stated' or"),
    ],
)
def test_command_that_cannot_run(store: str, arguments: list[str], sentence: str):
    assert sentence in told(fvlm_data(*arguments, "--store", store))


def test_help_names_every_command():
    result = fvlm_data("--help")
    assert result.exit_code == 0
    named = app.registered_commands
    commands = {one.name or one.callback.__name__.replace("_", "-") for one in named}
    assert len(commands) >= 11
    assert all(command in result.stdout for command in commands)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("ingest {}/mask.nii.gz --mapping {}.csv", "sources[0].mapping {}.csv: not found"),
        ("reports {}.csv", "reports[0].path {}.csv: not found"),
        ("reports {}/no.csv --mapping {}.csv", "not found"),
        ("segment --backend precomputed --masks {}.csv --classes totalsegmentator_v2", "masks {}"),
        ("segment --backend precomputed --masks {} --classes {}.yaml", "classes {}.yaml: neither"),
        ("pair --set pair.split_file={}.csv", "pair.split_file {}.csv: not found"),
    ],
)
def test_mistyped_path_is_told_before_anything_is_written(
    store: str, tmp_path: Path, arguments: str, sentence: str
):
    """Else every later command would take the path from the store's last configuration."""
    place = tmp_path / "empty"
    place.mkdir()
    (place / "mask.nii.gz").write_bytes(b"")
    before = files_of(store)
    result = fvlm_data(*arguments.replace("{}", str(place)).split(), "--store", store)
    assert sentence.replace("{}", str(place)) in told(result)
    assert files_of(store) == before


def test_mistyped_report_file_is_told_before_the_hours_of_the_stages_before(tmp_path: Path):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "1.dcm").write_bytes(b"no DICOM")
    config = tmp_path / "c.yaml"
    config.write_text("store: s\nsources: [{kind: dicom, path: ct}]\nreports: [{path: gone.csv}]\n")
    assert "reports[0].path" in told(fvlm_data("curate", str(config)))
    assert not (tmp_path / "s").exists()


def test_two_sources_whose_folders_have_one_name(tmp_path: Path):
    url = str(tmp_path / "store")
    for year in ("2024", "2025"):
        (tmp_path / year / "ct").mkdir(parents=True)
        (tmp_path / year / "ct" / "1.dcm").write_bytes(b"no DICOM")
    first, second = (str(tmp_path / year / "ct") for year in ("2024", "2025"))
    assert fvlm_data("ingest", first, "--store", url).exit_code == 0
    assert "two sources are named ct" in told(fvlm_data("ingest", second, "--store", url))
    named = fvlm_data("ingest", second, "--store", url, "--name", "ct of 2025", "--json")
    assert json.loads(named.stdout)["stages"]["discover ingest"]["unchanged"] == 1
    again = fvlm_data("ingest", second, "--store", url, "--json")  # keeps its name, and so its ids
    assert json.loads(again.stdout)["stages"]["discover ingest"]["unchanged"] == 2


def test_task_has_its_name_by_the_backend_whichever_command_came_first(store: str, tmp_path: Path):
    """`ingest` writes down the whole configuration, with the default backend's task."""
    (tmp_path / "masks").mkdir()
    masks = ["--masks", str(tmp_path / "masks"), "--classes", "totalsegmentator_v2"]
    segment = ["segment", "--store", store]

    def task() -> str:
        return str(resolved_config(store, None, None, {}).segment.task)

    assert task() == "threshold"
    assert fvlm_data(*segment, "--backend", "precomputed", *masks).exit_code == 0
    assert task() == "total"
    assert fvlm_data(*segment, "--set", "segment.task=lungs").exit_code == 0
    assert fvlm_data(*segment, "--backend", "precomputed").exit_code == 0
    assert task() == "lungs"


def test_status_lists_what_was_set_aside_with_what_to_do(store: str, filled: Context):
    def aside(kind: str, item: str, reason: str, detail: str, *files: str) -> Quarantined:
        return Quarantined(
            kind=kind, stage="s", item=item, reason=reason, detail=detail, source_files=files
        )

    asides = [aside("out_of_scope", "f_3", "not_dicom", "no DICOM", "f_3")]
    asides += [
        aside("fault", f"se_{n}", "missing_slices", "send again", "f_1", "f_2") for n in range(5)
    ]
    filled.store.replace_all("quarantine", asides)
    summary = fvlm_data("status", "--store", store)
    assert f"what to do: fvlm-data status --set-aside --store {store}" in summary.stdout
    result = fvlm_data("status", "--set-aside", "--reveal", "--store", store)
    assert result.stdout == (
        "fault: missing_slices (5)\n"
        "  se_0 (2 files: scans/Doe/1.dcm, f_2)\n    send again\n"
        "  se_1 (2 files: scans/Doe/1.dcm, f_2)\n    send again\n"
        "  se_2 (2 files: scans/Doe/1.dcm, f_2)\n    send again\n"
        "  and 2 more: --json lists all\n"
        "out_of_scope: not_dicom (1)\n"
        "  f_3\n    no DICOM\n"
    )
    listed = fvlm_data("status", "--set-aside", "--json", "--store", store)
    assert len(json.loads(listed.stdout)) == 6
    assert "Doe" not in listed.stdout
    assert "give both" in told(fvlm_data("status", "--reveal", "--store", store))


def test_summary_names_only_files_that_are_there_and_the_next_step(tmp_path: Path):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "1.dcm").write_bytes(b"no DICOM")
    store = str(tmp_path / "store")
    first = fvlm_data("ingest", str(tmp_path / "ct"), "--store", store)
    assert "Next: fvlm-data ingest SOURCE: there is no volume yet" in first.stdout
    for result in (first, fvlm_data("status", "--store", store)):
        assert "qc/index.html" not in result.stdout
        places = re.findall(r"\S+\.(?:json|html)", result.stdout)
        assert all(Path(store, place).is_file() for place in places)
    page = fvlm_data("qc", "--store", store).stdout.strip()
    assert Path(page).is_file()
    assert "look there at qc/index.html" in fvlm_data("status", "--store", store).stdout


def test_reports_that_were_all_set_aside_are_not_asked_for_again(tmp_path: Path):
    """Another file of them would fare alike: why they were set aside is the next step."""
    (tmp_path / "ct").mkdir()
    nib.save(nib.Nifti1Image(chest(0), AFFINE_RAS), tmp_path / "ct" / "a.nii.gz")
    (tmp_path / "reports.csv").write_text('volume_name,report\n,"The lungs are clear."\n')
    store = str(tmp_path / "store")
    assert fvlm_data("ingest", str(tmp_path / "ct"), "--store", store).exit_code == 0
    assert "there is no report yet" in fvlm_data("segment", "--store", store).stdout
    read = fvlm_data("reports", str(tmp_path / "reports.csv"), "--store", store).stdout
    assert "Next: fvlm-data status --set-aside: all reports that were read were set aside" in read


@pytest.mark.parametrize("content", ["a: [", "only text", "\x00"])
def test_damaged_configuration_of_a_store(store: str, content: str):
    Path(store, "config.yaml").write_text(content)
    for command in ("status", "pair"):
        assert "config.yaml is damaged" in told(fvlm_data(command, "--store", store))


@pytest.mark.parametrize(
    ("key", "meant"),
    [("shrad.x", "shard"), ("shard.spacing", "spacing_mm"), ("parse.llm.endpiont", "endpoint")],
)
def test_unknown_key_names_the_nearest(store: str, key: str, meant: str):
    result = fvlm_data("pair", "--store", store, "--set", f"{key}=1")
    assert f"is not a known key (did you mean {meant}?)" in told(result)


def test_version():
    result = fvlm_data("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("fvlm ")


def test_help_shows_the_commands_in_the_order_of_use():
    shown = fvlm_data("--help").stdout
    order = ["ingest", "segment", "reports", "pair", "shard", "verify", "export"]
    places = [shown.index(f"│ {name} ") for name in order]
    assert places == sorted(places)
    assert "Begin with ingest" in shown


def test_phantom_where_nothing_can_be_written(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    place = str(tmp_path / "file" / "below")
    assert "cannot be written" in told(fvlm_data("phantom", place, "--patients", "1"))


@pytest.mark.parametrize("url", ["gs://bucket/store", "nosuch://bucket/store"])
def test_url_of_a_kind_that_is_not_there(url: str):
    sentence = told(fvlm_data("status", "--store", url))
    assert "None" not in sentence
    assert url.partition(":")[0] in sentence


def test_unset_shell_variable_is_not_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert "not found" in told(fvlm_data("ingest", "", "--store", str(tmp_path / "s")))
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "1.dcm").write_bytes(b"no DICOM")
    for command in (["ingest", "ct"], ["status"], ["export", "tables", "out"]):
        assert "an empty name given" in told(fvlm_data(*command, "--store", ""))
    assert [path.name for path in tmp_path.iterdir()] == ["ct"]


def test_unknown_level_of_the_log(store: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_LOG", "loud")
    assert "FVLM_LOG: loud found, expected one of" in told(fvlm_data("status", "--store", store))


def files_of(store: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path(store).rglob("*")) if p.is_file()}
