"""Generated reports against true ones: what both say, not only in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fvlm_train.cli import eval_app
from fvlm_train.evaluate.generated.clinical import crg_of
from fvlm_train.evaluate.generated.language import likeness, rouge_l
from fvlm_train.generation.words import as_text, words

NORMAL = "The lungs are clear. No pleural effusion."
SICK = "Large left pleural effusion. 12 mm nodule in the right upper lobe. Liver normal."


def lines(folder: Path, name: str, *rows: dict[str, Any]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def told(*arguments: object) -> Any:
    return CliRunner().invoke(eval_app, ["generated", *map(str, arguments)])


def scored(*arguments: object) -> dict[str, Any]:
    result = told(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture
def references(tmp_path: Path) -> Path:
    return lines(
        tmp_path, "references.jsonl",
        {"study_id": "st_1", "text": NORMAL}, {"study_id": "st_2", "text": SICK},
    )  # fmt: skip


def test_the_same_reports_are_all_right(references: Path):
    scores = scored(references, references)
    assert scores["f1"]["value"] == scores["sided_f1"]["value"] == scores["crg"]["value"] == 1
    assert scores["likeness"]["rouge_l"] == 1
    assert scores["likeness"]["bleu"] == pytest.approx([1, 1, 1, 1])
    assert scores["by_finding"]["pleural_effusion"]["true_positive"] == 1


def test_a_denial_in_nearly_the_same_words_is_wrong(references: Path, tmp_path: Path):
    written = lines(
        tmp_path, "written.jsonl",
        {"study_id": "st_1", "text": NORMAL},
        {"study_id": "st_2", "text": SICK.replace("Large left", "No left")},
    )  # fmt: skip
    scores = scored(written, references)
    assert scores["likeness"]["rouge_l"] > 0.95
    effusion = scores["by_finding"]["pleural_effusion"]
    assert (effusion["true_positive"], effusion["false_negative"]) == (0, 1)
    assert scores["crg"]["value"] < 1


def test_the_other_side_is_wrong_only_where_sides_count(references: Path, tmp_path: Path):
    written = lines(
        tmp_path, "written.jsonl",
        {"study_id": "st_1", "text": NORMAL},
        {"study_id": "st_2", "text": SICK.replace("left", "right")},
    )  # fmt: skip
    scores = scored(written, references)
    assert scores["f1"]["value"] == 1
    assert scores["sided_f1"]["value"] < 1


def test_other_words_for_the_same_are_right(references: Path, tmp_path: Path):
    written = lines(
        tmp_path, "written.jsonl",
        {"study_id": "st_1", "text": "No effusion in either pleural space."},
        {"study_id": "st_2", "text": "Massive effusion of the left pleura. "
                                     "A right upper lobe nodule measures 12 mm."},
    )  # fmt: skip
    scores = scored(written, references)
    assert scores["f1"]["value"] == scores["sided_f1"]["value"] == 1
    assert scores["likeness"]["bleu"][3] < 0.3


def test_what_is_missing_counts_as_empty_and_is_said(references: Path, tmp_path: Path):
    written = lines(
        tmp_path, "written.jsonl",
        {"study_id": "st_1", "text": NORMAL}, {"study_id": "st_7", "text": SICK},
    )  # fmt: skip
    scores = scored(written, references)
    assert (scores["not_written"], scores["without_reference"]) == (1, 1)
    assert scores["by_finding"]["pleural_effusion"]["false_negative"] == 1
    said = told(written, references).stdout
    assert "1 studies without a report count as empty" in said
    assert "1 reports without a reference take no part" in said


def test_records_of_the_export_are_references(tmp_path: Path):
    records = lines(
        tmp_path, "records.jsonl",
        *({"study_id": f"st_{n}", "patient_id": f"p_{n // 2}", "split": split, "context": {},
           "targets": {"findings": SICK, "impression": "Effusion.", "anatomies": {}}}
          for n, split in enumerate(["train", "train", "test", "test"])),
    )  # fmt: skip
    written = lines(
        tmp_path, "written.jsonl",
        *({"study_id": f"st_{n}", "findings": SICK, "impression": ""} for n in (2, 3)),
    )  # fmt: skip
    scores = scored(written, records, "--split", "test")
    assert (scores["studies"], scores["patients"]) == (2, 1)
    assert scores["f1"]["value"] == 1


@pytest.mark.parametrize(("content", "expected"), [
    ('{"text": "x"}\n', "line 1: no study_id"),
    ('{"study_id": "a"}\n', "line 1: no text"),
    ('{"study_id": "a", "text": "x"}\n' * 2, "line 2: study a a second"),
    ("[1]\n", "line 1: no JSON object"),
    ("{", "cannot be read (JSONDecodeError)"),
    ("", "no report"),
])  # fmt: skip
def test_files_that_cannot_be_scored_are_told(
    references: Path, tmp_path: Path, content: str, expected: str
):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    result = told(file, references)
    assert result.exit_code != 0
    assert expected in result.stderr.replace("\n", "")


def test_no_study_in_common_is_told(references: Path, tmp_path: Path):
    written = lines(tmp_path, "written.jsonl", {"study_id": "st_9", "text": NORMAL})
    assert "no study has both" in told(written, references).stderr


def table(*rows: str) -> Any:
    return np.array([[cell == "1" for cell in row] for row in rows])


def test_crg_of_trivial_answers_is_a_third():
    known = table("1000", "0100", "0000")
    assert crg_of(known, known) == 1
    assert crg_of(np.zeros_like(known), known) == pytest.approx(1 / 3)
    assert crg_of(np.ones_like(known), known) == pytest.approx(1 / 3)
    assert crg_of(known, np.zeros_like(known)) is None


def test_crg_by_hand():
    # T = 8, A = 2, w = 1.5, m = 3: one found, one missed, one invented: s = -1, 3 / 7
    assert crg_of(table("1010", "0000"), table("1000", "0100")) == pytest.approx(3 / 7)


@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_rouge_is_that_of_the_longest_common_subsequence(one: str, other: str):
    def longest(a: str, b: str) -> int:
        if not a or not b:
            return 0
        if a[0] == b[0]:
            return 1 + longest(a[1:], b[1:])
        return max(longest(a[1:], b), longest(a, b[1:]))

    expected = 2 * longest(one, other) / max(len(one) + len(other), 1)
    assert rouge_l(one, other) == rouge_l(other, one) == pytest.approx(expected)


def test_words_keep_numbers_whole():
    assert words("A 1.5 cm nodule, new.") == ["a", "1.5", "cm", "nodule", ",", "new", "."]


def test_words_become_a_text_again():
    text = "A 1.5 cm nodule (new), follow-up advised. Liver: normal."
    assert as_text(words(text)) == text.replace(" normal", " normal")


def test_empty_texts_are_like_nothing():
    alike = likeness(["", ""], ["The liver is normal.", ""])
    assert alike.bleu == (0, 0, 0, 0)
    assert (alike.rouge_l, alike.meteor) == (0, 0)
