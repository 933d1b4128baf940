"""Crops a second from shards, for bench/loader.py: alone, by threads, by processes, in batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from fvlm_data.shards import ShardDataset
from fvlm_data.vocabulary import Vocabulary
from fvlm_train.config import TrainConfig
from fvlm_train.data.batches import TrainingBatches, read_ahead

STEP_CROPS, STEP_S = 48, 0.5
"""What a training step needs on a current GPU."""


class RandomCrops:
    """Random crops of a split's samples, for a DataLoader."""

    def __init__(self, store: Path, split: str, size_zyx: tuple[int, int, int], count: int) -> None:
        """`count` crops of `size_zyx` of the samples of `store`."""
        self.dataset = ShardDataset(store, split)
        self.size_zyx = size_zyx
        self.count = count

    def __len__(self) -> int:
        """Number of crops."""
        return self.count

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        """Image and label of a crop drawn from its number."""
        rng = np.random.default_rng(number)
        index = number % len(self.dataset)
        shape = self.dataset.rows["shape_zyx"][index].as_py()
        z, y, x = (int(rng.integers(n - c + 1)) for n, c in zip(shape, self.size_zyx, strict=True))
        depth, height, width = self.size_zyx
        sample = self.dataset.read(index, (z, y, x, z + depth, y + height, x + width))
        return torch.from_numpy(sample.image_zyx), torch.from_numpy(sample.label_zyx)


def print_rates(folder: Path, split: str, size_zyx: tuple[int, int, int], count: int) -> None:
    """Crops a second by threads, as training reads, and by the processes of a DataLoader.

    `folder` holds a store of each stored type.
    """
    print(f"crops a second (a step needs {STEP_CROPS / STEP_S:.0f})")
    for dtype in ("int16", "uint8"):
        crops = RandomCrops(folder / dtype, split, size_zyx, count)
        rates = {"alone": _rate(map(crops.__getitem__, range(count)))}
        for workers in (1, 2):
            with ThreadPoolExecutor(workers) as pool:
                rates[f"{workers} threads"] = _rate(_ahead(pool, crops, 2 * workers))
            loader: DataLoader[Any] = DataLoader(
                crops,  # type: ignore[arg-type]
                batch_size=None,
                num_workers=workers,
            )
            rates[f"{workers} processes"] = _rate(iter(loader))
        print(f"  {dtype}: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()))
    print("crops a second in batches ready for the device, with tokens of 16 anatomies")
    for dtype in ("int16", "uint8"):
        _print_batches(ShardDataset(folder / dtype, split), dtype, size_zyx, count)


def _print_batches(
    source: ShardDataset, dtype: str, size_zyx: tuple[int, int, int], count: int
) -> None:
    """Crops a second in ready batches: read, mirrored, tokens, facts."""
    config = TrainConfig.model_validate(
        {
            "anatomies": Vocabulary.load().trained,
            "model": {"text": {"kind": "fresh"}},
            "crop_zyx": size_zyx,
            "flips": {"z": 0.2, "y": 0.2},
            "batch_size": len(source),
            "steps": count // len(source),
        }
    )
    batches = TrainingBatches(source, config)
    rates = []
    for threads in (0, 1, 2):
        coming = read_ahead(batches, 0, threads, 2, pinned=False)
        rates.append(f"{threads} threads {_rate(coming) * len(source):.0f}")
    print(f"  {dtype}: " + ", ".join(rates))


def _ahead(pool: ThreadPoolExecutor, crops: RandomCrops, ahead: int) -> Iterator[Any]:
    waiting = deque(pool.submit(crops.__getitem__, number) for number in range(ahead))
    for number in range(ahead, len(crops)):
        yield waiting.popleft().result()
        waiting.append(pool.submit(crops.__getitem__, number))
    while waiting:
        yield waiting.popleft().result()


def _rate(crops: Iterator[Any]) -> float:
    next(crops)
    started = time.perf_counter()
    left = sum(1 for _ in crops)
    return left / (time.perf_counter() - started)
