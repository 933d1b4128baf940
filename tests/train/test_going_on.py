"""Runs that are stopped, moved, continued or led astray."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import fvlm_data.shards
from fvlm_data.errors import ConfigError, InputError, StoreError
from fvlm_train.cli import train_app
from fvlm_train.config import TrainConfig
from fvlm_train.data.snapshot import snapshots
from fvlm_train.errors import DivergedError
from fvlm_train.model import FVLM, TextEncoder, WordPieces
from fvlm_train.runs import SUMMARY, load_checkpoint, load_run, save_checkpoint
from fvlm_train.testing import MemorySource, toy_sample, toy_source
from fvlm_train.training.distributed import Ranks
from fvlm_train.training.state import training_texts
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train
from tests.train.reference_weights import reference_state


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.model


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def saved_bert(folder: Path, config: TrainConfig, texts: list[str]) -> WordPieces:
    """A BERT and its vocabulary in a folder, as a user has them."""
    pieces = WordPieces.train(texts, 300, 32)
    TextEncoder.build(config.model.text, pieces.size).bert.save_pretrained(folder)
    ordered = sorted((n, piece) for piece, n in pieces._tokenizer.get_vocab().items())
    (folder / "vocab.txt").write_text("\n".join(piece for _, piece in ordered) + "\n")
    return pieces


def test_numbers_that_run_away_end_the_training_and_leave_the_last_good_weights(
    tiny: Any, tmp_path: Path
) -> None:
    config, source = tiny(), toy_source(20, 0)

    def astray(step: Step, _: int) -> None:
        if step.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, source, tmp_path / "run", astray)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    hot = config.model_copy(
        update={"optimiser": config.optimiser.model_copy(update={"learning_rate": 1e18})}
    )
    save_checkpoint(tmp_path / "run", replace(checkpoint, config=hot))
    kept = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    assert len(kept) == pytest.approx(len(before), rel=0.1)
    with pytest.raises(DivergedError, match=r"step \d: the (loss|gradient|weights) ") as caught:
        train(hot, source, tmp_path / "run")
    assert "sample_00" in str(caught.value)
    assert "checkpoint.pt keeps step 2" in str(caught.value)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == kept
    assert all(bool(weight.isfinite().all()) for weight in weights(tmp_path / "run").values())


def test_the_samples_whose_features_are_no_numbers_are_named(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those: the rest of a batch is not at fault."""
    whole = FVLM.encode_images

    def encode(self: FVLM, *inputs: torch.Tensor) -> torch.Tensor:
        features = whole(self, *inputs)
        return torch.cat([features[:1] * float("nan"), features[1:]])

    monkeypatch.setattr(FVLM, "encode_images", encode)
    with pytest.raises(DivergedError) as caught:
        train(tiny(), toy_source(20, 0), tmp_path)
    spoilt = [word for word in str(caught.value).split() if word.startswith("sample_")]
    assert len(spoilt) == 1
    assert "no step was saved yet" in str(caught.value)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_weights_that_are_no_numbers_are_not_evaluated(tiny: Any, tmp_path: Path) -> None:
    train(tiny(steps=1), toy_source(8, 0), tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    spoilt = {**checkpoint.model, "temperature": torch.tensor(float("nan"))}
    save_checkpoint(tmp_path, replace(checkpoint, model=spoilt))
    with pytest.raises(InputError, match="holds weights that are no numbers"):
        load_run(tmp_path)


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends a process; tests in a background job would ignore SIGINT."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_saves_the_step_in_progress(
    tiny: Any, tmp_path: Path, number: signal.Signals
) -> None:
    config, source = tiny(checkpoint_every_steps=100), toy_source(20, 0)
    train(config, source, tmp_path / "whole")
    handler = signal.getsignal(number)

    def send(step: Step, _: int) -> None:
        if step.step == 3:
            os.kill(os.getpid(), number)

    stopped = train(config, source, tmp_path / "parts", send)
    assert signal.getsignal(number) is handler
    assert (stopped.ended, stopped.steps, stopped.stop_signal) == ("stopped", 3, number)
    assert json.loads((tmp_path / "parts" / SUMMARY).read_text())["ended"] == "stopped"
    assert len(logged(tmp_path / "parts")) == 3
    finished = train(config, source, tmp_path / "parts")
    assert (finished.ended, finished.steps) == ("complete", 6)
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert [line["step"] for line in logged(tmp_path / "parts")] == [1, 2, 3, 4, 5, 6]


