from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fvlm_data.errors import ConfigError
from fvlm_train.config import EvaluateConfig
from fvlm_train.data.texts import encoder_text
from fvlm_train.evaluate.embeddings import Embeddings, embed_samples
from fvlm_train.evaluate.retrieval import chance, printed, ranks, retrieval
from fvlm_train.runs import trained_run
from fvlm_train.testing import MemorySource, toy_source

CONFIG = EvaluateConfig(pools=(10,), draws=2)


def test_ties_rank_wrong_answers_first() -> None:
    near = np.array([[0.5, 0.5, 0.5], [0.9, 0.1, 0.5]])
    right = np.array([[True, False, False], [True, False, True]])
    rank, candidates, answers = ranks(near, right, np.ones((2, 3), bool))
    assert rank.tolist() == [3, 1]
    assert (candidates.tolist(), answers.tolist()) == ([3, 3], [1, 2])


def test_chance_is_that_of_drawing() -> None:
    found = chance(np.array([10, 10, 4]), np.array([1, 3, 4]), 2)
    assert found == pytest.approx([0.2, 1 - (7 * 6) / (10 * 9), 1])


def test_perfect_embeddings_find_everything_and_equal_ones_nothing(
    toy_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_run(toy_run)
    source = toy_source(24, 4)
    made = embed_samples(run.model, source, run.config, CONFIG)
    texts: dict[str, int] = {}

    def encode(said: list[str]) -> torch.Tensor:
        numbers = [texts.setdefault(text, len(texts)) for text in said]
        return torch.eye(200)[numbers]

    monkeypatch.setattr(run.model, "encode_texts", encode)
    retrieval(
        run.model, source, with_features(made, torch.zeros(24, 3, 200) + 1), run.config, CONFIG
    )

    perfect = torch.zeros(24, 3, 200)
    for n, one in enumerate(source.samples):
        for a, (anatomy, text) in enumerate(zip(one.anatomies, one.texts, strict=True)):
            perfect[n, a, texts[encoder_text(text, anatomy, run.config.template)]] = 1
    found = retrieval(run.model, source, with_features(made, perfect), run.config, CONFIG)
    across = [one for one in found if one.direction != "image to image"]
    assert {one.of for one in across} == {"liver", "kidney", "lung", "scan"}
    assert {one.pool for one in across} == {10, 24}
    assert all(one.recall[1] == 1 for one in across)
    assert all(one.chance[1] < 0.5 for one in across if one.pool == 24)
    assert "nan" not in "\n".join(printed(found)).lower()


def test_an_image_does_not_find_its_own_patient(toy_run: Any) -> None:
    run = trained_run(toy_run)
    first = next(one for one in toy_source(24, 4).samples if "abnormal" in one.states)
    twin = replace(first, sample_id="twin", study_id="other_visit")
    source = MemorySource([first, twin])
    made = embed_samples(run.model, source, run.config, CONFIG)
    found = retrieval(run.model, source, made, run.config, CONFIG)
    assert not [one for one in found if one.direction == "image to image"]


def test_one_study_is_too_few(toy_run: Any) -> None:
    run = trained_run(toy_run)
    source = toy_source(1, 4)
    made = embed_samples(run.model, source, run.config, CONFIG)
    with pytest.raises(ConfigError, match="needs two studies at least"):
        retrieval(run.model, source, made, run.config, CONFIG)


def with_features(made: Embeddings, features: torch.Tensor) -> Embeddings:
    return Embeddings(made.sample_ids, made.patient_ids, made.study_ids, made.anatomies, features)
