"""A report that is changed in its source, withdrawn from it or no longer offered by it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.inspect.verify import verify
from fvlm_data.reports.discovery import discover_reports
from fvlm_data.run.curate import curate
from fvlm_data.run.records import open_context
from tests.reports.driven import made, ran, unplaced
from tests.reports.test_corrections import fhir, hl7, images_arrive

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

MASS, NONE = "Liver cyst of 3 cm.", "No cyst in the liver."


def table(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "r.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def row(text: str, accession: str = "A1", **more: str) -> dict[str, str]:
    return {"accession": accession, "report": text, **more}


def texts(context: Context) -> set[str]:
    return set(context.store.read("reports")["text"].to_pylist())


def aside(context: Context) -> list[tuple[str, str]]:
    rows = context.store.read("quarantine").to_pylist()
    assert unplaced(context) == []
    return sorted((one["kind"], one["reason"]) for one in rows)


def again(config: Config) -> dict[str, int]:
    """Counts of another look at the sources."""
    context = open_context(config, create=False)
    return dict(discover_reports(context, config.reports, config.identity.source_names))


@pytest.mark.parametrize("more", [{}, {"report_id": "7"}, {"report_id": "7", "issued": "2021"}])
@pytest.mark.parametrize(
    "gone", ["auto", *(pytest.param(one, marks=pytest.mark.full) for one in ("keep", "retire"))]
)
def test_a_changed_row_takes_the_place_of_what_it_was(
    tmp_path: Path, gone: str, more: dict[str, str]
):
    path = table(tmp_path, row(MASS, **more), row("Normal.", "A2"))
    config = made(tmp_path, {"path": path, "gone": gone})
    assert texts(ran(config)) == {MASS, "Normal."}
    table(tmp_path, row(NONE, **more), row("Normal.", "A2"))
    context = ran(config)
    assert texts(context) == {NONE, "Normal."}
    assert aside(context) == [("superseded", "changed_report")]
    assert again(config) == {"rows": 2}
    table(tmp_path, row(MASS, **more), row("Normal.", "A2"))
    context = ran(config)
    assert texts(context) == {MASS, "Normal."}
    assert aside(context) == [("superseded", "changed_report")]


@pytest.mark.parametrize("status", ["P", "cancelled", "withdrawn"])
def test_a_row_that_gets_another_status_is_used_no_longer(tmp_path: Path, status: str):
    path = table(tmp_path, row(MASS, report_status="F"), row(NONE, "A2", report_status="F"))
    config = made(tmp_path, {"path": path})
    ran(config)
    table(tmp_path, row(MASS, report_status=status), row(NONE, "A2", report_status="F"))
    context = ran(config)
    assert texts(context) == {NONE}
    assert context.store.read("findings")["report_id"].unique().to_pylist() == (
        context.store.read("reports")["report_id"].to_pylist()
    )
    table(tmp_path, row(MASS, report_status="F"), row(NONE, "A2", report_status="F"))
    assert texts(ran(config)) == {MASS, NONE}


def test_it_is_followed_into_the_texts_of_anatomies(tmp_path: Path):
    uid = {"study_uid": "1.2.3.4"}
    path = table(tmp_path, {"report": MASS, **uid})
    config = made(tmp_path, {"path": path})
    images_arrive(open_context(config, create=True))
    stages = ("versions", "match", "reports", "split", "pair")
    for text, state in ((MASS, "abnormal"), (NONE, "not_mentioned")):
        table(tmp_path, {"report": text, **uid})
        summary = curate(config, stages)
        context = open_context(config, create=False)
        states = context.store.read("anatomy_texts", ["anatomy", "state"]).to_pylist()
        liver = {one["state"] for one in states if one["anatomy"] == "liver"}
        assert liver <= {state, "normal_stated"}
        assert "abnormal" in liver or text == NONE
        assert texts(context) == {text}
        assert all(one.passed for one in verify(context.store) if "of the reports" in one.name)
    assert summary.stages["discover versions"]["changed_reports"] == 1


def test_another_mapping_of_columns_is_another_form(tmp_path: Path):
    path = table(tmp_path, {"accession": "A1", "a": MASS, "b": NONE})
    assert texts(ran(made(tmp_path, {"path": path, "columns": {"report": "a"}}))) == {MASS}
    context = ran(made(tmp_path, {"path": path, "columns": {"report": "b"}}))
    assert texts(context) == {NONE}
    assert aside(context) == [("superseded", "changed_report")]


@pytest.mark.parametrize(
    ("gone", "left"), [("auto", {MASS}), ("retire", {MASS}), ("keep", {MASS, NONE})]
)
def test_a_row_that_is_gone(tmp_path: Path, gone: str, left: set[str]):
    path = table(tmp_path, row(MASS), row(NONE, "A2"))
    config = made(tmp_path, {"path": path, "gone": gone})
    ran(config)
    table(tmp_path, row(MASS))
    counts = again(config)
    retired = gone != "keep"
    assert counts.get("retired_reports", 0) == (1 if retired else 0)
    assert counts.get("gone_and_kept", 0) == (0 if retired else 1)
    context = ran(config)
    assert texts(context) == left
    assert aside(context) == ([("superseded", "retired_report")] if retired else [])
    table(tmp_path, row(MASS), row(NONE, "A2"))
    context = ran(config)
    assert texts(context) == {MASS, NONE}
    assert aside(context) == []


@pytest.mark.parametrize(
    ("suffix", "contents", "left"),
    [
        ("txt", (MASS, NONE), {MASS}),
        ("hl7", (hl7(MASS), hl7(NONE, at="20210306", code="CTX")), {MASS, NONE}),
        ("json", (fhir(MASS, "final"), fhir(NONE, "final", id="rep2")), {MASS, NONE}),
    ],
)
def test_files_that_are_gone_are_retired_and_messages_kept(
    tmp_path: Path, suffix: str, contents: tuple[str, str], left: set[str]
):
    folder = tmp_path / "in"
    folder.mkdir()
    for number, content in enumerate(contents, start=1):
        (folder / f"{number}.{suffix}").write_text(content)
    config = made(tmp_path, {"path": folder})
    assert len(texts(ran(config))) == 2
    (folder / f"2.{suffix}").unlink()
    found = texts(ran(config))
    assert {text for text in (MASS, NONE) if any(text in one for one in found)} == left


def test_a_message_that_is_changed_in_its_file(tmp_path: Path):
    (tmp_path / "1.hl7").write_text(hl7(MASS))
    config = made(tmp_path, {"path": tmp_path / "1.hl7"})
    ran(config)
    (tmp_path / "1.hl7").write_text(hl7(NONE))
    (text,) = texts(ran(config))
    assert NONE in text


def test_a_file_with_broken_rows_retires_nothing_but_what_it_changes(tmp_path: Path):
    path = tmp_path / "r.csv"
    head = "accession,report\n"
    path.write_text(f'{head}A-001,{MASS}\nA-002,"{NONE}"\nA-003,Normal.\n')
    config = made(tmp_path, {"path": path})
    assert len(texts(ran(config))) == 3
    path.write_text(f'{head}A-001,Changed cyst.\nA-002,"{NONE}\nA-003,Normal.\n')
    context = ran(config)
    assert texts(context) == {"Changed cyst.", NONE, "Normal."}
    assert aside(context) == 2 * [("fault", "open_quote")] + [("superseded", "changed_report")]
    path.write_text(f'{head}A-001,Changed cyst.\nA-002,"{NONE}"\nA-003,Normal.\n')
    context = ran(config)
    assert texts(context) == {"Changed cyst.", NONE, "Normal."}
    assert aside(context) == [("superseded", "changed_report")]


def test_a_row_that_cannot_be_read_keeps_its_own_report_alone(tmp_path: Path):
    rows = [row(MASS, "A1"), row(NONE, "A2"), row("Normal.", "A3")]
    config = made(tmp_path, {"path": table(tmp_path, *rows)})
    assert len(texts(ran(config))) == 3
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode()
    table(tmp_path, row(picture, "A1"), row("Normal.", "A3"))
    context = ran(config)
    assert texts(context) == {MASS, "Normal."}  # A2 is gone, A1 is there and no text
    assert aside(context) == [("fault", "not_text"), ("superseded", "retired_report")]
    table(tmp_path, row("Another cyst.", "A1"), row("Normal.", "A3"))
    context = ran(config)
    assert texts(context) == {"Another cyst.", "Normal."}


def test_what_other_sources_offer_is_left_alone(tmp_path: Path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(f"accession,report\nA1,{MASS}\n")
    second.write_text(f"accession,report\nA1,{MASS}\nA2,{NONE}\n")
    ran(made(tmp_path, {"path": first}, {"path": second}))
    config = made(tmp_path, {"path": second})
    assert texts(ran(config)) == {MASS, NONE}
    second.write_text(f"accession,report\nA2,{NONE}\n")
    assert texts(ran(made(tmp_path, {"path": first}, {"path": second}))) == {MASS, NONE}


def test_addenda_come_in_order_of_their_times(tmp_path: Path):
    rows: list[dict[str, Any]] = [
        {"study_uid": "1.2.3.4", "report": text, "issued": at, "addendum": added}
        for text, at, added in (
            ("Second addendum.", "2021-03-09", "1"),
            ("Third addendum.", "1.4.2021 08:00", "1"),
            ("First addendum.", "2021-03-07T10:00", "1"),
            (MASS, "2021-03-05", ""),
        )
    ]
    config = made(tmp_path, {"path": table(tmp_path, *rows)})
    images_arrive(open_context(config, create=True))
    curate(config, ("versions", "match", "reports", "split", "pair"))
    store = open_context(config, create=False).store
    told = {one["report_id"]: one["text"] for one in store.read("reports").to_pylist()}
    ordered = store.read("study_reports").sort_by("order")["report_id"].to_pylist()
    added = [f"{number} addendum." for number in ("First", "Second", "Third")]
    assert [told[one] for one in ordered] == [MASS, *added]
