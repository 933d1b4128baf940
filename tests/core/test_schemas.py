from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import schemas
from fvlm_data.store.tables import Store
from schemas import Finding, Quarantined, Report, SchemaError, Sentence, Split, VolumeCheck

ROOT = Path(__file__).resolve().parents[2]

FINDING = Finding(
    report_id="r",
    sentence=0,
    start=0,
    end=4,
    finding="cyst",
    anatomy="liver",
    status="present",
    laterality=None,
    severity=None,
    size_mm=4.5,
)
REPORT = Report(
    report_id="r",
    text="t",
    sections=({"name": "findings", "start": 0, "end": 1},),
    source_files=("f",),
)
CHECK = VolumeCheck(volume_id="v", body_region="chest", contrast="unknown", flags=("a",))


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (FINDING, "start", "0"),
        (FINDING, "start", 1.5),
        (FINDING, "start", True),
        (FINDING, "start", 2**31),
        (FINDING, "start", 2**80),
        (FINDING, "start", None),
        (FINDING, "finding", b"cyst"),
        (FINDING, "finding", "\udc80"),
        (FINDING, "status", "maybe"),
        (FINDING, "laterality", "both"),
        (FINDING, "size_mm", "4.5"),
        (CHECK, "flags", "abc"),
        (CHECK, "flags", (None,)),
        (CHECK, "flags", None),
        (REPORT, "sections", ({"name": "findings", "start": 0},)),
        (REPORT, "sections", ({"name": "findings", "start": 0, "end": 1, "more": 2},)),
        (REPORT, "sections", ({"name": "findings", "start": 0, "end": None},)),
    ],
)
def test_row_that_breaks_its_schema_is_not_committed(
    store: Store, row: Any, column: str, value: Any
):
    name = {Finding: "findings", VolumeCheck: "volume_checks", Report: "reports"}[type(row)]
    owner = getattr(row, schemas.TABLES[name].replaced_by)
    broken = dataclasses.replace(row, **{column: value})
    with pytest.raises(SchemaError, match=rf"table {name}.*column {column}") as caught:
        store.replace(name, [owner], [row, broken])
    assert store.count(name) == 0
    if value is not None:
        assert str(value) not in str(caught.value).split()


def test_row_of_another_table_is_not_committed(store: Store):
    row = Split(patient_id="p", split="train", source="hash")
    with pytest.raises(SchemaError, match="row 0: found a Split, expected a VolumeCheck"):
        store.replace("volume_checks", ["p"], [row])


def test_row_of_an_item_that_the_commit_does_not_replace_is_refused(store: Store):
    row = Split(patient_id="p", split="train", source="hash")
    with pytest.raises(SchemaError, match="a row's patient_id is none of those"):
        store.replace("splits", ["q"], [row])
    with pytest.raises(SchemaError, match="a row's patient_id is none of those"):
        store.replace("splits", [], [row])


def test_row_outside_the_replaced_partition_is_refused(store: Store):
    row = Quarantined(kind="fault", stage="pair", item="p", reason="r", detail="d", source_files=())
    with pytest.raises(SchemaError, match="a row's stage is none of those"):
        store.replace("quarantine", ["p"], [row], {"stage": "ingest"})


def test_nothing_is_lost_or_cut_on_the_way(store: Store):
    store.replace("findings", ["r"], [FINDING])
    store.replace("reports", ["r"], [REPORT])
    assert store.read("findings").to_pylist() == [dataclasses.asdict(FINDING)]
    assert store.read("reports").to_pylist()[0]["sections"] == list(REPORT.sections)


@pytest.mark.parametrize("name", sorted(schemas.TABLES))
def test_table_is_complete(name: str):
    table = schemas.TABLES[name]
    assert table.name == name
    assert table.description.endswith(".")
    assert table.primary_key
    key_columns = {*table.primary_key, table.replaced_by, *table.partition_by}
    assert key_columns <= table.columns.keys()
    for column_name, column in table.columns.items():
        assert len(column.description) > 3, f"{name}.{column_name} has no description"
        assert not (column.nullable and column_name in key_columns)
        assert not pa.types.is_unsigned_integer(column.type), "Delta has no unsigned integers"


@pytest.mark.parametrize("name", sorted(schemas.TABLES))
def test_columns_in_physical_units_name_them(name: str):
    ends = {"_mm": "mm", "_ml": "ml", "_bytes": "bytes", "_ns": "ns", "_years": "years"}
    for column_name, column in schemas.TABLES[name].columns.items():
        for end, unit in ends.items():
            if column_name.endswith(end):
                assert column.unit == unit


def test_stored_table_keeps_descriptions_and_units(store: Store):
    field = store.read("volumes").schema.field("spacing_mm")
    assert field.metadata[b"unit"] == b"mm"
    assert field.metadata[b"description"]


def test_documentation_of_the_tables_is_up_to_date():
    made = subprocess.run(
        [sys.executable, "-m", "schemas.docs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    stands = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert made == stands, "run: python -m schemas.docs > docs/tables.md"


def test_report_text_stays_out_of_the_log(store: Store):
    """The log is never erased; a text that is scrubbed again must not live on in it."""
    said = Sentence(
        report_id="r",
        sentence=0,
        start=0,
        end=7,
        section="findings",
        text="PLANTED",
        anatomies=("PLANTED",),
        assessments=("normal",),
    )
    store.replace("reports", ["r"], [dataclasses.replace(REPORT, text="PLANTED")])
    store.replace("sentences", ["r"], [said])
    logs = [path for path in store.files("tables") if "/_delta_log/" in path]
    assert len(logs) > len(schemas.TABLES)
    assert not [path for path in logs if b"PLANTED" in store.read_bytes(path)]
