"""What the image side sees of an organ's own voxels."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fvlm_data.errors import ConfigError, InputError, StoreError
from fvlm_train.config import EvaluateConfig, ModelConfig, OrganConfig
from fvlm_train.data.batches import TrainingBatches
from fvlm_train.data.whole import measured
from fvlm_train.evaluate.embeddings import anatomy_windows
from fvlm_train.evaluate.scoring import score_samples
from fvlm_train.model import FVLM
from fvlm_train.model.organs import OrganVoxels, RunningScale, measures, organ_voxels
from fvlm_train.model.pooling import AnatomyPooling
from fvlm_train.model.vit import ConvolutionStem
from fvlm_train.runs import load_checkpoint, load_run
from fvlm_train.testing import TOY_FINDINGS, MemorySource, toy_sample, toy_source
from fvlm_train.training.loss import contrastive_losses, loss_terms
from fvlm_train.training.train import train
from tests.train.reference_weights import reference_state

SEEN = {
    "cover_bias": True,
    "mask_embedding": True,
    "features": True,
    "histogram_windows": 8,
    "hidden": 4,
}

WHOLE = {"features": True, "features_of": "sample", "histogram_windows": 3}


def test_voxels_of_an_organ_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((2, 4, 6, 8), dtype=np.float32)
    organs = rng.integers(0, 4, (2, 4, 6, 8), dtype=np.uint8)
    patch, windows = (2, 3, 4), 3
    found = organ_voxels(torch.from_numpy(image), torch.from_numpy(organs), 3, patch, windows)
    for sample in range(2):
        for token, (z, y, x) in enumerate(np.ndindex(2, 2, 2)):
            part = (slice(2 * z, 2 * z + 2), slice(3 * y, 3 * y + 3), slice(4 * x, 4 * x + 4))
            for anatomy in range(3):
                values = image[sample][part][organs[sample][part] == anatomy + 1]
                assert found.count_ban[sample, anatomy, token] == len(values)
                for window in range(windows):
                    seen = np.clip((values - (window + 0.5) / windows) * windows, -1, 1).sum()
                    got = float(found.sum_banw[sample, anatomy, token, window])
                    assert got == pytest.approx(float(seen), abs=1e-5)


def test_measures_by_hand() -> None:
    """Two tokens of 3 and 1 voxels with means 0.5 and -0.5; a third token is not the organ's."""
    voxels = OrganVoxels(
        torch.tensor([[[3.0, 0.0, 1.0]]]), torch.tensor([[[[1.5], [0.0], [-0.5]]]])
    )
    found = measures(voxels)[0, 0]
    mean = (1.5 - 0.5) / 4
    deviation = math.sqrt((3 * (0.5 - mean) ** 2 + (-0.5 - mean) ** 2) / 4)
    expected = [math.log(4), math.log(2), mean, deviation, -0.5, 0.5]
    assert found.tolist() == pytest.approx(expected)


def test_scale_is_that_of_all_batches_together() -> None:
    torch.manual_seed(0)
    found = 3 + 2 * torch.randn(40, 2, 3)
    present = torch.rand(40, 2) < 0.7
    scale = RunningScale(2, 3)
    for part in range(4):
        scale(found[part * 10 : part * 10 + 10], present[part * 10 : part * 10 + 10])
    for anatomy in range(2):
        values = found[present[:, anatomy], anatomy].double()
        torch.testing.assert_close(scale.mean[anatomy], values.mean(0))
        spread = values.var(0, unbiased=False)
        torch.testing.assert_close(scale.squares[anatomy] / scale.count[anatomy], spread)
    before = scale.mean.clone()
    scaled = scale.eval()(found, present)
    assert torch.equal(scale.mean, before)
    assert scaled[present[:, 0], 0].mean().abs() < 1e-3
    assert not RunningScale(2, 3).eval()(found, present).any()


def test_attention_weighs_tokens_by_how_much_of_them_is_the_organ() -> None:
    torch.manual_seed(0)
    pooling = AnatomyPooling(1, 8, 2, 4, 0.0).eval()
    levels = torch.randn(1, 1, 3, 8)
    tokens = torch.tensor([[[True, True, False]]])
    with torch.no_grad():
        first = pooling(levels, torch.tensor([[[True, False, False]]]))
        even = pooling(levels, tokens, torch.tensor([[[0.5, 0.5, 0.0]]]))
        mostly = pooling(levels, tokens, torch.tensor([[[1.0, 1e-5, 0.0]]]))
    # equal shares weigh as no shares do
    torch.testing.assert_close(even, pooling(levels, tokens))
    torch.testing.assert_close(mostly, first, atol=1e-3, rtol=0)


