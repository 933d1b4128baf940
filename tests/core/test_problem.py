"""The bundle of `report-problem`: all that a developer asks for, and nothing planted."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import FvlmError
from fvlm_data.inspect.doctor.places import place_checks
from fvlm_data.inspect.problem.bundle import bundle, write_bundle
from fvlm_data.inspect.problem.unnamed import unnamed
from fvlm_data.inspect.verify import Check
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.store.declared import Context
from schemas import Quarantined, Waiting

PATIENT = "p_0123456789abcdef0123"
STUDY = "st_0123456789abcdef0123"
FILE = "f_0123456789abcdef0123"
UID = "1.2.840.113619.2.55.3.604688119"
PLANTED = (
    "Doe_John", "DOE^JOHN", "zebra-striped", "12345678", "Ward7", "verysecret", "chat.example",
    "mail.ward.example", "chief@ward.example", "pacs.ward.example", PATIENT, STUDY, FILE, UID,
    "HUGO_KEY", "Krankennummer",
)  # fmt: skip


@pytest.fixture
def config(context: Context, tmp_path: Path) -> Config:
    archive = tmp_path / "Ward7" / "Doe_John_19500101"
    archive.mkdir(parents=True)
    reports = tmp_path / "Ward7" / "zebra-striped.csv"
    reports.write_text("Krankennummer,findings\n12345678,Fine.\n")
    return load_config(
        None,
        (),
        {
            "store": context.store.url,
            "sources": [
                {"kind": "dicom", "path": str(archive), "name": "Doe_John"},
                {"kind": "dicomweb", "url": "http://pacs.ward.example:1/dicom-web"},
            ],
            "reports": [
                {"path": str(reports), "columns": {"patient_id": "Krankennummer"}},
            ],
            "segment": {
                "backend": "precomputed",
                "masks": str(archive / "masks"),
                "classes": str(archive / "verysecret.yaml"),
            },
            "monitoring": {
                "webhook": "https://chat.example/verysecret",
                "mail": {
                    "host": "mail.ward.example",
                    "sender": "fvlm@ward.example",
                    "to": ["chief@ward.example"],
                },
            },
            "parse": {
                "llm": {
                    "endpoint": "http://chat.example/v1",
                    "api_key_env": "HUGO_KEY",
                    "model": "Ward7",
                }
            },
            "execution": {"resources": {"segment": {"Ward7": 1}}, "workers": 3},
        },
    )


@pytest.fixture
def files(context: Context, config: Config, hand: ModuleType) -> dict[str, bytes]:
    """The bundle of a store whose rows and whose failed run quote patients."""
    context.store.replace_all("volumes", [hand.volume(1, STUDY, PATIENT)])
    where = "ValueError at series.py:12"
    asides = [
        ("unexpected", f"{where}; expected none; DOE^JOHN"),
        ("unexpected", "a Doe_John without a place"),
        ("missing_slices", "item 12345678 of DOE^JOHN"),
        ("A reason of DOE^JOHN", "of another package"),
    ]
    context.store.replace_all(
        "quarantine",
        [
            Quarantined(
                kind="fault", stage="ingest", item=f"{UID}.{number}", reason=reason, detail=detail,
                source_files=(FILE, "Doe_John/1.dcm"),
            )
            for number, (reason, detail) in enumerate(asides)
        ],
    )  # fmt: skip
    waits = Waiting(owner_kind="study", owner_id=STUDY, waits_for="report", since_run="run")
    context.store.replace_all("waiting", [waits])

    def stop(stage: str, done: int, total: int) -> None:
        raise FvlmError("the report of DOE^JOHN, a zebra-striped one")

    with pytest.raises(FvlmError):
        curate(config, ["split"], progress=stop)
    checks = [
        *place_checks(config),
        Check("source Doe_John answers", False, "pacs.ward.example:1: refused", (UID, PATIENT)),
        Check(f"id {STUDY}", True, f"{FILE} at 192.168.1.17 in {context.store.url}/tables"),
    ]
    return bundle(config, context, checks)


def test_no_name_id_place_or_secret_is_in_any_byte(
    files: dict[str, bytes], context: Context, tmp_path: Path
):
    path = tmp_path / "problem.zip"
    write_bundle(path, files)
    raw = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        assert packed.namelist() == list(files)
        contents = [packed.read(name) for name in packed.namelist()]
    places = (str(tmp_path), str(Path.home()) + "/", context.store.url, str(context.vault.folder))
    for planted in (*PLANTED, *places, "192.168.1.17"):
        for content in (raw, *contents):
            assert planted.lower().encode() not in content.lower(), planted
    assert path.stat().st_mode & 0o077 == 0


def test_what_a_developer_asks_for_is_there(files: dict[str, bytes]):
    told = {name: json.loads(content) for name, content in files.items()}
    assert told["versions.json"]["packages"]["fvlm"]
    settings = told["configuration.json"]
    assert settings["segment"]["backend"] == "precomputed"
    assert settings["segment"]["masks"] == "<withheld>"
    assert settings["execution"]["workers"] == 3
    assert [source["kind"] for source in settings["sources"]] == ["dicom", "dicomweb"]
    counts = told["counts.json"]
    assert counts["waiting"] == {"study waits for report": 1}
    assert counts["set_aside"] == {"fault:missing_slices": 1, "fault:unexpected": 2, "other": 1}
    assert counts["tables"]["volumes"] == 1
    (run,) = told["runs.json"]
    assert (run["failed"], run["finished"]) == ("FvlmError", False)
    assert run["failed_at"][-1].startswith("test_problem.py:")
    assert any(frame.startswith("curate.py:") for frame in run["failed_at"])
    assert told["errors.json"] == [
        {"stage": "ingest", "error": "ValueError at series.py:12", "items": 1},
        {"stage": "ingest", "error": "not told", "items": 1},
    ]
    statements = {check["statement"]: check for check in told["doctor.json"]}
    assert statements["the store has room, and can be written"]["found"].split()[1:3] == [
        "GB", "free",
    ]  # fmt: skip
    assert not statements["source <withheld> answers"]["holds"]


@pytest.mark.parametrize(
    "text",
    ["in /archive/x: gone", "of doe_john", "to ~/scans", "at https://a.b/c", r"on C:\scans\x", UID],
)
def test_names_and_shapes_are_withheld_from_sentences(text: str):
    told = unnamed(text, {"Doe_John"})
    assert "<withheld>" in told
    for part in ("archive", "john", "scans", "a.b", UID):
        assert part not in told


def test_sentences_without_names_stay_as_they_are():
    text = "12.5 GB free; 3 of 11 transfer syntaxes, torch 2.6.0+cpu, no GPU, <5 and/or 1"
    assert unnamed(text, {"Doe_John"}) == text


def test_command_writes_once_and_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checks = [Check("Python is new", True, "3.12")]
    monkeypatch.setattr("fvlm_data.inspect.doctor.examine", lambda config: checks)
    path = tmp_path / "problem.zip"
    first = CliRunner().invoke(app, ["report-problem", str(path)])
    assert first.exit_code == 0, first.output
    with zipfile.ZipFile(path) as packed:
        assert packed.namelist() == ["versions.json", "doctor.json"]
    before = path.read_bytes()
    second = CliRunner().invoke(app, ["report-problem", str(path)])
    assert second.exit_code == 2
    assert "is there already" in second.stderr
    assert path.read_bytes() == before


def test_of_a_damaged_store_is_told_what_can_be_read(context: Context):
    context.store.write_bytes("runs/20260101T000000Z-abc.json", b"{")
    config = load_config(None, (), {"store": context.store.url})
    told = bundle(config, context, [])
    assert json.loads(told["runs.json"]) == {"not told": "StoreError"}
    assert json.loads(told["errors.json"]) == []


def test_a_store_that_does_not_open_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fvlm_data.inspect.doctor.examine", lambda config: [])
    file = tmp_path / "c.yaml"
    file.write_text("store: gone\n")
    path = tmp_path / "problem.zip"
    made = CliRunner().invoke(app, ["report-problem", str(path), "--config", str(file)])
    assert made.exit_code == 0, made.output
    with zipfile.ZipFile(path) as packed:
        assert packed.namelist() == ["versions.json", "doctor.json", "configuration.json"]
