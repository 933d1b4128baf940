"""Discovery of precomputed masks: which are on offer, what they hold, which volumes they name.

It runs once per command, before the stage `segment:<task>`, which then plans over table `inputs`.
One row is one mask of one volume; masks that are no longer offered leave the table, but a volume
that was segmented from one stays as it is (see the stage).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.segment import mask_content
from fvlm_data.segment.class_map import declared_classes
from fvlm_data.segment.fingerprint import UNREADABLE, MaskFingerprint, classes_key
from fvlm_data.segment.mask_files import MaskFile, Naming, list_mask_files, masks_folder
from fvlm_data.segment.owners import forgotten_masks, nearest_volumes, volumes_named
from fvlm_data.segment.stage import stage_name
from fvlm_data.store.declared import Foreseen
from fvlm_data.store.discovered import changed_sources, close_sources, open_source
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

STAGE = "discover_masks"
KIND = "mask"
ROWS_A_COMMIT = 1000

Known = Mapping[str, Input]


@dataclass(frozen=True, slots=True)
class _Offered:
    """One mask of one volume (None: it names none), under the token of its row."""

    token: str
    mask: MaskFile
    volume: str | None
    volumes_named: int


def discover_masks(
    context: Context, config: SegmentConfig, vocabulary: Vocabulary, naming: Naming
) -> Counter[str]:
    """Bring table `inputs` (kind `mask`) up to date with the masks on offer.

    A file whose size and modification time are as before is not opened; what is unchanged is not
    written. A mask that names no volume is set aside until its volume comes. Backends that make
    masks themselves have none to discover. Masks of what was forgotten are passed over. Returns
    counts: masks, forgotten, unchanged, accepted, set_aside, gone, and set aside by `kind:reason`.

    Raises:
        InputError: the folder or manifest is missing or has not the expected form.
        ConfigError: a map of classes is neither known nor a file.
        StoreError: the store or the vault cannot be read or written.
    """
    if not config.takes_masks:
        return Counter()
    listed = list_mask_files(config, context.vault.key, naming)
    gone = forgotten_masks(context.vault, config.task, listed)
    masks = [mask for mask in listed if mask.token not in gone]
    folder = masks_folder(config)
    classes = {
        declared: classes_key(declared_classes(declared, folder, vocabulary))
        for declared in sorted({mask.declared for mask in masks})
    }
    source = stage_name(config.task)
    trusted = source not in changed_sources(context, STAGE, KIND)
    known = _known(context, source)
    offered = list(_offered(config.task, masks, volumes_named(context, masks)))
    counts = +Counter(masks=len(masks), forgotten=len(gone))
    writing = _Writing(context, source, known)
    for start in range(0, len(offered), ROWS_A_COMMIT):
        part = offered[start : start + ROWS_A_COMMIT]
        # rows that were damaged cannot say which files are unchanged
        found = [(one, _row(one, source, classes, known if trusted else {})) for one in part]
        counts += writing.commit(found, rewrite=not trusted)
    counts += writing.remove(known.keys() - {one.token for one in offered})
    close_sources(context, STAGE, KIND, [source])
    return counts


def foresee_masks(context: Context | None, config: SegmentConfig, naming: Naming) -> list[Foreseen]:
    """The masks on offer, and those that `discover_masks` would read; none is read here.

    Raises:
        InputError: the folder or manifest is missing or has not the expected form.
        StoreError: the table cannot be read.
    """
    if not config.takes_masks:
        return []
    # without a store there is no key yet: tokens then serve to tell files apart, and no more
    masks = list_mask_files(config, context.vault.key if context else bytes(32), naming)
    known = _known(context, stage_name(config.task)) if context else {}
    told = {token: (row.size_bytes, row.modified_ns) for token, row in known.items()}
    sizes = {mask: _told(mask) for mask in masks}
    new = [mask for mask in masks if told.get(f"{mask.token}.{config.task}") != sizes[mask]]
    return [Foreseen("masks", len(masks), len(new), sum(sizes[mask][0] for mask in new))]


def _known(context: Context, source: str) -> dict[str, Input]:
    """Rows of the source as they stand, by token."""
    rows = context.store.read("inputs", None, [("kind", "=", KIND), ("source", "=", source)])
    return {row["token"]: Input(**row) for row in rows.to_pylist()}


def _offered(
    task: str, masks: Sequence[MaskFile], owners: Sequence[tuple[str, ...]]
) -> Iterator[_Offered]:
    """The planned rows, named `<file token>.<task>`, with `.<n>` if a file has more than one.

    The task is part of the name because another task may have another mask at the same path.
    """
    numbers: Counter[str] = Counter()
    for mask, volumes in zip(masks, owners, strict=True):
        for volume in volumes or (None,):
            number = numbers[mask.token]
            numbers[mask.token] += 1
            token = f"{mask.token}.{task}" + (f".{number}" if number else "")
            yield _Offered(token, mask, volume, len(volumes))


def _row(one: _Offered, source: str, classes: Mapping[str, str], known: Known) -> Input:
    size_bytes, modified_ns = _told(one.mask)
    before = known.get(one.token)
    sha256 = ""
    if one.mask.fault is None and one.volume is not None:
        if before is not None and (before.size_bytes, before.modified_ns) == (
            size_bytes,
            modified_ns,
        ):
            sha256 = MaskFingerprint.of(before.fingerprint).sha256
        # a file that could not be read before may be readable now
        if sha256 in ("", UNREADABLE):
            sha256 = _sha256(one.mask)
    fault = one.mask.fault.reason if one.mask.fault else ""
    fingerprint = MaskFingerprint(sha256, classes[one.mask.declared], fault, one.volumes_named)
    return Input(
        kind=KIND,
        token=one.token,
        source=source,
        item=one.volume,
        fingerprint=fingerprint.text(),
        size_bytes=size_bytes,
        modified_ns=modified_ns,
    )


def _told(mask: MaskFile) -> tuple[int, int]:
    """Size and modification time; zeros for a file that must not or cannot be looked at."""
    if mask.fault is not None:
        return 0, 0
    try:
        return mask_content.told(mask.path)
    except OSError:
        return 0, 0


def _sha256(mask: MaskFile) -> str:
    try:
        return mask_content.sha256(mask.path)
    except OSError:
        return UNREADABLE


@dataclass(slots=True)
class _Writing:
    """Writes what differs from `known`; the source is opened before the first row."""

    context: Context
    source: str
    known: Known
    opened: bool = False

    def commit(self, found: Sequence[tuple[_Offered, Input]], *, rewrite: bool) -> Counter[str]:
        """Commit the vault, then quarantine, then inputs: a mask is known when the rest stands."""
        changed = [(one, row) for one, row in found if rewrite or self.known.get(row.token) != row]
        counts = Counter(unchanged=len(found) - len(changed))
        if not changed:
            return counts
        self._open()
        paths = {
            token: o.mask.relative for o, row in changed for token in (o.mask.token, row.token)
        }
        self.context.vault.remember_files(paths)
        ownerless = [one for one, row in changed if row.item is None]
        nearest = nearest_volumes(self.context, [one.mask for one in ownerless])
        aside = [_ownerless(one, nearest.get(one.mask.token, "")) for one in ownerless]
        self._set_aside([row.token for _, row in changed], aside, look=rewrite)
        rows = [row for _, row in changed]
        self.context.store.replace("inputs", [row.token for row in rows], rows, {"kind": KIND})
        counts["accepted"] += len(rows) - len(aside)
        if aside:
            counts["set_aside"] += len(aside)
            counts["fault:mask_without_volume"] += len(aside)
        # unary plus drops counts of 0
        return +counts

    def remove(self, tokens: set[str]) -> Counter[str]:
        """Remove the rows of masks that are no longer offered."""
        gone = sorted(tokens)
        if gone:
            self._open()
            self._set_aside(gone, [])
            self.context.store.replace("inputs", gone, [], {"kind": KIND})
        return +Counter(gone=len(gone))

    def _open(self) -> None:
        if not self.opened:
            open_source(self.context, STAGE, self.source)
            self.opened = True

    def _set_aside(
        self, tokens: Sequence[str], rows: Sequence[Quarantined], *, look: bool = False
    ) -> None:
        """Replace the quarantine rows of masks, where there were or are to be any.

        With `look`, rows of all `tokens` are replaced, since what is known cannot be trusted.
        """
        before = {token for token in tokens if token in self.known and not self.known[token].item}
        replaced = set(tokens) if look else before | {row.item for row in rows}
        if replaced:
            self.context.store.replace("quarantine", sorted(replaced), rows, {"stage": STAGE})


def _ownerless(one: _Offered, nearest: str) -> Quarantined:
    near = f" (nearest: the name of {nearest})" if nearest else ""
    return Quarantined(
        kind="fault",
        stage=STAGE,
        item=one.token,
        reason="mask_without_volume",
        detail="the mask's name is no volume_id, SeriesInstanceUID or source file name of a "
        f"volume in the store{near}; ingest its volume, call the mask as its volume, or name it in "
        "a manifest",
        source_files=(one.mask.token,),
    )
