"""The command `fvlm-eval export`: a trained model as a folder that others can load.

Laid out as models on the Hugging Face hub are: config.json, model.safetensors, tokenizer.json with
its settings, preprocessor_config.json, README.md; and image_side.pt2, the image side as
torch.export.export made it, which needs torch alone. Nothing is fetched or sent.

Shapes: B batch, A anatomy, E features; images are (B, z, y, x).
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fvlm_data.errors import InputError
from fvlm_train.config import TrackingConfig
from fvlm_train.model import FVLM
from fvlm_train.model.saved import (
    CONFIG,
    EXPORT_VERSION,
    MODEL_TYPE,
    TOKENIZER,
    WEIGHTS,
    SavedModel,
    read_saved,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.config import TrainConfig

IMAGE_SIDE = "image_side.pt2"
PREPROCESSOR = "preprocessor_config.json"
CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written; `largest_difference` is of image_side.pt2 to the model, on random input."""

    folder: str
    files: tuple[str, ...]
    parameters: int
    window_zyx: tuple[int, int, int]
    largest_difference: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class ImageSide(nn.Module):
    """The image side: window and organ numbers to features.

    A model with `organ.features_of: sample` takes what was measured of whole samples beside them.
    """

    def __init__(self, model: FVLM) -> None:
        """A copy of `model` without its text side."""
        super().__init__()
        self.model = copy.deepcopy(model)
        self.model.text_encoder = nn.Identity()  # type: ignore[assignment]
        self.model.text_projection = nn.Identity()  # type: ignore[assignment]
        self.anatomies = len(model.anatomies)
        self.patch_zyx = model.config.image.patch_zyx

    def forward(
        self, image_bzyx: Tensor, organs_bzyx: Tensor, measured_baf: Tensor | None = None
    ) -> Tensor:
        """Unit vectors (B, A, E) of windows in [0, 1]; zeros where an organ has no voxel.

        `organs_bzyx` (uint8) holds 1 + the number of the anatomy of each voxel, else 0;
        `measured_baf` is as `fvlm_train.data.whole.measured` makes it.
        """
        batch = organs_bzyx.shape[0]
        pz, py, px = self.patch_zyx
        z, y, x = (n // p for n, p in zip(organs_bzyx.shape[1:], self.patch_zyx, strict=True))
        cells = organs_bzyx.reshape(batch, z, pz, y, py, x, px)
        tokens_ban = torch.stack(
            [
                (cells == number + 1).any(6).any(4).any(2).reshape(batch, z * y * x)
                for number in range(self.anatomies)
            ],
            dim=1,
        )
        return self.model.encode_images(image_bzyx, tokens_ban, organs_bzyx, measured_baf)


def export_run(run: Path, out: Path) -> Exported:
    """Write the model of `run` into the new folder `out`; image_side.pt2 is run and compared.

    Raises:
        InputError: the run cannot be read, `out` is not empty, or cannot be written.
    """
    saved = read_saved(run)
    model = FVLM.from_saved(saved, run)
    check_new(out)
    draft = out.with_name(f".{out.name}.partial")
    try:
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(parents=True)
        difference = _write(saved, model, draft)
        if out.exists():
            out.rmdir()
        draft.rename(out)
    except OSError as error:
        raise InputError(
            f"export {out}: cannot be written ({type(error).__name__}); name another folder"
        ) from error
    return Exported(
        folder=str(out),
        files=tuple(sorted(path.name for path in out.iterdir())),
        parameters=sum(weight.numel() for weight in model.parameters()),
        window_zyx=saved.config.crop,
        largest_difference=difference,
    )


def check_new(out: Path) -> None:
    """Refuse (InputError) a folder that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"export {out}: is there and not empty; name a new folder")


def _write(saved: SavedModel, model: FVLM, folder: Path) -> float:
    from safetensors.torch import save_file

    train = portable(saved.config)
    weights = {name: weight.contiguous().clone() for name, weight in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / TOKENIZER).write_text(saved.tokenizer, encoding="utf-8")
    _json(folder / CONFIG, _config(saved, model, train))
    _json(folder / "tokenizer_config.json", _tokenizer_config(train))
    _json(folder / PREPROCESSOR, _preprocessor(saved))
    (folder / CARD).write_text(_card(saved, model), encoding="utf-8")
    return _write_image_side(model, folder / IMAGE_SIDE, saved.config)


def portable(config: TrainConfig) -> TrainConfig:
    """The configuration without places of this machine, which tell nothing to others.

    What started from files stands in the weights, and the BERT's shape beside it.
    """
    text = config.model.text.model_copy(update={"folder": None, "kind": "fresh"})
    model = config.model.model_copy(
        update={"text": text, "init_image": None, "init_mae": None, "init_reference": None}
    )
    reading = config.reading.model_copy(update={"disk_cache": None})
    # servers that were told of the training are nobody else's business
    return config.model_copy(
        update={"model": model, "reading": reading, "tracking": TrackingConfig()}
    )


def _config(saved: SavedModel, model: FVLM, train: TrainConfig) -> dict[str, Any]:
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["FVLM"],
        "export_version": EXPORT_VERSION,
        "anatomies": list(model.anatomies),
        "projection_dim": model.config.projection_dim,
        "temperature": float(model.temperature.detach()),
        "step": saved.step,
        "planned_steps": saved.planned_steps,
        "spacing_mm": None if saved.spacing_mm is None else list(saved.spacing_mm),
        "learned_findings": list(saved.learned_findings),
        "text_config": json.loads(model.text_encoder.shape),
        "train": train.model_dump(mode="json"),
    }


def _tokenizer_config(train: TrainConfig) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": train.model.text.max_tokens,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }


def _preprocessor(saved: SavedModel) -> dict[str, Any]:
    config = saved.config
    return {
        "axes": "z (+ superior), y (+ posterior), x (+ patient left)",
        "spacing_zyx_mm": None if saved.spacing_mm is None else list(saved.spacing_mm),
        "window_hu": list(config.window_hu),
        "window_zyx": list(config.crop),
        "patch_zyx": list(config.model.image.patch_zyx),
        "organ_numbers": {anatomy: n for n, anatomy in enumerate(config.anatomies, start=1)},
    }


def _write_image_side(model: FVLM, path: Path, config: TrainConfig) -> float:
    side = ImageSide(model).eval()
    z, y, x = config.crop
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, z, y, x, generator=generator)
    # blocks as large as an organ, each anatomy in turn
    along = torch.arange(x) * (len(config.anatomies) + 1) // x
    organs = along.to(torch.uint8).expand(2, z, y, x).contiguous()
    given = [image, organs]
    if model.organ_features is not None and model.config.organ.whole:
        shape = (2, len(config.anatomies), model.organ_features.measured)
        given.append(torch.rand(shape, generator=generator))
    with torch.no_grad():
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(
            side, tuple(given), dynamic_shapes=tuple({0: batch} for _ in given)
        )
        torch.export.save(program, path)
        first = [one[:1] for one in given]
        made = torch.export.load(path).module()(*first)
        return float((made - side(*first)).abs().max())


def _measures(config: TrainConfig) -> str:
    """What the card says of a third input."""
    if not config.model.organ.whole:
        return ""
    return (
        "\nIts third input is what `fvlm_train.data.whole.measured` says of whole samples\n"
        "(B, anatomies, measures; NaN for an organ that is not there)."
    )


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _card(saved: SavedModel, model: FVLM) -> str:
    config = saved.config
    planned = "" if saved.planned_steps is None else f" of {saved.planned_steps}"
    spacing = (
        "not recorded"
        if saved.spacing_mm is None
        else " x ".join(f"{one:g}" for one in reversed(saved.spacing_mm)) + " mm (x, y, z)"
    )
    parameters = sum(weight.numel() for weight in model.parameters()) / 1e6
    return f"""---
library_name: fvlm
tags: [ct, radiology, vision-language]
---
# A fine-grained vision-language model of CT

Embeds each anatomy of a CT, and sentences about it, in one space.

- anatomies: {", ".join(model.anatomies)}
- trained to step {saved.step}{planned}, loss policy `{config.loss.policy}`
- {parameters:.2f} M weights
- input: {spacing}; intensities {config.window_hu[0]:g} to {config.window_hu[1]:g} HU as 0 to 1;
  windows of {" x ".join(map(str, config.crop))} voxels (z, y, x) with the mask of each anatomy

```python
from fvlm_train.model import FVLM
model = FVLM.from_run("THIS_FOLDER")
text = model.encode_texts(["No abnormality of the liver."])
```

`{IMAGE_SIDE}` is the image side for torch alone: window (B, z, y, x) in [0, 1] and organ numbers
(uint8; 1 + the place in the list of anatomies) to unit vectors
(B, anatomies, {config.model.projection_dim}).{_measures(config)}

Weights and vocabulary were learned from reports and may hold words of them: share this folder as
you would the reports. Not a medical device; no figure here says how good it is, `fvlm-eval` does.
"""