@pytest.mark.parametrize("patch", [(8, 8, 8), (16, 16, 32), (4, 8, 8), (3, 6, 12), (1, 1, 1)])
def test_convolution_stem_keeps_the_grid_and_the_order(patch: tuple[int, int, int]) -> None:
    """A token changes with its own patch and with its neighbours' borders, and with no other."""
    torch.manual_seed(0)
    stem = ConvolutionStem(16, patch).eval()
    z, y, x = patch
    image = torch.rand(1, 3 * z, 3 * y, 3 * x)
    other = image.clone()
    other[:, 2 * z :, 2 * y :, :x] = torch.rand(1, z, y, x)
    with torch.no_grad():
        changed = (stem(other) - stem(image)).abs().sum(-1).reshape(3, 3, 3)
    assert changed[2, 2, 0] > 0.01
    assert not changed[0].any()
    assert not changed[:, 0].any()
    assert not changed[:, :, 2].any()


def test_without_the_switches_nothing_of_it_is_there(tiny: Any) -> None:
    config = tiny()
    assert not config.model.organ.seen
    model = FVLM.for_training(config.model, config.anatomies, ["a"])
    assert not [n for n, _ in model.named_parameters() if "organ" in n or "mask_embedding" in n]
    assert TrainingBatches(toy_source(20, 0), config)[0].organs_bzyx is None


def test_organs_of_a_batch_lie_where_the_image_has_them(tiny: Any) -> None:
    """Mirrored and padded with it; an organ that the crop cuts is left out."""
    config = tiny(
        model={"organ": {"cover_bias": True}}, flips={"z": 0.5, "y": 0.5},
        crop_zyx=[24, 32, 48], batch_size=16,
    )  # fmt: skip
    batch = TrainingBatches(toy_source(16, 0), config)[0]
    assert batch.organs_bzyx is not None
    tokens_ban = batch.tokens_ban
    voxels = organ_voxels(batch.image_bzyx.float(), batch.organs_bzyx, 3, (8, 16, 16), 0)
    intact_ba = torch.tensor([fact.intact for fact in batch.facts])
    assert 0 < int(intact_ba.sum()) < intact_ba.numel()
    assert torch.equal((voxels.count_ban > 0), tokens_ban & intact_ba[..., None])
    lung = batch.image_bzyx[batch.organs_bzyx == 3].float().median()
    assert lung < -500


@pytest.mark.parametrize(
    "organ",
    [
        {"cover_bias": True},
        {"mask_embedding": True},
        {"features": True},
        SEEN,
        SEEN | {"features_of": "sample"},
        WHOLE | {"features_only": True},
    ],
    ids=["cover_bias", "mask_embedding", "features", "all", "all_of_samples", "features_only"],
)
def test_each_switch_trains_resumes_and_evaluates(
    tiny: Any, tmp_path: Path, organ: dict[str, Any]
) -> None:
    config, source = tiny(model={"organ": organ}, steps=4), toy_source(20, 0)
    train(config, source, tmp_path / "whole")
    train(config.model_copy(update={"time_limit_s": 1e-6}), source, tmp_path / "parts")
    train(config, source, tmp_path / "parts")
    whole, parts = (load_checkpoint(tmp_path / run) for run in ("whole", "parts"))
    assert whole is not None
    assert parts is not None
    assert all(torch.equal(whole.model[name], parts.model[name]) for name in whole.model)
    model, config = load_run(tmp_path / "whole")
    samples = [toy_sample(number, 3) for number in range(3)]
    absent = np.where(samples[2].label_zyx == 1, 0, samples[2].label_zyx)
    source = MemorySource([*samples[:2], replace(samples[2], label_zyx=absent)])
    one, many = (
        score_samples(model, source, TOY_FINDINGS, config, EvaluateConfig(batch_size=b))
        for b in (1, 3)
    )
    assert [s.score for s in one] == pytest.approx([s.score for s in many], abs=1e-5)
    assert {s.anatomy for s in one if not s.anatomy_present} == {"liver"}
    assert all(np.isfinite(s.score) for s in one)


def test_the_window_shows_the_whole_organ_to_evaluation(tiny: Any) -> None:
    config = tiny(model={"organ": {"features": True}})
    sample = toy_sample(0, 0)
    windows = list(anatomy_windows(sample, 0, [0, 1, 2], config, config.crop))
    for number in range(3):
        shown = max(int((w.organs_zyx == number + 1).sum()) for w in windows)
        assert shown == int((sample.label_zyx == number + 1).sum())


