"""Weights, gradients and optimiser in shares of the ranks: FSDP2 (`torch.distributed.fsdp`).

Each rank keeps its share of every weight; a block's weights are gathered while it is computed. What
is saved is whole, in the format of a run on one device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from fvlm_train.model.vit import ImageEncoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_train.model import FVLM
    from fvlm_train.training.distributed import Ranks


def shard(model: FVLM, place: Ranks) -> None:
    """Leave this rank its share of the weights of each block, and of what lies around them.

    The temperature stays whole: a single number has no shares, and every rank computes the same
    gradient of it, from the features of all.
    """
    mesh = init_device_mesh(place.device.type, (place.world,))
    blocks: list[nn.Module] = list(model.text_encoder.bert.encoder.layer)
    if isinstance(model.image_encoder, ImageEncoder):
        blocks += list(model.image_encoder.blocks)
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params={model.temperature})


def whole(value: Any) -> Any:
    """State with each shared tensor put together; all ranks must ask for it."""
    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return value


def load_whole(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Hand a whole state of an optimiser to one of shared weights, each rank its shares."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    shared = {
        number: {name: _like(value, weights[number]) for name, value in of_weight.items()}
        for number, of_weight in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": shared})


def _like(value: Any, weight: Tensor) -> Any:
    if isinstance(weight, DTensor) and isinstance(value, Tensor) and value.shape == weight.shape:
        return distribute_tensor(
            value.to(weight.device), weight.device_mesh, weight.placements, src_data_rank=None
        )
    return value


def by_sharing(weights: Iterable[Tensor]) -> list[list[Tensor]]:
    """Weights that each rank has whole, then those of which it has a share, where there are any."""
    given = list(weights)
    shared: list[Tensor] = [one for one in given if isinstance(one, DTensor)]
    own = [one for one in given if not isinstance(one, DTensor)]
    return [part for part in (own, shared) if part]


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Norm of all together, on every rank alike, whether shared or not."""
    norms = [whole(nn.utils.get_total_norm(part)) for part in by_sharing(tensors)]
    # of one part its own number, bit by bit
    return cast("Tensor", norms[0] if len(norms) == 1 else nn.utils.get_total_norm(norms))
