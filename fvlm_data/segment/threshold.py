"""Backend `threshold`: body, lungs and bones by their density, without any model.

Sources of the numbers. Soft tissue lies above -300 HU and fat at about -100 HU (any CT
textbook). Lung against body wall: Hu, Hoffman and Reinhardt (IEEE Trans Med Imaging 20:490,
2001) find optimal thresholds near -400 to -500 HU. Lung against gas: voxels below -950 HU are
emphysema or free air (Gevenois et al., Am J Respir Crit Care Med 152:653, 1995). Bone: 226 HU and
above is the customary preset of surgical planning programs; contrast medium reaches it too, so
that a bone must also hold cortex above 400 HU and must not be even: strongly opacified vessels are
mostly, not always, left out. Decisions are made on block means of about 3 mm,
where noise is low, and carried back to the full grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.grid import from_canonical, to_canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.store.declared import Reject

Array = np.ndarray[Any, Any]

CLASSES = {1: "body", 2: "lung_left", 3: "lung_right", 4: "bone"}
BODY, LUNG_LEFT, LUNG_RIGHT, BONE = CLASSES

COARSE_MM = 3.0
TISSUE_HU = -300
LUNG_HU = -400
GAS_HU = -950
GAS_MEDIAN_HU = -940
BONE_HU = 226
CORTEX_HU = 400
CORTEX_SHARE = 0.02
POOL_SPREAD_HU = 90
POOL_HU = 700
POOL_VOXELS = 100
POOL_RIM = 3
"""A pool: 100 even coarse voxels (about 3 ml) joined, with a rim of three (partial volume)."""
LEAST_LUNG_ML = 20.0
LEAST_BONE_ML = 2.0
THIN_VOXELS = 2
"""How far a lung may thin out from its thick part, in coarse voxels (the bases' sickles)."""
JOINED_SHARE = 0.15
"""A lung that is split in two has at least this share of both in each half."""
MAX_EROSIONS = 6


@dataclass(frozen=True, slots=True)
class Threshold:
    """See the module's text; it has no settings."""

    name: str = "threshold"
    version: str = "1"

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """Label map uint8 (i, j, k) of body, lungs and bones; sides are the patient's."""
        image, orientation = to_canonical(volume.image_hu, volume.affine_ras)
        sizes_mm = np.linalg.norm(volume.affine_ras[:3, :3], axis=0)
        # orientation[:, 0] says which canonical axis each stored axis becomes; spacings move along
        spacing_mm = sizes_mm[np.argsort(orientation[:, 0])]
        labels = segment_canonical(image, spacing_mm)
        return Segmentation(from_canonical(labels, orientation), CLASSES, "threshold")


def segment_canonical(image_hu: Array, spacing_mm: Sequence[float]) -> Array:
    """Label map uint8 of `image_hu` (x, y, z), axes towards patient right, anterior, superior."""
    factors = tuple(max(1, round(COARSE_MM / float(size))) for size in spacing_mm)
    coarse_hu = _block_mean(image_hu, factors)
    voxel_ml = float(np.prod(spacing_mm)) * float(np.prod(factors)) / 1000
    body, inner_air = _body(coarse_hu)
    lung = _lungs(coarse_hu, inner_air, voxel_ml)
    sides = _sides(lung, body)
    bone = _bones(coarse_hu, body, voxel_ml)
    labels = np.zeros(image_hu.shape, np.uint8)
    labels[_fine(body, factors, image_hu.shape)] = BODY
    # a coarse voxel of margin, then the threshold on the full grid finds the true surface
    labels[_fine(_grown(bone), factors, image_hu.shape) & (image_hu >= BONE_HU)] = BONE
    air = image_hu < LUNG_HU
    for side in (LUNG_LEFT, LUNG_RIGHT):
        whole = sides == side
        # the margin stops at the other lung
        edge = _fine(_grown(whole) & ((sides == side) | (sides == 0)), factors, image_hu.shape)
        labels[edge & air] = side
        # vessels and nodules inside a lung are denser than LUNG_HU and still lung
        labels[_fine(_shrunk(whole), factors, image_hu.shape)] = side
    return labels


def _body(coarse_hu: Array) -> tuple[Array, Array]:
    """The largest piece of tissue with what it encloses in axial slices, and the air in it.

    A pocket that reaches the side of a slice is outside only if it is mostly free air: in a cut
    field of view a lung reaches the side too.
    """
    from scipy import ndimage

    # opening parts the body from what touches it in a few voxels, such as the table
    tissue = _largest(ndimage.binary_opening(coarse_hu > TISSUE_HU))
    inner = np.zeros_like(tissue)
    for k in range(tissue.shape[2]):
        if not tissue[:, :, k].any():
            continue
        pockets, count = ndimage.label(~tissue[:, :, k])
        frame = np.ones(pockets.shape, bool)
        frame[1:-1, 1:-1] = False
        at_side = np.unique(pockets[frame])
        medians = ndimage.median(coarse_hu[:, :, k], pockets, np.arange(1, count + 1))
        kept = [
            n for n in range(1, count + 1) if n not in at_side or medians[n - 1] > GAS_MEDIAN_HU
        ]
        inner[:, :, k] = np.isin(pockets, kept)
    return tissue | inner, inner


def _lungs(coarse_hu: Array, inner_air: Array, voxel_ml: float) -> Array:
    """Pieces of aerated tissue inside the body, gas (bowel, trachea) left out."""
    from scipy import ndimage

    aerated = inner_air & (coarse_hu < LUNG_HU) & (coarse_hu > GAS_HU)
    pieces, count = ndimage.label(ndimage.binary_opening(aerated))
    if not count:
        return np.zeros(coarse_hu.shape, bool)
    numbers = np.arange(1, count + 1)
    ml = ndimage.sum_labels(np.ones_like(pieces), pieces, numbers) * voxel_ml
    medians = ndimage.median(coarse_hu, pieces, numbers)
    kept = numbers[(ml >= LEAST_LUNG_ML) & (medians > GAS_MEDIAN_HU)]
    thick = np.isin(pieces, kept)
    whole = ndimage.binary_dilation(thick, iterations=THIN_VOXELS, mask=aerated | thick)
    lung = ndimage.binary_closing(whole) & inner_air
    in_slice = ndimage.generate_binary_structure(2, 1)[:, :, None]
    return np.asarray(ndimage.binary_fill_holes(lung, in_slice) & inner_air)


def _sides(lung: Array, body: Array) -> Array:
    """LUNG_LEFT or LUNG_RIGHT at each voxel of `lung` (x towards the patient's right)."""
    from scipy import ndimage

    sides = np.zeros(lung.shape, np.uint8)
    if not lung.any():
        return sides
    seeds, count = _separated(lung)
    sizes = np.bincount(seeds.ravel(), minlength=count + 1)[1:]
    x = [center[0] for center in ndimage.center_of_mass(seeds > 0, seeds, range(1, count + 1))]
    order = np.argsort(-sizes)
    # between the two largest pieces; a single lung is judged by the body's middle
    middle = ndimage.center_of_mass(body)[0] if count < 2 else (x[order[0]] + x[order[1]]) / 2
    value = np.array([0, *(LUNG_RIGHT if center > middle else LUNG_LEFT for center in x)], np.uint8)
    # voxels that the erosion took away go to the nearest seed
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    sides[lung] = value[seeds[tuple(nearest)]][lung]
    return sides


def _separated(lung: Array) -> tuple[Array, int]:
    """Pieces of `lung`, shrunk as far as it takes to part two lungs that touch."""
    from scipy import ndimage

    first, first_count = ndimage.label(lung)
    shrunk = lung
    for _ in range(MAX_EROSIONS):
        pieces, count = ndimage.label(shrunk)
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        if count > 1 and sizes[1] >= JOINED_SHARE * sizes[0]:
            return pieces, count
        shrunk = ndimage.binary_erosion(shrunk, border_value=1)
        if not shrunk.any():
            break
    return first, first_count


def _bones(coarse_hu: Array, body: Array, voxel_ml: float) -> Array:
    """Dense pieces inside the body that hold cortical bone."""
    from scipy import ndimage

    dense = body & (coarse_hu >= BONE_HU)
    pieces, count = ndimage.label(dense & ~_contrast_pools(coarse_hu, dense))
    if not count:
        return np.zeros(coarse_hu.shape, bool)
    numbers = np.arange(1, count + 1)
    voxels = ndimage.sum_labels(np.ones_like(pieces), pieces, numbers)
    cortex = ndimage.sum_labels(coarse_hu >= CORTEX_HU, pieces, numbers)
    kept = numbers[(voxels * voxel_ml >= LEAST_BONE_ML) & (cortex >= CORTEX_SHARE * voxels)]
    return np.isin(pieces, kept)


def _contrast_pools(coarse_hu: Array, dense: Array) -> Array:
    """Even, compact masses of dense voxels: opacified heart chambers and great vessels.

    Bone this thick is not even: its cortex is denser than the spongy bone within.
    """
    from scipy import ndimage

    mean = ndimage.uniform_filter(coarse_hu, 3)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(coarse_hu**2, 3) - mean**2, 0))
    core = ndimage.binary_opening(dense & (spread < POOL_SPREAD_HU) & (mean < POOL_HU))
    core = _largest_pieces(core, POOL_VOXELS)
    return np.asarray(ndimage.binary_dilation(core, iterations=POOL_RIM, mask=dense))


