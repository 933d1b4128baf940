"""What cannot train, told before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_train.model.encoders.entry import check_encoder
from fvlm_train.tracking.log import check_installed

if TYPE_CHECKING:
    from fvlm_train.config import TrainConfig
    from fvlm_train.data.windows import SampleSource


def check(config: TrainConfig, source: SampleSource, world: int) -> None:
    """Refuse what cannot train, before any work.

    Raises:
        ConfigError: no or too few samples, a batch that ranks cannot share, an anatomy without
            samples, or no abnormal anatomy at all.
        MissingExtraError: a tool of train.tracking is not installed.
    """
    check_installed(config.tracking)
    check_encoder(config)
    if not len(source):
        raise ConfigError(
            f"split {config.split} holds no samples: curate first (`fvlm-data curate`), or set "
            "train.split to one that has some"
        )
    if len(source) < config.batch_size:
        raise ConfigError(
            f"train.batch_size is {config.batch_size} but split {config.split} holds "
            f"{len(source)} samples: lower it, or add data"
        )
    if config.batch_size % world:
        raise ConfigError(
            f"train.batch_size {config.batch_size} cannot be shared by {world} ranks: "
            "set a multiple"
        )
    rows = source.rows.select(["anatomies", "states"]).to_pylist()
    seen = {anatomy for row in rows for anatomy in row["anatomies"]}
    missing = [anatomy for anatomy in config.anatomies if anatomy not in seen]
    if missing:
        raise ConfigError(
            f"train.anatomies holds {missing[0]}, which no sample of split {config.split} shows: "
            f"found are {', '.join(sorted(seen)) or 'none'}"
        )
    wanted = set(config.anatomies)
    abnormal = any(
        state == "abnormal" and anatomy in wanted
        for row in rows
        for anatomy, state in zip(row["anatomies"], row["states"], strict=True)
    )
    if not abnormal:
        raise ConfigError(
            f"split {config.split}: no trained anatomy is abnormal in any sample, so there is "
            "nothing to contrast; check reports and train.anatomies"
        )
