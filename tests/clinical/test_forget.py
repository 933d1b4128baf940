"""A patient who withdraws leaves no clinical value behind, and comes in no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forget.searched import hits
from tests.forget.test_small_stores import WORDS, A, B, Ward, series

STAGES = ("ingest", "select", "clinical")


def test_clinical_values_go_with_their_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    ward = Ward(tmp_path)
    ward.add(series(A))
    ward.add(series(B))
    file = tmp_path / "lab.csv"
    file.write_text(
        "patient_id,time,name,value,unit\n"
        f"{A},2024-04-30,crp,123.25,mg/L\n{B},2024-04-30,crp,6,mg/L\n"
    )
    ward.values["clinical"] = {"sources": [{"path": str(file)}]}
    ward.run(*STAGES)
    assert sorted(ward.store.read("clinical")["value"].to_pylist()) == [6.0, 123.25]
    assert ward.wrong() == []
    done = ward.forget(A)
    assert done.journal.rows.counts["clinical"] == 1
    assert done.journal.rows.counts["inputs"] == 7  # six slices, and what the file holds of A
    assert ward.store.read("clinical")["value"].to_pylist() == [6.0]
    assert hits(ward.places, {*WORDS, "123.25"}) == []
    assert ward.wrong() == []
    summary = ward.run(*STAGES)
    assert summary.set_aside["out_of_scope:forgotten"] == 7
    assert ward.store.read("clinical")["value"].to_pylist() == [6.0]
    assert hits(ward.places, {*WORDS, "123.25"}) == []
    assert ward.wrong() == []
