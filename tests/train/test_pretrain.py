"""Learning without labels: streams, views, the two losses, the run and what it gives."""

from __future__ import annotations

import json
import signal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows
from torch.utils.data import DataLoader
from typer.testing import CliRunner

from fvlm_data.errors import ConfigError, InputError, StoreError
from fvlm_data.shards import folder
from fvlm_data.shards.sets import UNLABELLED
from fvlm_data.shards.stream import ShardStream
from fvlm_train.cli import pretrain_app
from fvlm_train.config.pretrain import NAMED, GraphConfig, SwappedConfig, ViewsConfig
from fvlm_train.model import FVLM
from fvlm_train.pretrain.augment import OF_VOXELS, augmented
from fvlm_train.pretrain.graph import GraphHead, matched, neighbours
from fvlm_train.pretrain.run import pretrain
from fvlm_train.pretrain.state import ENCODER
from fvlm_train.pretrain.stream import BEGIN, Position, TwoViews, ordered_rows
from fvlm_train.pretrain.swapped import SwappedHead, sinkhorn
from fvlm_train.pretrain.views import boxes, generator, two_views
from tests.train.unlabelled_shards import write

SMALL = {
    "model": {"image": {"patch_zyx": [4, 8, 8], "window_zyx": [8, 16, 16], "dropout": 0.0}},
    "pretrain": {
        "batch_size": 8, "steps": 6, "hidden": 16, "projection_dim": 8, "shards_at_once": 2,
        "warmup_steps": 2, "checkpoint_every_steps": 2, "learning_rate": 0.003,
        "swapped": {"prototypes": 8},
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shards of four samples; nothing may write there."""
    store = tmp_path_factory.mktemp("unlabelled") / "store"
    write(store, [range(start, start + 4) for start in range(0, 20, 4)])
    return store


@pytest.fixture
def small(tiny: Any) -> Any:
    def build(**pretrain: Any) -> Any:
        return tiny(**{**SMALL, "pretrain": {**SMALL["pretrain"], **pretrain}})

    return build


def taken(stream: ShardStream, config: Any, count: int, begin: Position = BEGIN) -> list[Any]:
    return list(islice(TwoViews(stream, config, begin), count))


def test_an_epoch_takes_each_sample_once_and_the_next_another_order(shards: Path):
    rows = islice(ordered_rows(ShardStream(shards, "train"), 3, 2, BEGIN), 40)
    ids = [row["sample_id"] for row, _ in rows]
    assert sorted(ids[:20]) == sorted(ids[20:]) == [f"sa_{number:02}" for number in range(20)]
    assert ids[:20] != ids[20:] != sorted(ids[20:])


def test_a_stream_holds_the_rows_of_few_shards(shards: Path, monkeypatch: pytest.MonkeyPatch):
    stream, read = ShardStream(shards, "train"), []
    whole = ShardStream.rows
    monkeypatch.setattr(ShardStream, "rows", lambda self, s: read.append(s) or whole(self, s))
    rows = ordered_rows(stream, 3, 2, BEGIN)
    assert read == []
    for count, (row, _) in enumerate(islice(rows, 20)):
        assert len(read) == min(5, 2 * (count // 8 + 1))  # two shards of four samples at a time
        assert row["shard"] in read[-2:]


def test_a_stream_goes_on_where_it_stood_without_reading_what_was_before(
    shards: Path, small: Any, monkeypatch: pytest.MonkeyPatch
):
    stream, config = ShardStream(shards, "train"), small()
    whole = taken(stream, config, 30)
    read = []
    rows = ShardStream.rows
    monkeypatch.setattr(ShardStream, "rows", lambda self, s: read.append(s) or rows(self, s))
    rest = taken(stream, config, 17, whole[12].after)
    assert [one.sample_id for one in rest] == [one.sample_id for one in whole[13:]]
    assert all(torch.equal(a.views, b.views) for a, b in zip(rest, whole[13:], strict=True))
    assert len(read) == 3 + 4  # what was left of the first epoch, and two groups of the second


def test_views_hang_on_seed_epoch_and_sample_alone(shards: Path, small: Any, tmp_path: Path):
    config = small()
    write(tmp_path / "other", [(19, 3), (1, 0, 2, 8, 5), (4,), (18, 7, 6, 9, 10)])
    first = {one.sample_id: one for one in taken(ShardStream(shards, "train"), config, 20)}
    others = taken(ShardStream(tmp_path / "other", "train"), config, 13)
    assert len({one.sample_id for one in others}) == 13
    for one in others:
        assert torch.equal(one.views, first[one.sample_id].views)
        assert one.views.shape == (2, 8, 16, 16)
        assert one.views.min() >= 0
        assert one.views.max() <= 1
        assert not torch.equal(one.views[0], one.views[1])
    again = taken(ShardStream(shards, "train"), config, 40)[20:]
    assert all(not torch.equal(one.views, first[one.sample_id].views) for one in again)


@pytest.mark.full
def test_workers_change_no_order(shards: Path, small: Any):
    data = TwoViews(ShardStream(shards, "train"), small())
    loaded = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    ids = [one.sample_id for one in islice(loaded, 11)]
    assert ids == [one.sample_id for one in islice(data, 11)]


def test_without_augmentation_a_view_is_the_sample(shards: Path):
    stream = ShardStream(shards, "train")
    row = stream.rows("sh_00")[1]
    sample = stream.read(row)
    z, y, x = sample.image_zyx.shape
    config = ViewsConfig(augmentations={}, shift=0.0)
    views = two_views(stream, row, (z + 2, y, x), (-1150.0, 350.0), config, 1, 0)
    assert np.array_equal(views[0], views[1])
    assert np.allclose(views[0, 1:-1], sample.image_zyx / 255, atol=1e-6)
    assert not views[0, [0, -1]].any()  # what the sample does not fill is air


def test_slices_of_volumes_are_views_one_slice_deep(shards: Path):
    stream = ShardStream(shards, "train")
    row = stream.rows("sh_01")[0]
    views = two_views(stream, row, (1, 16, 16), (-1150.0, 350.0), ViewsConfig(), 1, 0)
    assert views.shape == (2, 1, 16, 16)


def test_the_second_view_lies_near_the_first():
    shape, crop = (60, 200, 200), (10, 40, 40)
    far, near = [], []
    for number in range(200):
        rng = generator(0, 0, str(number))
        for shift, found in ((1.0, far), (0.25, near)):
            one, other = boxes(shape, crop, ViewsConfig(shift=shift), rng)
            for box in (one, other):
                assert all(0 <= box[a] < box[a + 3] <= shape[a] for a in range(3))
            middles = [np.add(box[:3], box[3:]) / 2 for box in (one, other)]
            found.append(np.abs(middles[0] - middles[1]).max())
    assert max(near) <= 0.25 * 40 + 1
    assert max(far) > 25


@pytest.mark.parametrize("name", [name for name in NAMED if name != "zoom"])
def test_each_augmentation_changes_a_view_and_strength_0_does_not(name: str):
    view = np.random.default_rng(0).random((6, 12, 12), np.float32) * 0.6 + 0.2
    before = view.copy()
    assert name in OF_VOXELS
    still = augmented(view, {name: 0.0}, np.random.default_rng(5))
    assert np.allclose(still, view, atol=1e-6)
    changed = [augmented(view, {name: 0.9}, np.random.default_rng(seed)) for seed in range(4)]
    assert any(not np.allclose(one, view, atol=1e-3) for one in changed)
    assert all(one.shape == view.shape and one.dtype == np.float32 for one in changed)
    assert np.array_equal(changed[0], augmented(view, {name: 0.9}, np.random.default_rng(0)))
    assert np.array_equal(view, before)


def test_sinkhorn_gives_each_sample_one_and_each_prototype_its_share():
    scores = F.normalize(torch.randn(24, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    scores[:, 0] += 3  # every sample likes one prototype best
    found = sinkhorn(scores, 0.05, 200)
    assert torch.allclose(found.sum(dim=1), torch.ones(24), atol=1e-5)
    assert torch.allclose(found.sum(dim=0), torch.full((8,), 3.0), atol=1e-3)
    few = sinkhorn(scores, 0.05, 3)
    assert torch.allclose(few.sum(dim=1), torch.ones(24), atol=1e-5)
    assert few.sum(dim=0).max() < 6
    assert torch.isfinite(sinkhorn(scores, 1e-4, 3)).all()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(sinkhorn(scores[order], 0.05, 3), few[order], atol=1e-6)


def test_the_swapped_loss_is_least_where_the_views_agree():
    torch.manual_seed(0)
    head = SwappedHead(8, SwappedConfig(prototypes=4))
    one = F.normalize(head.prototypes.detach().repeat(4, 1), dim=1)
    alike, exchanged = head(one, one), head(one, one.roll(1, 0))
    assert alike < exchanged
    assert torch.isclose(head(one, one.roll(1, 0)), head(one.roll(1, 0), one))
    order = torch.randperm(16)
    assert torch.isclose(head(one[order], one[order]), alike, rtol=1e-5)


def test_neighbours_are_the_nearest_others():
    angles = torch.tensor([0.0, 0.1, 0.3, 2.0, 2.1])
    features = torch.stack([angles.cos(), angles.sin()], 1)
    assert neighbours(features, 1).ravel().tolist() == [1, 0, 1, 4, 3]


def test_edges_tell_apart_what_vertices_do_not():
    """Two samples look alike, in the second view even more like each other; neighbours differ."""
    generator_ = torch.Generator().manual_seed(0)
    left, right = (torch.randn(8, generator=generator_) for _ in range(2))
    base = F.normalize(left + right, dim=0)
    one = torch.stack(
        [base + 0.05 * left, base + 0.05 * right, left, left * 1.1 + 0.1, right, right * 1.1 - 0.1]
    )
    swapped = one.clone()
    swapped[0], swapped[1] = base + 0.02 * left, base + 0.02 * right
    one, other = F.normalize(one, dim=1), F.normalize(swapped, dim=1)
    plain = GraphHead(GraphConfig(neighbours=2, second_order=0.0))(one, other)
    second = GraphHead(GraphConfig(neighbours=2, second_order=1.0))(one, other)
    assert second < plain
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    config = GraphConfig(neighbours=2)
    logits = matched(one, other, config)
    assert torch.allclose(
        matched(one[order], other[order], config), logits[order][:, order], atol=1e-5
    )


@pytest.mark.parametrize("method", ["swapped", "graph"])
def test_the_loss_falls_on_a_tiny_set(shards: Path, small: Any, tmp_path: Path, method: str):
    # no mirroring and views near each other: only then can samples of four kinds be told apart;
    # the graphs' samples, each of its own noise, only where little else changes
    strengths = {"contrast": 0.1, "noise": 0.02} if method == "swapped" else {"noise": 0.3}
    views = {"shift": 0.0 if method == "swapped" else 0.05, "augmentations": strengths}
    config = small(method=method, steps=30, graph={"neighbours": 3}, views=views)
    told = []
    summary = pretrain(
        config, ShardStream(shards, "train"), tmp_path / "run", lambda *step: told.append(step[2])
    )
    assert (summary.steps, summary.ended, summary.shards) == (30, "complete", 5)
    assert np.mean(told[-5:]) < 0.85 * np.mean(told[:5])


def test_a_killed_run_goes_on_to_the_same_weights(shards: Path, small: Any, tmp_path: Path):
    config, stream = small(), ShardStream(shards, "train")
    pretrain(config, stream, tmp_path / "whole")

    def killed(step: int, steps: int, loss: float) -> None:
        if step == 3:  # the checkpoint is of step 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(config, stream, tmp_path / "run", killed)
    summary = pretrain(config, stream, tmp_path / "run")
    assert summary.steps == 6
    whole, run = (load_file(tmp_path / name / ENCODER) for name in ("whole", "run"))
    assert whole.keys() == run.keys()
    assert all(torch.equal(whole[name], run[name]) for name in whole)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert pretrain(config, stream, tmp_path / "run").steps == 6  # nothing left to do


def test_a_signal_ends_it_saved(shards: Path, small: Any, tmp_path: Path):
    def told(step: int, steps: int, loss: float) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    summary = pretrain(small(), ShardStream(shards, "train"), tmp_path / "run", told)
    assert (summary.steps, summary.ended, summary.stop_signal) == (3, "stopped", signal.SIGTERM)
    assert pretrain(small(), ShardStream(shards, "train"), tmp_path / "run").steps == 6


def test_another_recipe_or_other_shards_are_refused(shards: Path, small: Any, tmp_path: Path):
    run, stream = tmp_path / "run", ShardStream(shards, "train")
    pretrain(small(), stream, run)
    with pytest.raises(ConfigError, match=r"train\.pretrain\.swapped\.prototypes was 8"):
        pretrain(small(swapped={"prototypes": 9}), stream, run)
    with pytest.raises(ConfigError, match=r"train\.pretrain\.steps was 6"):
        pretrain(small(steps=8), stream, run)
    write(tmp_path / "other", [range(4), range(4, 8)])
    others = ShardStream(tmp_path / "other", "train")
    with pytest.raises(ConfigError, match="continue-on-new-data"):
        pretrain(small(), others, run)
    assert pretrain(small(), others, run, new_data=True).steps == 6


def test_its_weights_begin_a_training(shards: Path, small: Any, tiny: Any, tmp_path: Path):
    pretrain(small(), ShardStream(shards, "train"), tmp_path / "run")
    model = {**SMALL["model"], "init_image": str(tmp_path / "run" / ENCODER)}
    config = tiny(model=model)
    made = FVLM.for_training(config.model, config.anatomies, ["No cyst."])
    weights = load_file(tmp_path / "run" / ENCODER)
    own = made.image_encoder.state_dict()
    assert own.keys() == weights.keys()
    assert all(torch.equal(own[name], weights[name]) for name in weights)


def test_an_encoder_that_could_not_be_loaded_again_is_refused(
    shards: Path, tiny: Any, tmp_path: Path
):
    model = {**SMALL["model"], "image_encoder": "mae"}
    config = tiny(model=model, pretrain=SMALL["pretrain"])
    with pytest.raises(ConfigError, match="pretrain vit"):
        pretrain(config, ShardStream(shards, "train"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_store_without_samples_says_how_to_make_some(small: Any, tmp_path: Path):
    (tmp_path / "store").mkdir()
    with pytest.raises(InputError, match="--unlabelled"):
        pretrain(small(), ShardStream(tmp_path / "store", "train"), tmp_path / "run")
    with pytest.raises(InputError, match="nothing found"):
        ShardStream(tmp_path / "none", "train")


def test_damage_names_the_sample(tmp_path: Path):
    write(tmp_path, [range(2), range(2, 4)])
    stream = ShardStream(tmp_path, "train")
    group = tmp_path / folder.group_path("train", "sh_00", UNLABELLED)
    (one,) = [
        path for path in (group / "image").rglob("*") if path.is_file() and path.name != "zarr.json"
    ]
    one.write_bytes(one.read_bytes()[:40])
    with pytest.raises(StoreError, match="sa_0"):
        [stream.read(row) for row in stream.rows("sh_00")]
    index = tmp_path / folder.index_path("train", "sh_01", UNLABELLED)
    index.write_bytes(b"cut")
    with pytest.raises(StoreError, match="index of shard train/sh_01"):
        stream.rows("sh_01")


def test_restricted_and_moved_samples_are_left_out(tmp_path: Path):
    write(tmp_path, [range(4)])
    note = tmp_path / folder.note_path("train", "sh_00", "b", UNLABELLED)
    note.write_bytes(folder.note_bytes(["sa_01"]))
    (tmp_path / "shards" / "restricted.json").write_text(
        json.dumps({"purposes": {"research": ["p_02"]}})
    )
    told = [row["sample_id"] for row in ShardStream(tmp_path, "train").rows("sh_00")]
    assert told == ["sa_00", "sa_03"]


def test_the_command_says_what_it_would_do_and_does_it(shards: Path, small: Any, tmp_path: Path):
    from fvlm_data.store.tables import Store

    store = tmp_path / "store"
    Store.create(store)
    write(store, [range(4), range(4, 8)])
    config = tmp_path / "c.yaml"
    section = small(steps=2).model_dump(mode="json", exclude={"preset"})
    config.write_text(yaml.safe_dump({"store": str(store), "train": section}))
    out = tmp_path / "run"
    arguments = [str(config), "--store", str(store), "--out", str(out), "--json"]
    dry = CliRunner().invoke(pretrain_app, [*arguments, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout)["makes"] == {"steps": 2}
    assert not out.exists()
    done = CliRunner().invoke(pretrain_app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 2
    assert {path.name for path in out.iterdir()} == {
        "pretrain.pt", ENCODER, "log.jsonl", "summary.json", "config.json",
    }  # fmt: skip


def test_unknown_augmentations_and_strengths_are_refused():
    with pytest.raises(ValueError, match="rotate is no augmentation"):
        ViewsConfig(augmentations={"rotate": 0.1})
    with pytest.raises(ValueError, match="expected 0 to 1"):
        ViewsConfig(augmentations={"noise": 2.0})


def test_an_encoder_of_slices_learns_from_volumes(shards: Path, tiny: Any, tmp_path: Path):
    image = {"patch_zyx": [1, 8, 8], "window_zyx": [1, 16, 16]}
    config = tiny(model={"image": image}, pretrain={**SMALL["pretrain"], "steps": 2})
    pretrain(config, ShardStream(shards, "train"), tmp_path / "run")
    weights = load_file(tmp_path / "run" / ENCODER)
    assert weights["positions"].shape[1] == 4
