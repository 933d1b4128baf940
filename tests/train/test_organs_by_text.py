"""`fvlm-eval organs`: a model is not told which organ a region is, and shares have intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.text_entries import RegionWords
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.embeddings import anatomy_windows, embed_samples
from fvlm_train.evaluate.organs.asked import Region, as_each, asked_regions
from fvlm_train.evaluate.organs.judge import abnormality, recognition, texts_mean
from fvlm_train.model import FVLM
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.train import train

WORDS = Vocabulary.load().regions
CONFIG = EvaluateConfig(bootstrap_samples=50, min_positive_patients=1)
SEEN = {
    "image": {"dropout": 0.0, "stem": "histogram"},
    "organ": {"features": True, "mask_embedding": True, "histogram_windows": 4},
}
WHOLE = {
    "image": {"dropout": 0.0, "stem": "histogram"},
    "organ": {"features": True, "features_of": "sample", "features_only": True,
              "histogram_windows": 4},
}  # fmt: skip


def trained(tiny: Any, folder: Path, model: dict[str, Any]) -> tuple[FVLM, Any]:
    config = tiny(model=model, steps=1)
    train(config, toy_source(8, 0), folder / "run")
    return FVLM.from_run(folder / "run"), config


@pytest.mark.parametrize("organ", [{}, SEEN, WHOLE])
def test_nothing_but_its_voxels_tells_what_a_region_is(
    tiny: Any, tmp_path: Path, organ: dict[str, Any]
):
    """Called another organ, with that organ's number in the label, it is embedded alike."""
    model, config = trained(tiny, tmp_path, organ)
    source = toy_source(1, 0)
    liver, kidney = 0, 1
    window = next(iter(
        one for one in anatomy_windows(source.read(0), 0, [liver], config, config.crop)
    ))  # fmt: skip
    order = [kidney, liver, 2]
    organs = None
    if window.organs_zyx is not None:
        organs = np.array([0, kidney + 1, liver + 1, 3], np.uint8)[window.organs_zyx]
    other = replace(
        window,
        tokens_an=window.tokens_an[order],
        organs_zyx=organs,
        measured_af=None if window.measured_af is None else window.measured_af[order],
    )
    with torch.inference_mode():
        found, called_kidney = as_each(model, window, liver), as_each(model, other, kidney)
    torch.testing.assert_close(found, called_kidney)
    assert not torch.allclose(found[liver], found[kidney])


def test_in_its_own_place_it_is_the_organs_embedding(tiny: Any, tmp_path: Path):
    model, config = trained(tiny, tmp_path, WHOLE)
    source = toy_source(3, 0)
    usual = embed_samples(model, source, config, CONFIG)
    regions = asked_regions(model, source, config, CONFIG)
    assert len(regions) == int(usual.present_ba.sum())
    own = torch.stack([one.features_ae[one.anatomy] for one in regions])
    torch.testing.assert_close(own, usual.features_bae[usual.present_ba])


def test_shares_by_hand(tiny: Any, tmp_path: Path):
    model, _ = trained(tiny, tmp_path, WHOLE)
    text_ae = texts_mean(model, [WORDS.sentences(one, "named") for one in model.anatomies])
    none_ae = torch.zeros_like(text_ae)
    right_ae = none_ae.clone()
    right_ae[0] = text_ae[0]
    regions = [Region("p_1", 0, right_ae), Region("p_2", 0, none_ae), Region("p_2", 1, right_ae)]
    found = {(one.anatomy, one.k): one for one in recognition(model, regions, WORDS, CONFIG)}
    # of equal similarities none is the first
    assert found[None, 1].share == pytest.approx(1 / 3)
    assert found["liver", 1].share == 0.5
    assert found["kidney", 1].share == 0
    assert found[None, 1].regions == 3
    assert found[None, 1].chance == pytest.approx(1 / 3)
    assert (found[None, 1].low, found[None, 1].high) == (0, 1)
    with pytest.raises(ConfigError, match=r"regions\.yaml"):
        recognition(model, regions, RegionWords(), CONFIG)


def test_an_abnormal_organ_lies_nearer_to_a_findings_prompt(tiny: Any, tmp_path: Path):
    model, config = trained(tiny, tmp_path, WHOLE)
    source = toy_source(30, 1)
    embeddings = embed_samples(model, source, config, CONFIG)
    states = [dict(zip(row["anatomies"], row["states"], strict=True))
              for row in source.rows.select(["anatomies", "states"]).to_pylist()]  # fmt: skip
    ill = model.encode_texts([TOY_FINDINGS[0].prompts.positive])[0].detach()
    planted = embeddings.features_bae.clone()
    for number, state in enumerate(states):
        planted[number, 0] = ill if state["liver"] == "abnormal" else -ill
    table, _ = abnormality(
        model, source, replace(embeddings, features_bae=planted), TOY_FINDINGS, WORDS, config,
        CONFIG,
    )  # fmt: skip
    auc = {row.anatomy: row.auc for row in table}
    assert auc["liver"] == 1
    assert set(auc) == {"liver", "kidney", "lung"}