@pytest.mark.parametrize("stored", ["int16", "uint8"])
def test_measures_of_a_whole_sample_are_those_of_its_arrays(tiny: Any, stored: str) -> None:
    """Of sizes that are no multiples of the patch, against the arrays taken as one token each."""
    sample = toy_sample(0, 0)
    part = (slice(0, 23), slice(1, 48), slice(0, 45))
    image, label = sample.image_zyx[part], sample.label_zyx[part].copy()
    label[label == 2] = 0
    shown = np.clip((image.astype(np.float64) + 1150) / 1500, 0, 1)
    window = None
    if stored == "uint8":
        image, window = np.rint(shown * 255).astype(np.uint8), (-1150, 350)
        shown = image / 255
    config = tiny(model={"organ": WHOLE, "image": {"window_zyx": [8, 16, 16]}})
    found = measured(replace(sample, image_zyx=image, label_zyx=label, hu_window=window), config)
    assert found.shape == (3, 14)
    assert np.isnan(found[1]).all()
    for number, value in ((0, 1), (2, 3)):
        at = np.argwhere(label == value)
        values = shown[tuple(at.T)]
        seen = np.clip((values[:, None] - (np.arange(3) + 0.5) / 3) * 3, -1, 1)
        tokens, token_of = np.unique(at // (8, 16, 16), axis=0, return_inverse=True)
        of_tokens = np.array([seen[token_of == n].mean(axis=0) for n in range(len(tokens))])
        spread = np.sqrt(((of_tokens[token_of] - seen.mean(axis=0)) ** 2).mean(axis=0))
        expected = [np.log(len(at)), np.log(len(tokens)), *seen.mean(axis=0), *spread]
        expected += [*of_tokens.min(axis=0), *of_tokens.max(axis=0)]
        assert found[number].tolist() == pytest.approx(expected, abs=1e-4)


def test_whole_organs_are_the_same_in_every_window_and_in_evaluation(tiny: Any) -> None:
    """Crops cut, miss and pad organs; each sample is read whole once."""

    class Counting(MemorySource):
        whole: int = 0

        def read(self, index: int, box: Any = None, out: Any = None) -> Any:
            self.whole += box is None
            return super().read(index, box, out)

    config = tiny(
        model={"organ": WHOLE, "image": {"window_zyx": [8, 16, 16]}}, crop_zyx=[8, 32, 64],
        flips={"z": 0.5},
    )  # fmt: skip
    source = Counting(toy_source(8, 0).samples)
    batches = TrainingBatches(source, config)
    place = {sample.sample_id: number for number, sample in enumerate(source.samples)}
    for step in range(3):
        batch = batches[step]
        assert batch.measured_baf is not None
        for row, fact in enumerate(batch.facts):
            expected = measured(source.samples[place[fact.sample_id]], config)
            assert np.array_equal(batch.measured_baf[row].numpy(), expected)
            assert fact.intact == (True, True, True)
        assert not batch.tokens_ban.any(dim=2).all()
    assert source.whole == 8
    for sample in source.samples[:2]:
        whole = measured(sample, config)
        windows = list(anatomy_windows(sample, 0, [0, 1, 2], config, config.crop))
        shown = [window.measured_af for window in windows]
        for anatomy in range(3):
            (found,) = [one[anatomy] for one in shown if not np.isnan(one[anatomy]).any()]
            assert np.array_equal(found, whole[anatomy])


def test_an_organ_outside_the_window_is_embedded_by_its_measures(tiny: Any) -> None:
    """Its features alone count: nothing of the window it does not lie in."""
    torch.manual_seed(0)
    config = tiny(model={"organ": WHOLE})
    model = FVLM.for_training(config.model, config.anatomies, ["a"])
    batch = TrainingBatches(toy_source(8, 0), config)[0]
    assert batch.measured_baf is not None
    image, tokens = batch.scaled(torch.device("cpu")), batch.tokens_ban.clone()
    with torch.no_grad():
        model.encode_images(image, tokens, None, batch.measured_baf)  # scales are known now
        tokens[:, 1] = False
        unknown = batch.measured_baf.clone()
        unknown[0] = torch.nan
        model.eval()
        one, other = (model.encode_images(i, tokens, None, unknown) for i in (image, 1 - image))
        with pytest.raises(ValueError, match="give measured_baf"):
            model.encode_images(image, tokens)
    assert torch.equal(one[1:, 1], other[1:, 1])
    assert one[1:, 1].any()
    assert not one[0, 1].any()
    assert (one[1:, 0] - other[1:, 0]).abs().max() > 1e-3


def test_a_damaged_sample_has_no_measures(tiny: Any) -> None:
    class Broken(MemorySource):
        def read(self, index: int, box: Any = None, out: Any = None) -> Any:
            if index == 3:
                raise StoreError("sample 3: gone")
            return super().read(index, box, out)

    config = tiny(model={"organ": WHOLE}, reading={"damaged": "skip"})
    batch = TrainingBatches(Broken(toy_source(8, 0).samples), config)[0]
    assert batch.measured_baf is not None
    lost = [one.damaged is not None for one in batch.facts]
    assert sum(lost) == 1
    assert batch.measured_baf.isnan().all(dim=2).all(dim=1).tolist() == lost


def test_without_tokens_there_is_no_transformer(tiny: Any) -> None:
    config = tiny(model={"organ": WHOLE | {"features_only": True}})
    batch = TrainingBatches(toy_source(8, 0), config)[0]
    assert batch.image_bzyx.numel() == batch.tokens_ban.numel() == 0
    assert all(all(fact.intact) for fact in batch.facts)
    model = FVLM.for_training(config.model, config.anatomies, ["a"])
    assert not [name for name, _ in model.named_parameters() if name.startswith("image_encoder")]
    with pytest.raises(InputError, match="looks at no tokens"):
        model.token_weights(torch.zeros(1, 24, 48, 48), torch.zeros(1, 3, 27, dtype=torch.bool))
    with pytest.raises(ConfigError, match="MAE weights need tokens"):
        model.load_mae({})


def test_reference_weights_know_no_organ_features() -> None:
    config = ModelConfig(organ=OrganConfig(cover_bias=True))
    plain = config.model_copy(
        update={
            "image": config.image.model_copy(
                update={"width": 8, "depth": 2, "heads": 2, "patch_zyx": (4, 4, 8),
                        "window_zyx": (8, 16, 24)}
            ),
            "text": config.text.model_copy(
                update={"kind": "fresh", "width": 8, "depth": 1, "heads": 2, "max_tokens": 16}
            ),
        }
    )  # fmt: skip
    biased = FVLM.for_training(plain, ["lung", "heart"], ["a lung"])
    state = reference_state(biased)
    # the bias has no weights, so a fine-tuning may switch it on
    biased.load_reference(state)
    joined = plain.model_copy(update={"organ": OrganConfig(features=True)})
    with pytest.raises(ConfigError, match=r"know nothing of model\.organ\.features"):
        FVLM.for_training(joined, ["lung", "heart"], ["a lung"]).load_reference(state)


def test_windows_without_features_are_refused() -> None:
    with pytest.raises(ValueError, match="histogram_windows join the pooled output"):
        OrganConfig(histogram_windows=4)
    for lone in ({"features_of": "sample"}, {"features_only": True}):
        with pytest.raises(ValueError, match="need features: set it to true"):
            OrganConfig.model_validate(lone)
    with pytest.raises(ValueError, match="leaves no tokens"):
        OrganConfig(features=True, features_only=True, cover_bias=True)


@pytest.mark.parametrize("organ", [{}, SEEN], ids=["plain", "organs"])
def test_loss_at_the_start_is_the_logarithm_of_the_candidates(
    tiny: Any, organ: dict[str, Any]
) -> None:
    """Within 5 %: a model that knows nothing chooses evenly. `policy: none` has one target each."""
    config = tiny(
        model={"organ": organ, "temperature_init": 0.5}, batch_size=24, loss={"policy": "none"}
    )
    source = toy_source(24, 0)
    batch = TrainingBatches(source, config)[0]
    losses = []
    for seed in range(4):
        torch.manual_seed(seed)
        texts = sorted({text for sample in source.samples for text in sample.texts})
        model = FVLM.for_training(config.model, config.anatomies, texts)
        terms = loss_terms(batch.facts, 3, "none", "normal")
        with torch.no_grad():
            image = batch.scaled(torch.device("cpu"))
            image_bae = model.encode_images(image, batch.tokens_ban, batch.organs_bzyx)
            text_bae = torch.stack([model.encode_texts(fact.encoder_texts) for fact in batch.facts])
            found = contrastive_losses(image_bae, text_bae, model.temperature, terms)
        losses += [float(found[term.anatomy]) / math.log(len(term.members_m)) for term in terms]
    assert np.mean(losses) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_sixteen_samples_are_learnt_by_heart(tmp_path: Path) -> None:
    """Zero-shot on what it was trained on: every finding is told apart without a fault."""
    from fvlm_train.config import parse_evaluate_config, parse_train_config
    from fvlm_train.evaluate.zero_shot import zero_shot

    config = parse_train_config(
        {
            "preset": "small",
            "anatomies": ["liver", "kidney", "lung"],
            "threads": 1,
            "steps": 60,
            "batch_size": 16,
            "model": {"image": {"window_zyx": [24, 48, 48]}},
        }
    )
    source = toy_source(16, 0, prevalence=0.3)
    train(config, source, tmp_path)
    result, _ = zero_shot(
        tmp_path,
        source,
        TOY_FINDINGS,
        parse_evaluate_config({"preset": "small", "min_positive_patients": 1}),
    )
    assert result.macro.findings >= 4
    assert result.macro.auc == 1.0
