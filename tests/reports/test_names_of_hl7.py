"""Everybody whom a message names is scrubbed from its report, short names too."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.reports.sources.hl7_v2 import read_hl7
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.vocabulary import Vocabulary

MESSAGE = (
    "MSH|^~\\&|RIS|H|F|H|20210304||ORU^R01|1|P|2.5||||||UNICODE UTF-8\r"
    "PID|1||PAT-77001^^^H^MR||{name}||19640812|F\r{more}"
    "OBR|1|PL1|A1^RIS|CT^CT|||20210304||||||||||||||||||F\r"
    "OBX|1|TX|1^CT&GDT||{text}\r"
)


@pytest.mark.parametrize(
    ("name", "more", "text", "left"),
    [
        ("Ng^Li", "", "Mrs Ng Li has no nodule. Patient: NG, Li.", "has no nodule"),
        ("王^芳", "", "王芳 has no nodule.", "has no nodule"),
        (
            "Galbraith^Anna",
            "NK1|1|Wackelbart^Rumpold|HUS\r",
            "Husband Rumpold Wackelbart was told of the nodule.",
            "was told of the nodule",
        ),
        ("Galbraith^Anna", "GT1|1||Zimtstern^Olaf\r", "Mr Zimtstern asked. No nodule.", "nodule"),
        (
            "Galbraith^Anna",
            "ORC|RE|PL1|A1|||||||||77^Federhut^Gundula\r",
            "As Gundula Federhut asked: no nodule.",
            "no nodule",
        ),
        ("Doe^Jo^^^MD", "", "CT for MD review. No nodule.", "CT for MD review. No nodule."),
    ],
    ids=["two letters", "two characters", "next of kin", "guarantor", "orderer", "degree stays"],
)
def test_people_of_a_message(tmp_path: Path, name: str, more: str, text: str, left: str):
    file = tmp_path / "message.hl7"
    file.write_text(MESSAGE.format(name=name, more=more, text=text), encoding="utf-8")
    (row,) = read_hl7(file, ReadOptions())
    scrubbed = scrub("".join(row.columns.values()), row.identities, Vocabulary.load()).text
    assert left in scrubbed
    named = ("Ng", "NG", "Li", "王", "Rumpold", "Wackelbart", "Zimtstern", "Gundula", "Federhut")
    assert not any(word in scrubbed for word in named)
