from __future__ import annotations

import csv
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from fvlm_train.config import EvaluateConfig, ModelConfig
from fvlm_train.evaluate.zero_shot import zero_shot
from fvlm_train.report.card import write_card
from fvlm_train.report.curves import write_curves
from fvlm_train.report.encoder import encoder_words
from fvlm_train.report.events import EVENTS, EventLog
from fvlm_train.runs import write_json
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.train import train

ANATOMIES = ("liver", "kidney", "lung")


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    train(tiny(steps=4), toy_source(20, 0), tmp_path / "run", findings=TOY_FINDINGS)
    write_curves(tmp_path / "run", ANATOMIES)
    return tmp_path / "run"


def test_the_table_holds_every_step_of_the_log(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    with (run / "log.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    for row, line in zip(rows, lines, strict=True):
        losses = {anatomy: row[f"loss_{anatomy}"] for anatomy in ANATOMIES}
        told = {anatomy: float(loss) for anatomy, loss in losses.items() if loss}
        assert told == line["losses"]
        assert float(row["wait_s"]) == line["wait_s"]


def records(path: Path) -> list[bytes]:
    """Payloads of a file of TFRecords, their checksums proved."""

    def check(content: bytes, told: bytes) -> None:
        rotated = (int.from_bytes(told, "little") - 0xA282EAD8) % 2**32
        crc = (rotated >> 17 | rotated << 15) % 2**32
        assert crc == google_crc32c.value(content)

    found, rest = [], path.read_bytes()
    while rest:
        size = int.from_bytes(rest[:8], "little")
        check(rest[:8], rest[8:12])
        check(rest[12 : 12 + size], rest[12 + size : 16 + size])
        found.append(rest[12 : 12 + size])
        rest = rest[16 + size :]
    return found


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message of protocol buffers."""

    def varint() -> int:
        nonlocal message
        number = shift = 0
        while True:
            byte, message = message[0], message[1:]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while message:
        number, kind = divmod(varint(), 8)
        size = {0: 0, 1: 8, 2: None, 5: 4}[kind]
        if kind == 0:
            yield number, varint()
            continue
        size = varint() if size is None else size
        value, message = message[:size], message[size:]
        yield number, value


def test_tensorboard_reads_each_scalar_of_the_log(run: Path) -> None:
    first, *steps = [dict(fields(one)) for one in records(run / EVENTS)]
    assert first[3] == b"brain.Event:2"
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert len(steps) == len(lines) == 4
    for event, line in zip(steps, lines, strict=True):
        assert event[2] == line["step"]
        values = [dict(fields(value)) for _, value in fields(event[5])]
        told = {value[1].decode(): struct.unpack("<f", value[2])[0] for value in values}
        assert told["learning_rate"] == pytest.approx(line["learning_rate"])
        losses = {f"loss_of/{name}": pytest.approx(one) for name, one in line["losses"].items()}
        assert {name: one for name, one in told.items() if name.startswith("loss_of/")} == losses
        assert ("loss" in told) == (line["loss"] is not None)


def test_a_resumed_run_writes_its_earlier_scalars_again(tmp_path: Path) -> None:
    lines = [
        {"step": number, "time_s": 1.0, "losses": {"liver": 0.5}, "loss": 0.5, "damaged": ()}
        for number in (1, 300)
    ]
    with EventLog(tmp_path, []) as whole:
        for line in lines:
            whole.write(line)
    expected = (tmp_path / EVENTS).read_bytes()
    with EventLog(tmp_path, lines[:1]) as resumed:
        resumed.write(lines[1])
    assert (tmp_path / EVENTS).read_bytes() == expected
    assert [dict(fields(one)).get(2) for one in records(tmp_path / EVENTS)] == [None, 1, 300]
    with EventLog(tmp_path / "nowhere", lines, writes=False) as other:
        other.write(lines[0])


def test_the_page_asks_nothing_of_the_network_and_is_the_same_again(run: Path) -> None:
    page = (run / "curves.html").read_text()
    assert "<svg" in page
    assert "4 steps in" in page
    # names of XML vocabularies are no addresses that a browser fetches
    fetched = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?\s*(https?:[^\"')]*)", page)
    assert not fetched
    assert "<script" not in page
    write_curves(run, ANATOMIES)
    assert (run / "curves.html").read_text() == page
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_tells_data_recipe_and_figures_and_no_patient(run: Path) -> None:
    card = (run / "MODEL_CARD.md").read_text()
    assert "20 samples of 20 patients, split `train`" in card
    assert "4 of 4 steps: all steps were made" in card
    assert "Not evaluated yet" in card
    source = toy_source(20, 0)
    livers = [dict(zip(one.anatomies, one.states, strict=True))["liver"] for one in source.samples]
    abnormal = livers.count("abnormal")
    (line,) = [line for line in card.splitlines() if line.startswith("| liver |")]
    assert line.split("|")[2].strip() == str(abnormal)
    config = EvaluateConfig(min_positive_patients=1, bootstrap_samples=10)
    result, _ = zero_shot(run, source, TOY_FINDINGS, config)
    write_json(run / "zero_shot_test.json", result.as_json())
    write_card(run)
    card = (run / "MODEL_CARD.md").read_text()
    assert f"macro AUC {result.macro.auc:.3f}" in card
    assert all(f"| {row.finding} |" in card for row in result.table)
    assert "patient_0" not in card
    assert "study_" not in card


@pytest.mark.parametrize(
    ("settings", "told", "untold"),
    [
        ({}, ["`vit`, a vision transformer of 12 blocks and width 768", "begun at random"], []),
        ({"image_encoder": "mae", "init_image": "w.pt"}, ["`mae`", "begun from a file"], ["w.pt"]),
        (
            {"image_encoder": "swin", "image_encoder_options": {"stage": 2}},
            ["image encoder `swin`", '`{"stage": 2}`', "a token for 16 x 16 x 32 voxels"],
            ["transformer of", "width"],
        ),
        (
            {"image_encoder": "i3d_resnet", "organ": {"features": True, "features_only": True}},
            ["a linear map of what is measured"],
            ["i3d_resnet"],
        ),
    ],
)
def test_the_encoder_that_was_trained_is_told(
    settings: dict[str, Any], told: list[str], untold: list[str]
) -> None:
    words = encoder_words(ModelConfig.model_validate(settings))
    assert [one for one in told if one not in words] == []
    assert [one for one in untold if one in words] == []


def test_a_run_without_its_configuration_gets_no_card(run: Path) -> None:
    (run / "MODEL_CARD.md").unlink()
    (run / "config.json").unlink()
    write_card(run)
    assert not (run / "MODEL_CARD.md").exists()
