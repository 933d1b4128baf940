"""Planted identities are searched in every byte that a run wrote and printed."""

from __future__ import annotations

import csv
import gzip
import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli import app
from fvlm_data.store import Store
from tests.ingest.series import Series, write

PLANTED = ("Mustermann", "Erika", "PAT-0042", "ACC00017", "19300215", "Quellenhof", "SECRETFOLDER")
REPORT = (
    "CLINICAL INFORMATION: Mrs. Erika Mustermann (PAT-0042), born 15.02.1930, sent by the "
    "Quellenhof clinic, accession ACC00017.\n"
    "FINDINGS: The liver is normal. Mustermann's spleen is enlarged.\nIMPRESSION: Splenomegaly."
)


def test_no_planted_identity_leaves_the_vault(
    tmp_path: Path, vault_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series = Series(
        tags={
            "InstitutionName": "Quellenhof",
            "SeriesDescription": "Thorax Mustermann",
            "ImageComments": "Erika Mustermann",
            "StudyDescription": "Mustermann CT",
            "OtherPatientIDs": "PAT-0042",
        }
    )
    archive = tmp_path / "archive"
    write(series.datasets(), archive / "SECRETFOLDER Mustermann")
    (archive / "Mustermann notes.txt").write_text("Erika Mustermann")
    reports = tmp_path / "reports.csv"
    with reports.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["study_uid", "report"], [series.study_uid, REPORT]])
    store = tmp_path / "store"
    printed = ""
    with caplog.at_level(logging.DEBUG):
        for command in (
            ["reports", reports],
            ["ingest", archive],
            ["segment", "--backend", "threshold"],
            ["reports", reports],  # scrubbed again: the headers are known now
            ["pair"],
            ["shard"],
            ["verify"],
        ):
            result = CliRunner().invoke(app, [*map(str, command), "--store", str(store)])
            assert result.exit_code == 0, result.output
            printed += result.output

    found = [name for name in PLANTED if name.casefold() in printed.casefold()]
    found += [name for name in PLANTED if name.casefold() in caplog.text.casefold()]
    assert found == []
    vault = Path(os.environ["FVLM_VAULT"])
    for folder in (store, vault):
        for path in (p for p in folder.rglob("*") if p.is_file()):
            if path.name in ("config.yaml",) or path.parent.name == "runs":
                continue  # they hold the paths that the user typed, which are the archive's root
            content = path.read_bytes()
            if path.suffix == ".gz":
                content += gzip.decompress(content)
            hits = [n for n in PLANTED if n.encode() in content or n in str(path)]
            assert hits == [], path.relative_to(folder)
    opened = Store.open(store)
    tables = ("reports", "sentences", "anatomy_texts", "volumes", "quarantine", "inputs", "links")
    rows = str([opened.read(name).to_pylist() for name in tables]).casefold()
    assert [name for name in PLANTED if name.casefold() in rows] == []
    assert "splenomegaly" in rows
