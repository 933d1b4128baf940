from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.errors import InputError
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.scoring import score_samples
from fvlm_train.export import export_run
from fvlm_train.model import FVLM
from fvlm_train.model.organs import organ_voxels
from fvlm_train.runs import trained_run
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.train import train


def scores(run: Path) -> list[float]:
    trained = trained_run(run)
    found = score_samples(
        trained.model, toy_source(3, 8), TOY_FINDINGS, trained.config, EvaluateConfig()
    )
    return [one.score for one in found]


@pytest.fixture(scope="module")
def exported(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    made = export_run(toy_run, out)
    assert made.largest_difference < 1e-5
    return out


def test_an_exported_model_gives_the_same_scores(toy_run: Path, exported: Path) -> None:
    assert scores(exported) == scores(toy_run)
    assert {path.name for path in exported.iterdir()} == {
        "README.md", "config.json", "image_side.pt2", "model.safetensors",
        "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


def test_from_run_takes_runs_and_exports(toy_run: Path, exported: Path) -> None:
    texts = ["There is a hepatic cyst.", "No abnormality of the liver."]
    with torch.no_grad():
        one, other = (FVLM.from_run(place).encode_texts(texts) for place in (toy_run, exported))
    assert torch.equal(one, other)


def test_other_libraries_read_the_folder(exported: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(exported, local_files_only=True)
    text = "There is a hepatic cyst."
    ours, _ = FVLM.from_run(exported).tokenizer.encode([text])
    assert tokenizer(text)["input_ids"][: ours.shape[1]] == ours[0].tolist()


def test_no_place_of_this_machine_is_exported(exported: Path) -> None:
    told = json.loads((exported / "config.json").read_text())
    assert told["train"]["model"]["text"]["folder"] is None
    assert str(Path.home()) not in json.dumps(told)


@pytest.mark.parametrize(
    ("stem", "organ"),
    [
        pytest.param(
            "histogram",
            {"cover_bias": True, "features": True, "histogram_windows": 4},
            marks=pytest.mark.full,
        ),
        ("patch", {"features": True, "features_of": "sample", "features_only": True}),
        pytest.param("convolution", {"mask_embedding": True}, marks=pytest.mark.full),
    ],
)
def test_every_image_side_can_be_exported(
    tiny: Any, tmp_path: Path, stem: str, organ: dict[str, Any]
) -> None:
    config = tiny(steps=2, model={"image": {"stem": stem}, "organ": organ})
    train(config, toy_source(10, 0), tmp_path / "run")
    made = export_run(tmp_path / "run", tmp_path / "out")
    assert made.largest_difference < 1e-5
    side = torch.export.load(tmp_path / "out" / "image_side.pt2").module()
    given = [torch.rand(3, 24, 48, 48), torch.zeros(3, 24, 48, 48, dtype=torch.uint8)]
    if organ.get("features_of") == "sample":
        given.append(torch.full((3, 3, 2), torch.nan))
    with torch.no_grad():
        found = side(*given)
    assert (found.shape, float(found.abs().max())) == ((3, 3, 16), 0.0)


def test_voxels_of_organs_are_the_same_with_fixed_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(2, 8, 16, 16)
    organs = torch.randint(0, 4, (2, 8, 16, 16), dtype=torch.uint8)
    plain = organ_voxels(image, organs, 3, (4, 8, 8), 5)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    fixed = organ_voxels(image, organs, 3, (4, 8, 8), 5)
    assert torch.equal(plain.count_ban, fixed.count_ban)
    assert torch.allclose(plain.sum_banw, fixed.sum_banw, atol=1e-4)


def test_what_cannot_be_exported_or_loaded(toy_run: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there and not empty"):
        export_run(toy_run, exported)
    with pytest.raises(InputError, match=r"no checkpoint\.pt there"):
        FVLM.from_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(InputError, match="is not of `fvlm-eval export`"):
        FVLM.from_run(tmp_path)