class Signalling(MemorySource):
    """Sends SIGTERM when the samples of the third step are read."""

    reads = 0

    def read(self, *arguments: Any, **named: Any) -> Any:
        self.reads += 1
        if self.reads == 17:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().read(*arguments, **named)


def test_the_command_ends_with_the_status_of_the_signal(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Signalling(toy_source(20, 0).samples), toy_source(20, 0)]
    monkeypatch.setattr(fvlm_data.shards, "ShardDataset", lambda *_: sources.pop(0))
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"train": tiny().model_dump(mode="json")}))
    command = [str(config), "--store", "s", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(train_app, command)
    assert result.exit_code == 128 + signal.SIGTERM, result.output
    assert "stopped by a signal after step 3 of 6, which is saved" in result.stdout
    result = CliRunner().invoke(train_app, command)
    assert result.exit_code == 0
    assert "trained 6 of 6 steps" in result.stdout


def test_a_time_limit_is_told(tiny: Any, tmp_path: Path) -> None:
    summary = train(tiny(steps=50, time_limit_s=1e-6), toy_source(20, 0), tmp_path)
    assert (summary.ended, summary.steps) == ("time_limit", 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("text", "1 are gone or changed, of the 20 there are now 1 are new"),
        ("pixel", "1 are gone or changed, of the 20 there are now 1 are new"),
        ("more", "0 are gone or changed, of the 21 there are now 1 are new"),
        ("fewer", "1 are gone or changed, of the 19 there are now 0 are new"),
    ],
)
def test_a_run_does_not_go_on_with_other_data(
    tiny: Any, tmp_path: Path, change: str, told: str
) -> None:
    samples = [toy_sample(number, 0) for number in range(21)]
    first = samples[0]
    if change == "text":
        changed = [replace(first, texts=("Something else.", *first.texts[1:])), *samples[1:20]]
    elif change == "pixel":
        changed = [replace(first, image_zyx=first.image_zyx + (first.label_zyx == 1))]
        changed += samples[1:20]
    else:
        changed = samples if change == "more" else samples[:19]
    train(tiny(time_limit_s=1e-6), MemorySource(samples[:20]), tmp_path)
    with pytest.raises(ConfigError, match=told):
        train(tiny(), MemorySource(changed), tmp_path)
    assert [part.from_step for part in snapshots(tmp_path)] == [0]
    summary = train(tiny(), MemorySource(changed), tmp_path, new_data=True)
    assert (summary.steps, summary.data_changes) == (6, 1)
    # those are now its data
    train(tiny(), MemorySource(changed), tmp_path)
    first, second = snapshots(tmp_path)
    assert (first.from_step, second.from_step) == (0, 1)
    assert (first.samples, second.samples) == (20, len(changed))
    assert first.content != second.content


class AtVersion(MemorySource):
    """Samples of a store, at a version of its table."""

    samples_version = 0


def test_a_run_names_the_state_of_the_store_that_it_reads(tiny: Any, tmp_path: Path) -> None:
    sources = [AtVersion(toy_source(20, 0).samples) for _ in range(2)]
    for source, version in zip(sources, (7, 9), strict=True):
        source.samples_version = version
    first = train(tiny(time_limit_s=1e-6), sources[0], tmp_path)
    assert first.samples_version == 7
    # the same samples, told by another version: goes on, and says so
    second = train(tiny(), sources[1], tmp_path)
    assert (second.steps, second.samples_version, second.data_changes) == (6, 9, 0)
    parts = snapshots(tmp_path)
    assert [(part.from_step, part.samples_version) for part in parts] == [(0, 7), (1, 9)]
    assert parts[0].content == parts[1].content
    assert "version 9 of the store's table" in (tmp_path / "MODEL_CARD.md").read_text()


def test_a_run_whose_ranks_opened_different_samples_does_not_begin(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranks, "gather_objects", lambda self, one: [one, "of another rank"])
    with pytest.raises(ConfigError, match="the ranks have opened different samples"):
        train(tiny(), toy_source(20, 0), tmp_path)


def test_damaged_data_json_is_told(tiny: Any, tmp_path: Path) -> None:
    train(tiny(steps=1), toy_source(8, 0), tmp_path)
    (tmp_path / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"data.json is damaged"):
        train(tiny(steps=1), toy_source(8, 0), tmp_path)


