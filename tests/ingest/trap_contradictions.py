"""More trap series: headers that say things twice, words for what is no CT, scans in parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from series import fresh_uid, set_hu, write
from trap_series import PLAIN, SLICES, changed, each, fault, out, setting, trap
from truth import Expected, truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODY = replace(PLAIN, rows=40, columns=36)


def item(**elements: Any) -> Sequence:
    one = Dataset()
    for keyword, value in elements.items():
        setattr(one, keyword, value)
    return Sequence([one])


changed("PixelAspectRatio contradicts PixelSpacing", setting(PixelAspectRatio=["1", "2"]),
        fault("pixel_aspect_disagrees"))  # fmt: skip
changed("PixelAspectRatio instead of PixelSpacing",
        setting(PixelAspectRatio=["1", "2"], PixelSpacing=None),
        fault("missing_pixel_spacing"))  # fmt: skip
changed("PixelAspectRatio agrees with PixelSpacing", setting(PixelAspectRatio=["8", "7"]))
changed("ImagerPixelSpacing instead of PixelSpacing",
        setting(ImagerPixelSpacing=[1, 1], PixelSpacing=None),
        fault("missing_pixel_spacing"))  # fmt: skip
changed("no position on three slices",
        lambda d: [delattr(one, "ImagePositionPatient") for one in d[3:6]],
        fault("missing_position"))  # fmt: skip
changed("no position on the last", lambda d: delattr(d[-1], "ImagePositionPatient"),
        fault("missing_position"))  # fmt: skip
changed("a Modality LUT beside the rescale",
        each(lambda one: setattr(one, "ModalityLUTSequence", item(ModalityLUTType="HU"))),
        fault("ambiguous_rescale"))  # fmt: skip
changed("an animal", setting(AnatomicalOrientationType="QUADRUPED"), out("not_human"))
changed("said to be a biped", setting(AnatomicalOrientationType="BIPED"))

for _words, _reason in (
    (["DERIVED", "PRIMARY", "MIP THIN"], "projection"),
    (["DERIVED", "SECONDARY", "AXIAL", "MINIP 5"], "projection"),
    (["DERIVED", "SECONDARY", "VRT"], "projection"),
    (["DERIVED", "SECONDARY", "3D", "VOLUME RENDERING"], "projection"),
    (["ORIGINAL", "PRIMARY", "AXIAL", "DE_IODINE"], "derived_map"),
    (["DERIVED", "PRIMARY", "AXIAL", "RHO Z"], "derived_map"),
    (["DERIVED", "PRIMARY", "AXIAL", "EFFECTIVE_Z"], "derived_map"),
    (["DERIVED", "SECONDARY", "AXIAL", "PBV"], "derived_map"),
    (["DERIVED", "SECONDARY", "AXIAL", "SUBTRACTION"], "derived_map"),
):
    changed(f"ImageType {_words[-1]}", setting(ImageType=_words), out(_reason))
changed("ImageType MPR THICK", setting(ImageType=["DERIVED", "SECONDARY", "AXIAL", "MPR THICK"]),
        {"not_selected:reformatted": SLICES})  # fmt: skip
changed(
    "ImageType of a plain scan of a vendor",
    setting(
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM7 SPI DUAL", "STD", "SNRG", "DET_AB"]
    ),
)


def signs(datasets: list[Dataset]) -> None:
    """Every second slice unsigned, with an intercept of its own."""
    for number, one in enumerate(datasets):
        if number % 2:
            one.PixelRepresentation, one.RescaleIntercept = 0, -2048
            set_hu(one, PLAIN.image_hu()[number])


def below_air(datasets: list[Dataset]) -> None:
    """Values below -1024 HU that are read as unsigned ones."""
    for number, one in enumerate(datasets):
        image = PLAIN.image_hu()[number]
        image[0, ::12] = -1030
        set_hu(one, image)
        one.PixelRepresentation = 0


changed("signed and unsigned slices", signs)
changed("signed values said to be unsigned", below_air, fault("hu_out_of_range"))
changed("an intercept with decimals", setting(RescaleIntercept="-1024.4"))
changed("slope -1", setting(RescaleSlope=-1, RescaleIntercept=1024), fault("rescaling_forgotten"))
changed("byte-swapped", each(lambda one: setattr(
    one, "PixelData", np.frombuffer(one.PixelData, "<i2").byteswap().tobytes()
)), {"fault:hu_out_of_range": 4, "fault:incomplete_series": 8})  # fmt: skip
changed("slices every 2.5, then every 2.56 mm", lambda d: [
    setattr(one, "ImagePositionPatient", [*one.ImagePositionPatient[:2], 100 + 2.5 * n
            + 0.06 * max(0, n - 6)]) for n, one in enumerate(d)
], fault("uneven_spacing"))  # fmt: skip
changed("half of it moved by 10 mm",
        lambda d: [setattr(one, "ImagePositionPatient", [-40, *one.ImagePositionPatient[1:]])
                   for one in d[6:]], fault("lateral_shift"))  # fmt: skip
changed("half of it zoomed", lambda d: [setattr(one, "PixelSpacing", [0.6, 0.5]) for one in d[6:]],
        fault("mixed_header"))  # fmt: skip


@trap("phases of breath that only a comment tells apart")
def _phases(folder: Path) -> Expected:
    later = replace(PLAIN, seed=2).datasets()
    for one in later:
        fresh_uid(one)
        one.ImageComments = "50%"
    write(PLAIN.datasets(), folder / "a")
    write(later, folder / "b")
    return Expected((), fault("duplicate_position", 24))


@trap("two energies by ImageType")
def _energies(folder: Path) -> Expected:
    made = []
    for seed, energy in enumerate(("40 KEV", "70 KEV"), start=1):
        types = ["DERIVED", "PRIMARY", "AXIAL", "VMI", energy]
        made.append(replace(PLAIN, seed=seed, tags={"ImageType": types}))
        datasets = made[-1].datasets()
        for one in datasets:
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = (
                f"{one.SOPInstanceUID}.{seed}"
            )
        write(datasets, folder / energy)
    return Expected(tuple(map(truth, made)))


@trap("the last slice once more, a step on")
def _repeated(folder: Path) -> Expected:
    datasets = PLAIN.datasets()
    again = PLAIN.datasets()[-1]
    fresh_uid(again)
    again.ImagePositionPatient = [-50, -60, 100 + 2.5 * SLICES]
    again.InstanceNumber = SLICES + 1
    write([*datasets, again], folder, [f"{n}.dcm" for n in range(SLICES + 1)])
    return Expected((), fault("repeated_slices", SLICES + 1))


def halves(name: str, first: slice, second: slice) -> None:
    def build(folder: Path) -> Expected:
        for part, uid in ((first, "1.2.3.4.5"), (second, "1.2.3.4.6")):
            datasets = PLAIN.datasets()[part]
            for number, one in enumerate(datasets, start=1):
                one.SeriesInstanceUID, one.InstanceNumber = uid, number
            write(datasets, folder / uid[-1])
        return Expected((), fault("parted_scan"))

    trap(name)(build)


halves("halves under two series", slice(0, 6), slice(6, None))
halves("every second slice under another series", slice(0, None, 2), slice(1, None, 2))


def framed(name: str, change: Callable[[Dataset], None], aside: dict[str, int]) -> None:
    """An Enhanced CT whose functional groups are changed."""

    def build(folder: Path) -> Expected:
        from enhanced import enhanced

        one = enhanced(PLAIN.datasets())
        change(one)
        write([one], folder)
        return Expected((), aside)

    trap(name)(build)


def of_frames(first: int, **sequences: Sequence) -> Callable[[Dataset], None]:
    def change(one: Dataset) -> None:
        for frame in one.PerFrameFunctionalGroupsSequence[first:]:
            for keyword, value in sequences.items():
                setattr(frame, keyword, value)

    return change


framed("Enhanced CT, frames are projections",
       of_frames(0, CTImageFrameTypeSequence=item(FrameType=["DERIVED", "PRIMARY", "MAX_IP"])),
       fault("derived_frames", 1))  # fmt: skip
framed("Enhanced CT, spacing of half",
       of_frames(6, PixelMeasuresSequence=item(PixelSpacing=[2, 2], SliceThickness=3)),
       fault("mixed_header", 1))  # fmt: skip
framed("Enhanced CT, half is turned",
       of_frames(6, PlaneOrientationSequence=item(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])),
       fault("mixed_header", 1))  # fmt: skip
framed("Enhanced CT, slope of half", of_frames(6, PixelValueTransformationSequence=item(
    RescaleSlope=0.5, RescaleIntercept=-1024, RescaleType="HU"
)), fault("rescale_step", 1))  # fmt: skip
framed("Enhanced CT of iodine", of_frames(0, PixelValueTransformationSequence=item(
    RescaleSlope=1, RescaleIntercept=-1024, RescaleType="MGML"
)), fault("rescale_not_hu", 1))  # fmt: skip
framed("Enhanced CT, one place for all",
       of_frames(0, PlanePositionSequence=item(ImagePositionPatient=[0, 0, 5])),
       fault("constant_position", 1))  # fmt: skip
