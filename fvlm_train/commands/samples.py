"""INPUT of `embed` and `attend`: images, or studies of a store."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.cli.options import resolved_config
from fvlm_data.errors import InputError
from fvlm_train.data.chosen import stored_samples
from fvlm_train.data.splits import open_split
from fvlm_train.scratch import images, with_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.run.config import Config
    from fvlm_train.data.windows import SampleSource


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as the command line has it."""

    inputs: Sequence[str]
    store: str | None
    split: str | None = None
    masks: Path | None = None
    classes: str | None = None
    reveal: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """Samples, and what was set aside on the way to them: stage, kind and reason, sentence."""

    source: SampleSource
    set_aside: tuple[tuple[str, str, str], ...] = ()


def configuration(
    asked: Asked, config_file: Path | None, overrides: Sequence[str] | None
) -> Config:
    """The given configuration, else that of the store's last run.

    Raises:
        InputError: images are given, but nothing that says how they are segmented.
    """
    if config_file is None and asked.store is None:
        raise InputError(
            "how images are ingested, segmented and resampled is told by --config, or by --store "
            "(the store that the run was trained on): give one of them"
        )
    resolved: Config = resolved_config(
        asked.store,
        config_file,
        list(overrides or ()),
        ({} if asked.store is not None else {"store": "."}),
    )
    return resolved


@contextmanager
def samples(
    asked: Asked, config: Config, show: Callable[[str, int, int], None]
) -> Iterator[Opened]:
    """The samples that are asked for, while the context is open.

    Raises:
        InputError: an input is nothing known, or inputs of both kinds are mixed.
    """
    paths = [Path(one) for one in asked.inputs if Path(one).exists()]
    ids = [one for one in asked.inputs if not Path(one).exists()]
    if paths and ids:
        raise InputError(
            f"{ids[0]}: not found as a file or folder; images and studies of a store are asked for "
            "apart"
        )
    if paths:
        if asked.split is not None:
            raise InputError("--split is of studies of a store, not of images: leave it out")
        made = with_masks(config, asked.masks, asked.classes)
        with images(
            paths,
            made,
            show,
            key_of=asked.store,
            reveal=asked.reveal,
            own_masks=asked.masks is not None,
        ) as found:
            yield Opened(found.samples, found.set_aside)
        return
    if asked.masks or asked.classes or asked.reveal:
        raise InputError("--masks, --classes and --reveal are of images, not of stored studies")
    if asked.store is None:
        named = f"{ids[0]}: no file or folder there; " if ids else ""
        raise InputError(f"{named}give --store for studies of a store")
    if ids and asked.split is not None:
        raise InputError("give study ids or --split, not both")
    if asked.split is not None:
        yield Opened(open_split(asked.store, asked.split))
    elif ids:
        yield Opened(stored_samples(asked.store, ids))
    else:
        raise InputError("nothing is asked for: give images, study ids, or --split")
