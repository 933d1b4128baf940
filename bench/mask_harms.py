"""Which harms of a label map its checks find, and how often they take a cut for one.

Each pair of NIfTI files, IMAGE.nii.gz:MASK.nii.gz on one grid with values of TotalSegmentator's
version 2, is harmed in every way of fvlm_data.testing.harms, and cut by boxes of random size and
place. With --parts label maps that are right in part are made instead; a harm counts as found where
it sets the label map aside, and the next figure where it is told at all.

python bench/mask_harms.py IMAGE.nii.gz:MASK.nii.gz ... [--crops 30] [--parts]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import look
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.plausibility.policy import sorted_out
from fvlm_data.segment.plausibility.whole import remarks_on
from fvlm_data.testing.harms import Pair, crops, harms, part_harms

V1, V2 = recorded_classes("totalsegmentator_v1"), recorded_classes("totalsegmentator_v2")
LEAST_VOXELS = 50


def main() -> None:
    """Print a line for each kind of harm, and the false alarms."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pairs", nargs="+", help="IMAGE.nii.gz:MASK.nii.gz")
    parser.add_argument("--crops", type=int, default=30, help="random cuts of each pair")
    parser.add_argument("--parts", action="store_true", help="label maps that are right in part")
    arguments = parser.parse_args()
    pairs = [_read(text) for text in arguments.pairs]
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    by: dict[str, set[str]] = defaultdict(set)
    cut = alarms = 0
    for pair in pairs:
        others = [one for one in pairs if one is not pair]
        for kind, harmed in part_harms(pair) if arguments.parts else harms(pair, others, V1):
            if harmed.labels.any():
                codes, flags = _told(harmed)
                found[kind][0] += bool(codes)
                found[kind][1] += bool(codes | flags)
                found[kind][2] += 1
                by[kind] |= codes
        for one in [pair, *crops(pair, arguments.crops)]:
            if np.count_nonzero(one.labels) >= LEAST_VOXELS:
                cut += 1
                alarms += bool(_told(one)[0])
    for kind, (hits, told, tried) in found.items():
        print(f"{kind:<55}{hits:>4} {told:>4} of {tried:<4}{', '.join(sorted(by[kind]))}")
    print(f"{'true pairs, whole and cut, set aside':<55}{alarms:>4}      of {cut}")


def _read(text: str) -> Pair:
    image, labels = (nib.as_closest_canonical(nib.load(path)) for path in text.split(":"))
    return Pair(
        Path(text).name,
        np.asarray(image.dataobj).astype(np.int16),
        np.asarray(labels.dataobj).astype(np.uint8),
        image.affine,
        V2,
    )


def _told(pair: Pair) -> tuple[set[str], set[str]]:
    """Codes of faults and of flags."""
    volume = VolumeImage("v_1", pair.image_hu, pair.affine_ras)
    made = Segmentation(pair.labels, pair.classes, "totalsegmentator_v2")
    looked = look(volume, made)
    faults, flags = sorted_out(remarks_on(volume, made, looked.measures, looked.runs), {})
    return {remark.code for remark in faults}, {remark.code for remark in flags}


if __name__ == "__main__":
    main()
