"""Reports written from embeddings: what the image shows, and what only the context tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fvlm_data.reports import ReportParser
from fvlm_train.cli import eval_app
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.change import read_embeddings
from fvlm_train.evaluate.generated.generate import CONTEXT, IMAGE, MOST_OFTEN, generate
from fvlm_train.generation.examples import context_words, examples, read_records
from fvlm_train.generation.words import Lexicon, as_text, words
from fvlm_train.generation.write import Fit, fitted_writer, written_reports

CONFIG = EvaluateConfig(bootstrap_samples=50)
FIT = Fit(steps=120, batch_size=32, most_words=16)
PATIENTS = 90


def prior_of(number: int) -> dict[str, Any] | None:
    if number % 3:
        return None
    nodule = {
        "anatomy": "lung", "finding": "lung_nodule", "status": "present", "laterality": None,
        "size_mm": 8.0,
    }  # fmt: skip
    return {"study_id": f"b_{number}", "days": 90, "mentions": [nodule], "remarks": []}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The image shows cyst or emphysema; that a nodule is there only the prior tells."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(1)
    records, rows = [], []
    for number in range(PATIENTS):
        cyst, emphysema = rng.random() < 0.4, rng.random() < 0.4
        prior = prior_of(number)
        lung = "Emphysema is seen." if emphysema else "The lungs are clear."
        if prior is not None:
            lung += " The pulmonary nodule is unchanged."
        anatomies = {"lung": lung}
        if cyst:
            anatomies["liver"] = "There is a liver cyst."
        records.append({
            "study_id": f"st_{number}", "patient_id": f"p_{number}",
            "split": "train" if number < 60 else "test", "volumes": [], "samples": [],
            "context": {"age_years": 40.0 + number % 40, "sex": "F", "technique": "",
                        "clinical_information": "Cough.", "prior": prior},
            "targets": {"findings": "", "impression": "", "anatomies": anatomies},
        })  # fmt: skip
        for anatomy, shown in (("lung", emphysema), ("liver", cyst)):
            told = rng.normal(0, 0.2, 8)
            told[0] += 1 if shown else -1
            rows.append({"study_id": f"st_{number}", "anatomy": anatomy, "embedding": told})
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))
    pq.write_table(pa.Table.from_pylist(rows), folder / "embeddings.parquet")
    return folder / "records.jsonl", folder / "embeddings.parquet"


def test_the_image_is_told_and_the_context_adds_what_it_does_not_show(corpus: tuple[Path, Path]):
    records, embeddings = corpus
    result = generate(
        read_records(records), read_embeddings([embeddings]), ("train", "test"), FIT,
        ReportParser(), CONFIG,
    )  # fmt: skip
    f1 = {way: one.f1.value or 0 for way, one in result.scores.items()}
    assert f1[MOST_OFTEN] < f1[IMAGE] < f1[CONTEXT]
    with_context, without = (result.scores[way].by_finding for way in (CONTEXT, IMAGE))
    assert (with_context["lung_nodule"].f1 or 0) > 0.9
    assert (without["lung_nodule"].f1 or 0) < 0.7
    assert (without["liver_cyst"].f1 or 0) > 0.9
    assert result.scores[IMAGE].studies == 30


def test_the_command_writes_what_generated_scores(corpus: tuple[Path, Path], tmp_path: Path):
    records, embeddings = corpus
    asked = ["generate", str(records), "--embeddings", str(embeddings), "--steps", "20"]
    done = CliRunner().invoke(eval_app, [*asked, "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [Path(path).stem for path in told["written"]] == [MOST_OFTEN, IMAGE, CONTEXT]
    for path in told["written"]:
        assert len(Path(path).read_text().splitlines()) == 30
    said = CliRunner().invoke(eval_app, [*asked[:-1], "1"]).stdout
    assert "image and context" in said
    assert "30 studies of 30 patients" in said


def test_a_dry_run_counts_and_writes_nothing(corpus: tuple[Path, Path], tmp_path: Path):
    records, embeddings = corpus
    asked = ["generate", str(records), "--embeddings", str(embeddings), "--dry-run"]
    done = CliRunner().invoke(eval_app, [*asked, "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["reads"] == {"records of train": 60, "records of test": 30}
    assert not (tmp_path / "out").exists()


def test_the_same_seed_writes_the_same(corpus: tuple[Path, Path]):
    records, embeddings = corpus
    found = examples(read_records(records), read_embeddings([embeddings]))
    fit = Fit(steps=10, batch_size=8, most_words=8)
    one, two = (written_reports(fitted_writer(found[:40], fit), found[40:50]) for _ in range(2))
    assert one == two


def test_a_study_of_no_context_but_longer_than_any_before_is_written(corpus: tuple[Path, Path]):
    records, embeddings = corpus
    rows = read_records(records)
    rows[-1]["context"]["clinical_information"] = "fever and cough " * 30
    found = examples(rows, read_embeddings([embeddings]))
    fit = Fit(steps=2, batch_size=4, most_words=8)
    told = written_reports(fitted_writer(found[:40], fit), found[-2:])
    assert list(told) == [f"st_{PATIENTS - 1}"]


def test_context_names_the_prior_of_this_anatomy_only():
    known = {"age_years": 57.2, "sex": "M", "prior": prior_of(0)}
    known["clinical"] = [{"kind": "laboratory", "name": "crp", "value": 91.7, "unit": "mg/L"}]
    told = list(context_words(known, "lung"))
    assert told[:4] == ["<age 50>", "<sex M>", "<crp>", "92"]
    assert told[4:] == ["<prior>", "<lung_nodule>", "<present>", "8"]
    other = list(context_words({"age_years": None, "sex": None, "prior": prior_of(0)}, "liver"))
    assert other == ["<age>", "<sex ->", "<prior>"]


@pytest.mark.parametrize("content", ["{", "[]\n", '{"study_id": "a"}\n'])
def test_other_files_are_no_records(tmp_path: Path, corpus: tuple[Path, Path], content: str):
    (tmp_path / "records.jsonl").write_text(content)
    asked = ["generate", str(tmp_path / "records.jsonl"), "--embeddings", str(corpus[1])]
    done = CliRunner().invoke(eval_app, asked)
    assert done.exit_code != 0
    assert "report-generation" in done.stderr


def test_a_split_of_nobody_is_told(corpus: tuple[Path, Path]):
    asked = ["generate", str(corpus[0]), "--embeddings", str(corpus[1]), "--split", "validation"]
    done = CliRunner().invoke(eval_app, asked)
    assert done.exit_code != 0
    assert "split validation: no study" in done.stderr


@given(st.lists(st.sampled_from(["liver", "cyst", "1.5", ".", "no"]), max_size=8))
def test_a_lexicon_gives_back_what_it_knows(told: list[str]):
    lexicon = Lexicon.of([["liver", "cyst", "1.5", ".", "no"]] * 2)
    assert lexicon.told(lexicon.numbers(told)) == told
    assert words(as_text(told)) == told
