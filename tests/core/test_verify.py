from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import pytest

from fvlm_data.errors import InputError, StoreError
from fvlm_data.inspect.explain import explain
from fvlm_data.inspect.verify import verify
from fvlm_data.store.declared import Context
from schemas import TABLES, Quarantined, Waiting


def broken(context: Context) -> list[Any]:
    return [check for check in verify(context.store) if not check.passed]


def aside(stage: str, item: str, files: tuple[str, ...] = (), reason: str = "r") -> Quarantined:
    return Quarantined(
        kind="fault", stage=stage, item=item, reason=reason, detail="d", source_files=files
    )


def test_whole_store_holds(filled: Context):
    checks = verify(filled.store)
    assert [check.name for check in checks if not check.passed] == []
    assert {f"table {name} has one row a primary key" for name in TABLES} <= {
        check.name for check in checks
    }


def test_empty_store_holds(context: Context):
    assert broken(context) == []


@pytest.mark.parametrize(
    ("kind", "token", "item", "name"),
    [
        ("file", "f_9", None, "files"),
        ("file", "f_9", "se_9", "series"),
        ("report", "r_9", "r_9", "reports"),
    ],
)
def test_lost_input_is_found(
    hand: ModuleType, filled: Context, kind: str, token: str, item: str | None, name: str
):
    filled.store.replace("inputs", [token], [hand.offered(kind, token, item)])
    checks = {check.name: check for check in broken(filled)}
    check = checks[f"every one of the {name} is in exactly one place"]
    assert "1 unaccounted for" in check.counted
    assert check.examples == (item if name == "series" else token,)


def test_input_that_was_set_aside_is_not_lost(hand: ModuleType, filled: Context):
    filled.store.replace("inputs", ["f_8", "f_9"], [hand.offered("file", "f_8", "se_8")])
    filled.store.replace("inputs", ["f_9"], [hand.offered("file", "f_9", None)])
    filled.store.replace("quarantine", ["se_8"], [aside("ingest", "se_8", ("f_8",))])
    filled.store.replace("quarantine", ["f_9"], [aside("discover", "f_9", ("f_9",))])
    hand.close(filled)
    assert broken(filled) == []


def test_input_in_two_places_is_found(hand: ModuleType, filled: Context):
    filled.store.replace("quarantine", ["f_1"], [aside("discover", "f_1", ("f_1",))])
    hand.close(filled)
    (check,) = broken(filled)
    assert "1 in two places" in check.counted


def test_file_that_was_never_offered_is_found(filled: Context):
    filled.store.replace("quarantine", ["f_7"], [aside("discover", "f_7", ("f_7",))])
    (check,) = broken(filled)
    assert "1 never offered" in check.counted


def test_study_without_a_place_is_found_unless_pairing_set_it_aside(filled: Context):
    filled.store.replace_all("waiting", [])
    checks = {check.name: check.examples for check in broken(filled)}
    assert checks == {
        "every one of the studies is in exactly one place": ("st_2",),
        "what waits is what lacks its other half": ("st_2",),
    }
    filled.store.replace("quarantine", ["st_2"], [aside("pair", "st_2", reason="unexpected")])
    assert broken(filled) == []


def test_report_without_a_place_is_found_unless_it_waits_or_is_in_conflict(filled: Context):
    filled.store.replace_all("study_reports", [])
    waits = [
        Waiting(owner_kind="study", owner_id=study, waits_for="report", since_run="run")
        for study in ("st_1", "st_2")
    ]
    filled.store.replace_all("waiting", waits)
    checks = {check.name: check.examples for check in broken(filled)}
    assert checks == {
        "every one of the reports is in exactly one place": ("r_1",),
        "what waits is what lacks its other half": ("r_1",),
    }
    conflict = aside("match", "r_1", reason="conflicting_links")
    filled.store.replace("quarantine", ["r_1"], [conflict])
    assert broken(filled) == []
    filled.store.replace("quarantine", ["r_1"], [])
    waiting = Waiting(owner_kind="report", owner_id="r_1", waits_for="study", since_run="run")
    filled.store.replace_all("waiting", [*waits, waiting])
    assert broken(filled) == []


def test_missing_file_is_found(filled: Context):
    filled.store.remove("masks")
    (check,) = broken(filled)
    assert (check.name, check.examples) == (
        "every named file is there",
        ("masks/01/v_1.total.nii.gz",),
    )


def test_patient_in_two_splits_is_found(hand: ModuleType, filled: Context):
    other = dataclasses.replace(hand.sample(), sample_id="sa_2", split="test", volume_id="v_2")
    filled.store.replace("samples", ["sa_2"], [other])
    hand.put_shard(filled.store, other)
    (check,) = broken(filled)
    assert (check.name, check.examples) == ("each patient is in one split", ("p_1",))


@pytest.mark.parametrize(
    ("table", "named"),
    [("masks", "masks of volumes"), ("sentences", "sentences of reports")],
)
def test_orphan_is_found(hand: ModuleType, filled: Context, table: str, named: str):
    rows: dict[str, Any] = {
        "masks": hand.mask("v_9", "masks/01/v_1.total.nii.gz"),
        "sentences": hand.sentence(0, "findings", "x", report_id="r_9", liver="normal"),
    }
    owner = {"masks": "v_9", "sentences": "r_9"}[table]
    filled.store.replace(table, [owner], [rows[table]])
    assert [(c.name, c.examples) for c in broken(filled)] == [(f"{named} exist", (owner,))]


def test_double_primary_key_is_found(hand: ModuleType, filled: Context):
    rows = [hand.volume(1, "st_1"), hand.volume(1, "st_1"), hand.volume(2, "st_2")]
    filled.store.replace_all("volumes", rows)
    names = {check.name: check.examples for check in broken(filled)}
    assert names["table volumes has one row a primary key"] == ("v_1",)


def test_explain_walks_back_to_files_and_sentences(filled: Context):
    told = explain(filled, "sa_1")
    assert told["volume"]["source_files"] == ["f_1"]
    assert told["masks"] == ["masks/01/v_1.total.nii.gz"]
    assert told["shard"] == "shards/train/sh_1.zarr"
    liver = told["anatomies"]["liver"]
    assert list(liver["sentences"].values()) == ["Liver cyst.", "There is a cyst in the liver."]
    text = filled.store.read("reports")["text"].to_pylist()[0]
    for source, sentence in liver["sentences"].items():
        start, end = (int(number) for number in source.split(":")[1:])
        assert text[start:end] == sentence
    assert explain(filled, "sa_1", reveal=True)["volume"]["source_files"] == ["scans/Doe/1.dcm"]


def test_explain_of_an_unknown_sample(filled: Context):
    with pytest.raises(InputError, match=r"sample sa_9: not in the store; .*samples \(1 rows\)"):
        explain(filled, "sa_9")


def test_explain_where_the_volume_is_gone(filled: Context):
    filled.store.replace_all("volumes", [])
    with pytest.raises(StoreError, match="its volume v_1 is not in the store; run `fvlm-data ver"):
        explain(filled, "sa_1")
