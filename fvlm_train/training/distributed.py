"""Ranks under torchrun; a single process is world size 1 and calls nothing."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of torchrun."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this rank writes files and reports."""
        return self.rank == 0

    def gather_objects(self, value: T) -> list[T]:
        """`value` of every rank, in rank order."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def gather(self, local: Tensor) -> Tensor:
        """Rows of all ranks, in rank order, with gradient; `local` has one shape everywhere."""
        if self.world == 1:
            return local
        gathered: Tensor = _Gather.apply(local, self.rank, self.world)  # type: ignore[no-untyped-call]
        return gathered


class _Gather(torch.autograd.Function):
    """All-gather with gradient, which `distributed.all_gather` does not have.

    Every rank computes the same loss over all rows, so a row's gradient is summed over ranks; the
    averaging of DDP afterwards divides by their number again.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, rank: int, world: int) -> Tensor:
        ctx.rank, ctx.rows = rank, local.shape[0]
        parts = [torch.empty_like(local) for _ in range(world)]
        distributed.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous()
        distributed.all_reduce(total)
        return total[ctx.rank * ctx.rows : (ctx.rank + 1) * ctx.rows], None, None


@contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """Join the group that torchrun's environment names, and leave it at the end.

    `device` is auto, cpu or cuda; gloo joins CPUs, NCCL joins GPUs.
    """
    use_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device("cuda", local) if use_cuda else torch.device("cpu")
    if use_cuda:
        torch.cuda.set_device(place)
    if world == 1:
        yield Ranks(0, 1, place)
        return
    distributed.init_process_group("nccl" if use_cuda else "gloo")
    try:
        yield Ranks(distributed.get_rank(), world, place)
    finally:
        distributed.destroy_process_group()
