"""Image encoders by name: their tokens lie where they say, and they train, resume and evaluate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

import fvlm_data.extensions
import fvlm_data.shards
import fvlm_train.evaluate.findings
from fvlm_data.errors import ConfigError, FvlmError, MissingExtraError
from fvlm_data.extensions import Offer
from fvlm_data.run.layers import merged
from fvlm_train.cli import eval_app, train_app
from fvlm_train.config import EvaluateConfig, ModelConfig, parse_train_config
from fvlm_train.config.encoders import IMAGE_ENCODERS
from fvlm_train.data.windows import anatomy_tokens
from fvlm_train.evaluate.attend import attention
from fvlm_train.export import export_run
from fvlm_train.model import FVLM
from fvlm_train.model.encoders.entry import EncoderEntry, build_encoder, check_encoder
from fvlm_train.model.encoders.orientation import to_ras, tokens_from_ras
from fvlm_train.model.encoders.tokens import TokenEncoder
from fvlm_train.runs import load_checkpoint, load_run, trained_run
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.state import training_texts
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train
from tests.train.conftest import TINY

SWIN = {"feature_size": 12, "depths": [1, 1, 1, 1], "heads": [1, 2, 2, 2], "window": 3, "stage": 2}
RESNET = {"blocks": [1, 1, 1, 1], "width": 2}
MODELS: dict[str, dict[str, Any]] = {
    "vit": {},
    "mae": {"image_encoder": "mae"},
    "swin": {
        "image_encoder": "swin",
        "image_encoder_options": SWIN,
        "image": {"patch_zyx": [8, 8, 8], "window_zyx": [24, 48, 48]},
    },
    "i3d_resnet": {
        "image_encoder": "i3d_resnet",
        "image_encoder_options": RESNET,
        "image": {"patch_zyx": [16, 32, 32], "window_zyx": [32, 64, 64]},
    },
}
OTHERS = ["mae", "i3d_resnet", pytest.param("swin", marks=pytest.mark.full)]  # MONAI loads slowly


def config_of(name: str, **over: Any) -> Any:
    return parse_train_config(merged(merged(TINY, {"model": MODELS[name]}), over))


def model_config(name: str, **over: Any) -> ModelConfig:
    return config_of(name, model=over).model


def encoder_of(name: str, **over: Any) -> Any:
    torch.manual_seed(0)
    built: TokenEncoder = build_encoder(model_config(name, **over))
    assert isinstance(built, torch.nn.Module)
    return built.eval()


@pytest.mark.parametrize("name", ["vit", *OTHERS])
def test_a_bright_cube_lies_in_the_tokens_that_its_mask_selects(name: str) -> None:
    """Their places touch the cube, and they are what it changes most: nothing is turned over."""
    encoder = encoder_of(name)
    cell = np.array(encoder.cell_zyx)
    shape = tuple(int(one) for one in cell * (3, 4, 5))
    # one cell that no mirroring or exchange of axes leaves where it is
    start = cell * (2, 1, 0)
    label = np.zeros(shape, np.uint8)
    z, y, x = (slice(int(a), int(a + n)) for a, n in zip(start, cell, strict=True))
    label[z, y, x] = 1
    dark = torch.full((1, *shape), 0.2)
    bright = dark + 0.8 * torch.from_numpy(label)[None]
    with torch.no_grad():
        before, after = encoder.features(dark), encoder.features(bright)
    assert before.tokens_bnd.shape == (1, 60, encoder.width)
    box = (z.start, y.start, x.start, z.stop, y.stop, x.stop)
    patch = (int(cell[0]), int(cell[1]), int(cell[2]))
    selected = anatomy_tokens(label, 1, box, patch).reshape(-1)
    near = (np.abs(after.centres_n3.numpy() - (start + (cell - 1) / 2)) < cell / 2).all(axis=1)
    assert np.array_equal(near, selected)
    change = (after.tokens_bnd - before.tokens_bnd).norm(dim=-1)[0]
    assert np.flatnonzero(selected).tolist() == [int(change.argmax())]


def test_windows_are_turned_to_ras_and_their_tokens_back() -> None:
    image = torch.rand(2, 3, 4, 5)
    turned = to_ras(image)
    assert turned.shape == (2, 1, 5, 4, 3)
    # our +x is patient left, our +y posterior: the first voxel there is the last one here
    assert turned[1, 0, 0, 0, 2] == image[1, 2, 3, 4]
    assert torch.equal(tokens_from_ras(turned)[..., 0], image.flatten(1))


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fvlm_data.shards, "ShardDataset", lambda store, split, *_: toy_source(12, 0)
    )
    monkeypatch.setattr(fvlm_train.evaluate.findings, "store_findings", lambda *_: TOY_FINDINGS)


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("name", ["i3d_resnet", pytest.param("swin", marks=pytest.mark.full)])
def test_each_trains_and_evaluates_by_the_commands(name: str, tmp_path: Path) -> None:
    file, run = tmp_path / "config.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump({"train": config_of(name, steps=2).model_dump(mode="json")}))
    command = [str(file), "--store", "s", "--out", str(run), "--json"]
    trained = CliRunner().invoke(train_app, command)
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["steps"] == 2
    scored = ["zero-shot", str(run), "--store", "s", "--set", "evaluate.min_positive_patients=1"]
    evaluated = CliRunner().invoke(eval_app, [*scored, "--json"])
    assert evaluated.exit_code == 0, evaluated.output
    assert 0 <= json.loads(evaluated.stdout)["macro"]["auc"] <= 1
    model = FVLM.from_run(run)
    assert model.config.image_encoder == name
    shown = list(attention(trained_run(run), toy_source(1, 0)[0], EvaluateConfig()))
    assert {one.anatomy for one in shown} == {"liver", "kidney", "lung"}
    assert all(one.share_zyx.max() > 0 for one in shown)


@pytest.mark.parametrize("name", OTHERS)
def test_a_resumed_run_ends_at_the_weights_of_one_that_was_not_stopped(
    name: str, tmp_path: Path
) -> None:
    def stop(step: Step, _: int) -> None:
        if step.step == 3:
            raise KeyboardInterrupt

    config, source = config_of(name, steps=4, batch_size=4), toy_source(12, 0)
    with pytest.raises(KeyboardInterrupt):
        train(config, source, tmp_path / "run", stop)
    train(config, source, tmp_path / "run")
    train(config, source, tmp_path / "whole")
    one, other = load_checkpoint(tmp_path / "run"), load_checkpoint(tmp_path / "whole")
    assert one is not None
    assert other is not None
    assert all(torch.equal(weight, other.model[key]) for key, weight in one.model.items())


@pytest.mark.parametrize("name", OTHERS)
def test_training_moves_every_weight_of_the_encoder(name: str, tmp_path: Path) -> None:
    config, source = config_of(name, steps=2, batch_size=4), toy_source(12, 0)
    train(config, source, tmp_path)
    moved = load_checkpoint(tmp_path)
    assert moved is not None
    torch.manual_seed(config.seed)
    fresh = FVLM.for_training(config.model, config.anatomies, training_texts(config, source))
    still = [
        key
        for key, weight in fresh.named_parameters()
        if key.startswith("image_encoder.") and torch.equal(weight, moved.model[key])
    ]
    assert still == []


@pytest.mark.full
@pytest.mark.parametrize("name", OTHERS)
def test_its_image_side_can_be_exported(name: str, tmp_path: Path) -> None:
    train(config_of(name, steps=1), toy_source(12, 0), tmp_path / "run")
    assert export_run(tmp_path / "run", tmp_path / "out").largest_difference < 1e-5


@pytest.mark.parametrize(
    ("name", "over", "told"),
    [
        ("vit", {"image_encoder": "swim"}, r"not known \(did you mean swin\?\)"),
        ("swin", {"image_encoder_options": {"stagee": 1}}, "stagee is not a known key"),
        ("swin", {"image_encoder_options": {"stage": 5}}, "less than or equal to 4"),
        ("swin", {"image_encoder_options": {"heads": [5, 1, 1, 1]}}, "5 heads do not divide"),
        ("swin", {"image_encoder_options": {"stage": 1}}, r"set it to \[4, 4, 4\]"),
        ("i3d_resnet", {"image": {"patch_zyx": [8, 16, 16]}}, r"set it to \[16, 32, 32\]"),
        ("i3d_resnet", {"organ": {"mask_embedding": True}}, "which image encoder i3d_resnet has"),
        ("mae", {"init_mae": "w.pth"}, "init_mae is for image_encoder vit"),
        ("vit", {"init_image": "w.pth", "init_mae": "v.pth"}, "both begin the image side"),
    ],
)
def test_what_an_encoder_cannot_do_is_told_before_any_work(
    name: str, over: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        check_encoder(config_of(name, model=over))


@pytest.mark.parametrize(
    ("name", "compute", "told"),
    [
        ("swin", {"checkpointing": True}, "compute.checkpointing acts on the blocks of our"),
        ("swin", {"compile": True}, "compute.compile acts on the blocks of our transformer"),
        ("i3d_resnet", {"micro_batch": 2}, "takes statistics as a whole"),
    ],
)
def test_settings_of_a_step_that_an_encoder_would_ignore_are_refused(
    name: str, compute: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        check_encoder(config_of(name, compute=compute))


def test_frozen_norms_keep_their_statistics(tmp_path: Path) -> None:
    options = {"image_encoder_options": RESNET | {"frozen_norm": True}}
    config = config_of("i3d_resnet", steps=1, model=options, compute={"micro_batch": 3})
    train(config, toy_source(12, 0), tmp_path)
    model, _ = load_run(tmp_path)
    assert isinstance(model.image_encoder, torch.nn.Module)
    means = [v for k, v in model.image_encoder.named_buffers() if k.endswith("running_mean")]
    assert means
    assert not any(bool(one.any()) for one in means)


def test_without_monai_a_swin_is_refused_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets.swin_unetr", None)
    with pytest.raises(MissingExtraError, match=r"'fvlm\[swin\]'"):
        build_encoder(model_config("swin"))


class Halves(torch.nn.Module):
    """Another package's encoder: the mean of each cell; of `tokens` it forgets some."""

    def __init__(self, forgets: int = 0, cell: tuple[int, int, int] = (8, 16, 16)) -> None:
        super().__init__()
        self.width, self.cell_zyx, self.forgets = 8, cell, forgets
        self.linear = torch.nn.Linear(1, 8)

    def forward(self, image_bzyx: torch.Tensor, added_bnd: torch.Tensor | None = None) -> Any:
        means = torch.nn.functional.avg_pool3d(image_bzyx[:, None], self.cell_zyx).flatten(2)
        return self.linear(means.transpose(1, 2))[:, None, self.forgets :]


