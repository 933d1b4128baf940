"""A decoded volume and how it becomes a row, links and a file of the store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.hashing import array_sha256
from fvlm_data.identity.ids import keyed_id
from fvlm_data.ingest.dicom.header import HeaderFacts
from fvlm_data.ingest.volume.block_means import block_means_hu
from fvlm_data.ingest.volume.geometry import axis_codes
from fvlm_data.ingest.volume.names import Names, links, patient_id, study_id
from fvlm_data.ingest.volume.nifti_write import nifti_bytes, volume_path
from fvlm_data.ingest.volume.pixel_hash import pixels_sha256
from fvlm_data.store.declared import Outcome, Reject
from schemas import IdentityMark, Link, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig

AFFINE_DECIMALS = 4
"""Decimals (0.1 um) of the affine in the content hash: rounding errors must not change it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A volume that passed every check.

    `image_zyx` is int16 HU, axes (k, j, i); `spacing_mm` runs along i, j, k; `affine_ras` is
    4 x 4, voxel (i, j, k, 1) to RAS+ mm; `source_files` are tokens in the order of k; `names`
    are what the headers call it, the first that of its ids; `adjustments` as in the table.
    """

    image_zyx: NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    affine_ras: NDArray[np.float64]
    source_files: tuple[str, ...]
    rescale_decision: str
    names: tuple[Names, ...]
    facts: HeaderFacts = field(default_factory=HeaderFacts)
    adjustments: tuple[str, ...] = ()
    tilt_degrees: float = 0.0


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """What became of the files of one series; `identities` by patient id, for the vault.

    `checksums` are those of the files as they were read, by token; with them a file that is only
    touched later makes nothing anew. With `retry` a file could not be reached and the next run is
    to try again. `names` are what the source calls files of which no volume came.
    """

    volumes: tuple[Decoded, ...]
    rejects: tuple[Reject, ...] = ()
    identities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    retry: bool = False
    checksums: Mapping[str, str] = field(default_factory=dict)
    names: tuple[Names, ...] = ()


def incomplete(
    series_id: str, result: SeriesResult, lacks: str, config: IngestConfig, key: bytes
) -> SeriesResult:
    """A series of which more was sent than can be used: refused, or its volumes marked.

    `lacks` says what is missing, in words that may stand in a table.
    """
    if not result.volumes:
        return result
    if config.incomplete == "flag":
        marked = tuple(
            one
            if any(told.startswith("incomplete_series=") for told in one.adjustments)
            else replace(one, adjustments=(*one.adjustments, "incomplete_series=1"))
            for one in result.volumes
        )
        return replace(result, volumes=marked)
    files = dict.fromkeys(token for one in result.volumes for token in one.source_files)
    detail = (
        f"the {len(files)} file(s) of {len(result.volumes)} volume(s) are not all of the series: "
        f"{lacks}; expected all of them: mend or send those again, or set ingest.incomplete to flag"
    )
    refused = Reject("fault", "incomplete_series", detail, tuple(files))
    names = {names for one in result.volumes for names in one.names}
    identities = known_by_name(result.identities, names, series_id, key)
    rejects = (*result.rejects, refused)
    return replace(result, volumes=(), rejects=rejects, identities=identities)


def known_by_name(
    identities: Mapping[str, Iterable[str]], names: Iterable[Names], series_id: str, key: bytes
) -> dict[str, tuple[str, ...]]:
    """Identities of a series without a volume, by patient and by each name that a report may use.

    No table says whose such a series is; by these the reports about it are scrubbed all the same.
    """
    known = {owner: set(told) for owner, told in identities.items()}
    for one in names:
        told = identities.get(patient_id(key, one, series_id), ())
        for link in links(key, one, series_id):
            known.setdefault(link.value_hash, set()).update(told)
    return {owner: tuple(sorted(told)) for owner, told in known.items()}


def content_sha256(image_zyx: NDArray[np.int16], affine_ras: NDArray[np.float64]) -> str:
    """Hash of a volume's decoded content: int16 voxels (k, j, i) and affine to 0.1 um."""
    # adding 0.0 turns -0.0 into 0.0, which is equal and would hash differently
    rounded = np.round(np.asarray(affine_ras, dtype=np.float64), AFFINE_DECIMALS) + 0.0
    return array_sha256(np.asarray(image_zyx, dtype=np.int16), rounded)


