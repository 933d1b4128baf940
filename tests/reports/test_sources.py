from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from fvlm_data.reports.sources import ReportSourceError, read_reports

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_with_names_of_ct_rate(tmp_path: Path):
    path = write(
        tmp_path / "r.csv",
        "VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN\n"
        'train_1_a_1.nii.gz,Cough,,"Clear, both lungs.",Normal.\n',
    )
    (row,) = read_reports(path)
    assert row.row == 0
    assert row.links == (("volume_name", "train_1_a_1.nii.gz", None),)
    assert row.columns == {
        "clinical_information": "Cough",
        "technique": "",
        "findings": "Clear, both lungs.",
        "impression": "Normal.",
    }
    assert row.text is None


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_same_rows_of_every_format(tmp_path: Path, suffix: str):
    frame = pd.DataFrame(
        {
            "StudyInstanceUID": ["1.2.3", "1.2.4"],
            "AccessionNumber": ["007", None],
            "Issuer": ["HOSP", "HOSP"],
            "Report_Text": ["Normal.\nSecond line.", None],
        }
    )
    path = tmp_path / f"r.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    elif suffix == "parquet":
        frame.to_parquet(path)
    else:
        rows = [
            {k: (None if pd.isna(v) else v) for k, v in row.items()}
            for row in frame.to_dict(orient="records")
        ]
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")

    first, second = read_reports(path)

    assert first.links == (("accession", "007", "HOSP"), ("study_uid", "1.2.3", None))
    assert first.text == "Normal.\nSecond line."
    assert second.links == (("study_uid", "1.2.4", None),)
    assert second.text == ""


def test_mapping_names_columns(tmp_path: Path):
    path = write(tmp_path / "r.csv", "uid;befund\n1.2;Leber normal\n")
    (row,) = read_reports(path, {"study_uid": "uid", "report": "befund"})
    assert row.text == "Leber normal"


def test_wrong_column_names_the_columns_and_the_flag(tmp_path: Path):
    path = write(tmp_path / "r.csv", "uid,befund\n1.2,x\n")
    with pytest.raises(ReportSourceError, match=r"no column 'text'.*uid, befund.*--column report="):
        list(read_reports(path, {"study_uid": "uid", "report": "text"}))
    with pytest.raises(ReportSourceError, match=r"no column holds reports.*uid, befund.*--column"):
        list(read_reports(path))
    with pytest.raises(ReportSourceError, match=r"names a study.*--column study_uid=COLUMN"):
        list(read_reports(path, {"report": "befund"}))
    with pytest.raises(ReportSourceError, match="'reprot' is none of our names"):
        list(read_reports(path, {"reprot": "befund"}))


@pytest.mark.parametrize(
    ("encoding", "found"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252")]
)
def test_encodings_by_rule(tmp_path: Path, encoding: str, found: str):
    path = write(tmp_path / "r.csv", "study_uid,report\n1,\u00d6dem \u2013 3 \u00b5m\n", encoding)
    (row,) = read_reports(path)
    assert row.text == "\u00d6dem \u2013 3 \u00b5m"
    assert row.encoding == found


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.xlsx", "x", "found .xlsx"),
        ("r.parquet", "no parquet", "not readable as Parquet"),
        ("r.jsonl", '{"study_uid": 1}\nnonsense', "line 2 is no JSON object"),
        ("r.csv", "study_uid,report\n1,a,b\n", "line 2 has more cells"),
        ("r.csv", "", "its columns are none"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, name: str, content: str, message: str):
    with pytest.raises(ReportSourceError, match=message):
        list(read_reports(write(tmp_path / name, content)))


def test_missing_file(tmp_path: Path):
    with pytest.raises(ReportSourceError, match="no such file"):
        list(read_reports(tmp_path / "r.csv"))