def broken(config: Any, options: Any) -> Any:
    raise KeyError("a name that must not be told")


FOREIGN = {
    "halves": EncoderEntry(lambda c, o: Halves(), lambda c, o: (8, 16, 16)),
    "forgetful": EncoderEntry(lambda c, o: Halves(1), lambda c, o: (8, 16, 16)),
    "liar": EncoderEntry(lambda c, o: Halves(cell=(4, 4, 4)), lambda c, o: (8, 16, 16)),
    "broken": EncoderEntry(broken, lambda c, o: (8, 16, 16)),
}


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders that a package brings by entry points."""
    module = ModuleType("ward_encoders")
    vars(module).update(FOREIGN)
    monkeypatch.setitem(sys.modules, "ward_encoders", module)
    offers = tuple(Offer(name, f"ward_encoders:{name}", "ward", "1.0") for name in FOREIGN)
    known = fvlm_data.extensions.foreign
    monkeypatch.setattr(
        fvlm_data.extensions,
        "foreign",
        lambda group: offers if group == IMAGE_ENCODERS.group else known(group),
    )


@pytest.mark.usefixtures("foreign")
def test_another_packages_encoder_trains_by_its_name(tmp_path: Path) -> None:
    config = config_of("vit", steps=2, model={"image_encoder": "halves"})
    assert train(config, toy_source(12, 0), tmp_path).steps == 2
    assert FVLM.from_run(tmp_path).config.image_encoder == "halves"


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("broken", FvlmError, r"'broken' of package ward 1\.0: KeyError at test_encoders"),
        ("liar", ConfigError, r"announces a token for \(8, 16, 16\) voxels and is built with one"),
        ("forgetful", ValueError, "gives 26 tokens for a window of .* expected 27"),
    ],
)
def test_another_packages_fault_is_told_as_its_own(
    name: str, error: type[Exception], told: str, tmp_path: Path
) -> None:
    config = config_of("vit", steps=1, model={"image_encoder": name})
    with pytest.raises(error, match=told) as caught:
        train(config, toy_source(12, 0), tmp_path)
    assert "must not be told" not in str(caught.value)