def test_a_run_of_an_older_version_is_read_but_not_continued_unasked(
    tiny: Any, tmp_path: Path
) -> None:
    train(tiny(steps=2), toy_source(20, 0), tmp_path)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for name in ("text_shape", "samples", "planned_steps"):
        del content[name]
    torch.save({**content, "version": 1}, tmp_path / "checkpoint.pt")
    load_run(tmp_path)
    with pytest.raises(ConfigError, match="does not know the samples"):
        train(tiny(steps=2), toy_source(20, 0), tmp_path)


@pytest.mark.parametrize("correction", ["none", "co_teaching"])
def test_a_run_that_began_with_reference_weights_goes_on(
    tiny: Any, tmp_path: Path, correction: str
) -> None:
    source = toy_source(20, 0)
    over = {"model": {"init_reference": str(tmp_path / "reference.pt")}}
    config = tiny(**over, loss={"correction": {"kind": correction, "warmup_epochs": 0}})
    torch.manual_seed(0)
    ours = FVLM.for_training(tiny().model, config.anatomies, training_texts(config, source))
    torch.save(reference_state(ours) | {"temp": torch.tensor(0.1)}, tmp_path / "reference.pt")
    train(config, source, tmp_path / "whole")
    train(config.model_copy(update={"time_limit_s": 1e-6}), source, tmp_path / "parts")
    (tmp_path / "reference.pt").unlink()
    train(config, source, tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts")
    types = weights(tmp_path / "parts")["text_encoder.bert.embeddings.token_type_embeddings.weight"]
    assert not types.any()


def test_a_run_needs_its_bert_folder_no_more(tiny: Any, tmp_path: Path) -> None:
    source = toy_source(20, 0)
    folder = tmp_path / "bert"
    saved_bert(folder, tiny(), training_texts(tiny(), source))
    config = tiny(model={"text": {"kind": "folder", "folder": str(folder)}}, time_limit_s=1e-6)
    train(config, source, tmp_path / "run")
    expected, _ = load_run(tmp_path / "run")
    shutil.rmtree(folder)
    model, _ = load_run(tmp_path / "run")
    texts = ["There is a renal stone."]
    with torch.no_grad():
        assert torch.equal(model.encode_texts(texts), expected.encode_texts(texts))
    assert train(config.model_copy(update={"time_limit_s": None}), source, tmp_path / "run")


def test_more_tokens_than_positions_are_refused_at_the_start(tiny: Any, tmp_path: Path) -> None:
    source = toy_source(20, 0)
    saved_bert(tmp_path / "bert", tiny(), training_texts(tiny(), source))
    text = {"kind": "folder", "folder": str(tmp_path / "bert"), "max_tokens": 48}
    with pytest.raises(ConfigError, match=r"max_tokens is 48, but .* has 32 positions"):
        train(tiny(model={"text": text}), source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_sample_ends_the_run_and_keeps_what_was_learned(
    tiny: Any, tmp_path: Path
) -> None:
    class Damaged(MemorySource):
        reads = 0

        def read(self, *arguments: Any, **named: Any) -> Any:
            self.reads += 1
            if self.reads > 24:
                raise StoreError("sample sample_0003: shard train/s cannot be read")
            return super().read(*arguments, **named)

    config = tiny(checkpoint_every_steps=100)
    with pytest.raises(StoreError, match="sample_0003"):
        train(config, Damaged(toy_source(20, 0).samples), tmp_path / "parts")
    checkpoint = load_checkpoint(tmp_path / "parts")
    assert checkpoint is not None
    assert checkpoint.step == 3
    train(config, toy_source(20, 0), tmp_path / "whole")
    train(config, toy_source(20, 0), tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_texts_that_are_cut_are_counted(tiny: Any, tmp_path: Path) -> None:
    samples = [toy_sample(number, 0) for number in range(20)]
    long = "A renal stone is seen. " * 30
    samples[3] = replace(samples[3], texts=(samples[3].texts[0], long, samples[3].texts[2]))
    summary = train(tiny(steps=1), MemorySource(samples), tmp_path / "run")
    assert summary.cut_texts == 1
    assert train(tiny(steps=1), toy_source(20, 0), tmp_path / "short").cut_texts == 0


@pytest.mark.parametrize("made", [True, False])
def test_a_place_without_samples_is_one_sentence(tmp_path: Path, tiny: Any, made: bool) -> None:
    if made:
        (tmp_path / "store").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"train": tiny().model_dump(mode="json")}))
    store = str(tmp_path / "store")
    command = [str(config), "--store", store, "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(train_app, command)
    assert result.exit_code == 2
    told = "no samples found there" if made else "nothing found there"
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()
