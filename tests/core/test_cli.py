from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

import schemas
from fvlm_data.cli import app
from fvlm_data.commands.options import resolved_config
from fvlm_data.config import load_config
from fvlm_data.runs import begin
from fvlm_data.stage import Context
from schemas import Split


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
    assert "table volumes cannot be read" in told(fvlm_data("verify", "--store", store))


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
    commands = {command.callback.__name__ for command in app.registered_commands}
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


def files_of(store: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path(store).rglob("*")) if p.is_file()}