def outcome(series_id: str, tokens: Iterable[str], result: SeriesResult, key: bytes) -> Outcome:
    """Rows, files and rejects of one series whose files are `tokens`.

    Raises:
        RuntimeError: a file ended in no place or in two; a fault of this program.
    """
    rows: dict[str, Volume] = {}
    stated: dict[Link, None] = {}
    files: dict[str, bytes] = {}
    rejects = list(result.rejects)
    for decoded in sorted(result.volumes, key=lambda one: one.source_files):
        row = _row(decoded, series_id, key, result.checksums)
        if row.volume_id in rows:
            detail = f"the same voxels at the same place as volume {row.volume_id} of the series"
            rejects.append(Reject("duplicate", "same_volume", detail, row.source_files))
            continue
        rows[row.volume_id] = row
        stated.update(dict.fromkeys(x for n in decoded.names for x in links(key, n, series_id)))
        files[row.path] = nifti_bytes(decoded.image_zyx, decoded.affine_ras)
    _check_conserved(series_id, tokens, rows.values(), rejects)
    return Outcome(
        series_id,
        rows={
            "candidates": list(rows.values()),
            "links": list(stated),
            "identity_marks": _marks(result.identities, series_id, key),
        },
        files=files,
        rejects=tuple(rejects),
        identities=result.identities,
        retry=result.retry,
    )


def identity_mark(key: bytes, told: Iterable[str]) -> str:
    """Keyed hash of names, ids and dates: what tables may hold of them."""
    return keyed_id(key, "im", *sorted(set(told)))


def _marks(
    identities: Mapping[str, Iterable[str]], series_id: str, key: bytes
) -> list[IdentityMark]:
    return [
        IdentityMark(owner_id=owner, series_id=series_id, mark=identity_mark(key, told))
        for owner, told in identities.items()
    ]


def _row(decoded: Decoded, series_id: str, key: bytes, checksums: Mapping[str, str]) -> Volume:
    content = content_sha256(decoded.image_zyx, decoded.affine_ras)
    # an id by content: a volume that is read again without change keeps its id and file
    volume_id = keyed_id(key, "v", series_id, content)
    names, facts = decoded.names[0], decoded.facts
    slices, rows, columns = decoded.image_zyx.shape
    return Volume(
        volume_id=volume_id,
        patient_id=patient_id(key, names, series_id),
        study_id=study_id(key, names, series_id),
        series_id=series_id,
        path=volume_path(volume_id),
        source_files=decoded.source_files,
        shape=(columns, rows, slices),
        spacing_mm=tuple(float(value) for value in decoded.spacing_mm),
        # -0.0 to 0.0, as in the hash
        affine_ras=tuple(float(value) + 0.0 for value in decoded.affine_ras.ravel()),
        orientation=axis_codes(decoded.affine_ras),
        content_sha256=content,
        hu_min=int(decoded.image_zyx.min()),
        hu_max=int(decoded.image_zyx.max()),
        rescale_decision=decoded.rescale_decision,
        adjustments=decoded.adjustments,
        tilt_degrees=decoded.tilt_degrees,
        body_region_header=facts.body_region,
        contrast_header=facts.contrast,
        kernel=facts.kernel,
        series_description=facts.description,
        manufacturer=facts.manufacturer,
        acquired_on=facts.acquired_on,
        age_years=facts.age_years,
        sex=facts.sex,
        pixels_sha256=pixels_sha256(decoded.image_zyx),
        source_checksums=tuple(checksums.get(token, "") for token in decoded.source_files),
        block_means_hu=block_means_hu(decoded.image_zyx, decoded.affine_ras),
    )


def _check_conserved(
    series_id: str, tokens: Iterable[str], rows: Iterable[Volume], rejects: Iterable[Reject]
) -> None:
    # a multi-frame file may hold several volumes: it counts once
    ended = Counter({token for row in rows for token in row.source_files})
    ended.update(token for reject in rejects for token in reject.source_files)
    offered = Counter(tokens)
    if ended != offered:
        raise RuntimeError(
            f"series {series_id}: {offered.total()} files offered, {ended.total()} accounted for; "
            "each must end in one place"
        )
