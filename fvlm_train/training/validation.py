"""Validation while training: mean AUC, the best weights kept, and when to stop for lack of better.

What scores a model is handed in: training knows no evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_train.model.saved import BEST
from fvlm_train.runs import save_checkpoint
from fvlm_train.training.average import exchanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fvlm_train.config import TrainConfig
    from fvlm_train.model import FVLM
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.state import State, Validated

    Validate = Callable[[FVLM], float | None]


def due(config: TrainConfig, step: int, steps: int) -> bool:
    """Whether a validation follows `step`."""
    every = config.validation.every_steps
    return every is not None and (step % every == 0 or step == steps)


def exhausted(config: TrainConfig, validated: Validated) -> bool:
    """Whether so many validations brought nothing better that training ends."""
    patience = config.validation.patience
    return patience is not None and validated.without_better >= patience


def validated_auc(
    run: Path, config: TrainConfig, state: State, steps: int, validate: Validate, place: Ranks
) -> float:
    """Mean AUC of what would be evaluated; RUN/best.pt is written where it is the best so far.

    The first rank scores, and all of them count.

    Raises:
        ConfigError: nothing of the validation split can be scored.
    """
    found = place.gather_objects(_scored(config, state, validate) if place.first else None)[0]
    if found is None:
        raise ConfigError(
            f"train.validation.split {config.validation.split}: no finding is both present and "
            "absent there, so there is no AUC: set train.validation.every_steps to null, or split "
            "to one that has some"
        )
    if state.validated.add(found, state.step) and place.first:
        save_checkpoint(run, state.checkpoint(config, steps), BEST)
    return found


def _scored(config: TrainConfig, state: State, validate: Validate) -> float | None:
    model = state.learners[0].model
    average = state.weight_average if config.average.evaluated else None
    weights = model.state_dict() if average is None else average.weights
    model.eval()
    try:
        with exchanged(model, weights):
            return validate(model)
    finally:
        model.train()
