"""From images to samples: ingestion, segmentation and preprocessing in a store of their own.

The chain's own functions under the user's own configuration; store and vault of it lie in a
temporary folder of this user and are gone at the end.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import IdentityConfig
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.qc.config import QcConfig
from fvlm_data.run.config import Config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import open_context, vault_folder
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.shards.unreported import unreported
from fvlm_data.store.tables import Store
from fvlm_train.own_masks import with_own_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.shards.unreported import UnreportedSamples

STAGES = ("ingest", "select", "segment")
KEY = "key"
OTHERS_MASK = "mask_without_volume"
NO_LABEL_MAP = "no_label_map"
MASK_NAMES = (
    "a mask is called as its image file, as the INPUT that it is of, or by the SeriesInstanceUID; "
    "of one image --masks FILE needs no name; a CSV with columns volume and mask tells others"
)


@dataclass(frozen=True, slots=True)
class Images:
    """Samples made of images, and what was set aside: stage, kind and reason, sentence."""

    samples: UnreportedSamples
    set_aside: tuple[tuple[str, str, str], ...]


@contextmanager
def images(
    paths: Sequence[Path],
    config: Config,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    *,
    key_of: str | None = None,
    reveal: bool = False,
    own_masks: bool = False,
) -> Iterator[Images]:
    """Samples of all volumes under `paths` (DICOM and volume files), while the context is open.

    Ids are those of the store `key_of` where one is named: the same study has the same id. Else
    they mean nothing beyond this call. With `reveal`, `source_files` are relative paths, not
    tokens. With `own_masks` the masks of the configuration are these images'
    (`own_masks.with_own_masks`).

    Raises:
        InputError: no volume was accepted and segmented; says what was set aside.
        FvlmError: the chain cannot run.
    """
    with tempfile.TemporaryDirectory(prefix="fvlm-embed-") as folder:
        scratch = Path(folder)
        vault = scratch / "vault"
        vault.mkdir(mode=0o700)
        if key_of is not None:
            # a copy: names of these patients have no business in the vault of that store
            _copy_key(key_of, config, vault)
        made_config = scratch_config(config, paths, scratch, reveal=reveal)
        curate(made_config, STAGES[:-1], progress=progress)
        context = open_context(made_config, create=False)
        if own_masks:
            inputs = {name: path for path, name in _named(paths)}
            made_config = with_own_masks(made_config, context, inputs, scratch / "masks")
        curate(made_config, STAGES[-1:], progress=progress)
        arrays = scratch / "arrays"
        arrays.mkdir()
        samples, left_out = unreported(
            context,
            made_config.shard,
            made_config.vocabulary.load(),
            arrays,
            lambda done, total: progress("prepare", done, total),
        )
        set_aside = [
            *_set_aside(context.store),
            *(("shard", f"fault: {one.reason}", one.detail) for one in left_out),
        ]
        if not len(samples):
            raise InputError(_nothing(set_aside))
        yield Images(samples, tuple(sorted(set_aside)))


def scratch_config(config: Config, paths: Sequence[Path], scratch: Path, *, reveal: bool) -> Config:
    """The configuration with these images as its only input, and places in `scratch`."""
    sources = tuple(
        SourceConfig(kind="images", path=path.resolve(), name=name) for path, name in _named(paths)
    )
    identity = IdentityConfig(vault=scratch / "vault", source_names="plain" if reveal else "token")
    return config.model_copy(
        update={
            "store": str(scratch / "store"),
            "sources": sources,
            "reports": (),
            "identity": identity,
            "qc": QcConfig(enabled=False),
        }
    )


def _named(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Places with the names of their sources."""
    return [(path, f"input_{number}") for number, path in enumerate(paths, start=1)]


def with_masks(config: Config, masks: Path | None, classes: str | None) -> Config:
    """The configuration with label maps that there are in place of its backend.

    Raises:
        InputError: one is given without the other.
    """
    if masks is None and classes is None:
        return config
    if masks is None or classes is None:
        raise InputError("--masks and --classes belong together: give both")
    given: dict[str, Any] = {"backend": "precomputed", "masks": masks.resolve(), "classes": classes}
    if Path(classes).suffix in (".yaml", ".yml"):
        given["classes"] = str(Path(classes).resolve())
    kept = config.segment.model_dump(include={"policy", "grid_tolerance_voxels"})
    return config.model_copy(update={"segment": SegmentConfig(**kept, **given)})


def _copy_key(store: str, config: Config, vault: Path) -> None:
    key = vault_folder(Store.open(store), config) / KEY
    if not key.is_file():
        raise InputError(
            f"vault {key.parent}: no key there, so that these images cannot get the ids of store "
            f"{store}; name it by FVLM_VAULT, or give --config in place of --store"
        )
    copy = vault / KEY
    copy.touch(mode=0o600)
    copy.write_bytes(key.read_bytes())


def _set_aside(store: Store) -> list[tuple[str, str, str]]:
    """What the stages set aside, and volumes without a label map.

    Where every volume has one, masks of other volumes are no news: a configuration names those of
    a whole archive.
    """
    columns = ["stage", "kind", "reason", "detail"]
    segmented = set(store.read("masks", ["volume_id"])["volume_id"].to_pylist())
    volumes = store.read("volumes", ["volume_id"])["volume_id"].to_pylist()
    lacking = sorted(set(volumes) - segmented)
    return [
        *(
            (row["stage"], f"{row['kind']}: {row['reason']}", row["detail"])
            for row in store.read("quarantine", columns).to_pylist()
            if lacking or not volumes or row["reason"] != OTHERS_MASK
        ),
        *(
            (
                "segment",
                f"fault: {NO_LABEL_MAP}",
                f"Volume {one}: has no label map that is believed",
            )
            for one in lacking
        ),
    ]


def _nothing(set_aside: Sequence[tuple[str, str, str]]) -> str:
    faults = [one for one in set_aside if one[1].startswith("fault")]
    first = (faults or list(set_aside))[:1]
    why = "nothing found there is a CT volume"
    if first:
        why = f"{len(set_aside)} things were set aside, such as {first[0][1]}: {first[0][2]}"
    if any(reason.endswith((OTHERS_MASK, NO_LABEL_MAP)) for _, reason, _ in set_aside):
        why += f"; {MASK_NAMES}"
    return f"no volume could be scored: {why}"
