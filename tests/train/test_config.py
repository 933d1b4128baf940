from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from fvlm_data.errors import ConfigError
from fvlm_train.config import (
    EvaluateConfig,
    ImageEncoderConfig,
    OrganConfig,
    TrainConfig,
    parse_evaluate_config,
    parse_train_config,
)

FRESH = {"model": {"text": {"kind": "fresh"}}}


def test_reference_preset_is_the_public_recipe() -> None:
    config = parse_train_config(
        {"preset": "reference", "model": {"text": {"folder": "bert"}}, "batch_size": 64}
    )
    image = config.model.image
    assert (image.width, image.depth, image.heads) == (768, 12, 12)
    assert image.grid_zyx == (7, 16, 11)
    assert image.level_blocks == (3, 6, 9)
    assert config.model.text.max_tokens == 384
    assert config.model.text.add_token_type_embeddings is False
    assert (config.loss.policy, config.silence) == ("reference", "normal")
    assert (config.flips.z, config.flips.y, config.flips.x) == (0.2, 0.2, 0.2)
    assert config.batch_size == 64
    assert parse_evaluate_config({"preset": "reference"}).window_zyx == (112, 288, 352)


def test_left_right_flip_is_off_unless_the_reference_asks() -> None:
    assert parse_train_config(FRESH).flips.x == 0
    assert parse_train_config({**FRESH, "preset": "small"}).flips.x == 0


@pytest.mark.parametrize(
    ("depth", "levels"),
    [(12, (3, 6, 9)), (24, (7, 13, 19)), (6, (1, 3, 4)), (4, (1, 2, 3)), (1, (0,))],
)
def test_levels_spread_in_proportion(depth: int, levels: tuple[int, ...]) -> None:
    assert ImageEncoderConfig(depth=depth).level_blocks == levels


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"batchsize": 4}, r"train\.batchsize is not a known key \(did you mean batch_size\?\)"),
        ({"model": {"image": {"width": 100}}}, r"train\.model\.image: width 100 is not divisible"),
        (
            {"model": {"image": {"window_zyx": [100, 256, 352]}}},
            r"window_zyx \[100, 256, 352\] is no multiple of patch_zyx \[16, 16, 32\]",
        ),
        ({**FRESH, "crop_zyx": [16, 16, 16]}, r"crop_zyx \[16, 16, 16\] is no multiple"),
        ({}, r"set model\.text\.folder, or kind to fresh"),
        ({**FRESH, "flips": {"x": 0.2}}, r"signatures name sides: set flips\.x to 0"),
        ({**FRESH, "window_hu": [350, -1150]}, r"window_hu .* is empty"),
        ({**FRESH, "anatomies": ["lung", "lung"]}, "holds a name twice"),
        ({**FRESH, "epochs": None}, "steps and epochs are both null"),
        ({"model": {"temperature_init": 0.7}}, r"temperature_init 0\.7 lies outside"),
        ({"model": {"image": {"levels": [12]}}}, r"levels \[12\] lie outside the 12 blocks"),
        (
            {"model": {"image": {"stem": "histogram", "stem_cells": 3}}},
            r"patch_zyx \[16, 16, 32\] does not split into 3 even cells",
        ),
        ({"batch_size": 1}, r"train\.batch_size: Input should be greater than or equal to 2"),
    ],
)
def test_impossible_settings_give_one_sentence(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_train_config(section)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [TrainConfig, EvaluateConfig])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            test_every_field_is_described(inner)


def test_given_epochs_win_over_the_steps_of_a_preset() -> None:
    small = parse_train_config({**FRESH, "preset": "small"})
    assert small.steps is not None
    assert parse_train_config({**FRESH, "preset": "small", "epochs": 2}).steps is None
    both = parse_train_config({**FRESH, "preset": "small", "epochs": 2, "steps": 3})
    assert both.steps == 3


def test_preset_small_learns_the_prompts_that_it_is_scored_by() -> None:
    small = parse_train_config({**FRESH, "preset": "small"})
    asked, learned = parse_evaluate_config({"preset": "small"}), small.loss.prompts
    assert learned.weight > 0
    assert (learned.negative, learned.templates) == (asked.negative, asked.templates)
    assert small.model.organ.windowless
    reference = parse_train_config({**FRESH, "preset": "reference"})
    assert reference.model.organ == OrganConfig()
    assert reference.loss.prompts.weight == 0
