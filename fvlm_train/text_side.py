"""The text side of a trained run, for those that look for a text among embeddings of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from fvlm_train.runs import trained_run

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.model import FVLM


@dataclass(frozen=True, slots=True)
class TextSide:
    """A model that is asked for texts only; found by name from `fvlm_data.opened.embeddings`."""

    model: FVLM
    step: int

    @property
    def anatomies(self) -> tuple[str, ...]:
        """What the model was trained on, in its order."""
        return self.model.anatomies

    def vector(self, text: str) -> list[float]:
        """The unit vector (E,) of a text as it stands; what exceeds max_tokens is cut."""
        with torch.inference_mode():
            vector: list[float] = self.model.encode_texts([text])[0].tolist()
        return vector


def text_side(run: Path) -> TextSide:
    """The text side of a run or an exported model, on CPU: a sentence needs no more.

    Raises:
        InputError: the folder holds neither, or it cannot be read.
    """
    trained = trained_run(run)
    return TextSide(trained.model, trained.step)