def _largest_pieces(mask: Array, least_voxels: int) -> Array:
    from scipy import ndimage

    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= least_voxels)[pieces])


def _block_mean(image_hu: Array, factors: tuple[int, ...]) -> Array:
    """Means of blocks of `factors` voxels, float32; the last block is filled by its edge."""
    if all(factor == 1 for factor in factors):
        return image_hu.astype(np.float32)
    room = [(0, -size % factor) for size, factor in zip(image_hu.shape, factors, strict=True)]
    padded = np.pad(image_hu, room, mode="edge")
    blocks = [
        part
        for size, factor in zip(padded.shape, factors, strict=True)
        for part in (size // factor, factor)
    ]
    return np.asarray(padded.reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float32))


def _fine(coarse: Array, factors: tuple[int, ...], shape: Sequence[int]) -> Array:
    """A coarse mask on the full grid."""
    for axis, factor in enumerate(factors):
        coarse = np.repeat(coarse, factor, axis=axis)
    return coarse[: shape[0], : shape[1], : shape[2]]


def _largest(mask: Array) -> Array:
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, bool)
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _grown(mask: Array) -> Array:
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask))


def _shrunk(mask: Array) -> Array:
    from scipy import ndimage

    return np.asarray(ndimage.binary_erosion(mask, border_value=1))


THRESHOLD = BackendEntry(make=lambda _config, _options: Threshold(), task="threshold")
