"""More trap series: values spelt in several ways, numbers of two runs, sizes and bits that lie."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from series import Series, fresh_uid, set_hu, write
from trap_series import PLAIN, SLICES, changed, fault, trap
from truth import Expected, truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

WIDE = replace(PLAIN, rows=32, columns=48)


def spelt(keyword: str, *values: str) -> Callable[[list[Dataset]], None]:
    """An element that is spelt in several ways, slice by slice."""

    def change(datasets: list[Dataset]) -> None:
        for number, one in enumerate(datasets):
            setattr(one, keyword, values[number % len(values)])

    return change


# one scan, whatever an export does to the spelling of what may part time points
changed("SliceThickness as 5, 5.0 and 5.000000", spelt("SliceThickness", "5", "5.0", "5.000000"))
changed("SliceThickness blank on each second slice", spelt("SliceThickness", "5", ""))
changed("AcquisitionNumber as 1 and 01", spelt("AcquisitionNumber", "1", "01"))
changed("AcquisitionNumber blank on each second slice", spelt("AcquisitionNumber", "1", ""))
changed(
    "AcquisitionTime with and without a fraction", spelt("AcquisitionTime", "101500", "101500.000")
)
changed("TriggerTime as 300 and 300.0", spelt("TriggerTime", "300", "300.0"))


@trap("two scans between each other, told by their instance numbers alone")
def _between(folder: Path) -> Expected:
    later = replace(PLAIN, seed=2, origin_mm=(-50.0, -60.0, 101.25)).datasets()
    for number, one in enumerate(later):
        fresh_uid(one)
        one.InstanceNumber = 100 + number
    write(PLAIN.datasets(), folder / "a")
    write(later, folder / "b")
    return Expected((), fault("mixed_header", 2 * SLICES))


# rescaling that is off by less than an edge of anatomy
def intercepts(*values: int) -> Callable[[list[Dataset]], None]:
    def change(datasets: list[Dataset]) -> None:
        for number, one in enumerate(datasets):
            one.RescaleIntercept = values[number]

    return change


changed("intercept off by 40 on one slice", intercepts(*[-1024] * 5, -984, *[-1024] * 6),
        fault("rescale_step"))  # fmt: skip
changed("intercept off by 24 from the middle on", intercepts(*[-1024] * 6, *[-1000] * 6),
        fault("rescale_step"))  # fmt: skip


@trap("intercept changes halfway and is right")
def _right_intercept(folder: Path) -> Expected:
    datasets = PLAIN.datasets()
    for one, image in zip(datasets[6:], PLAIN.image_hu()[6:], strict=True):
        one.RescaleIntercept = 0
        set_hu(one, image)
    write(datasets, folder)
    return Expected((truth(PLAIN),))


def body(series: Series, tags: dict[str, Any], hu: int) -> Callable[[list[Dataset]], None]:
    """A block of bone of `hu` in each slice, stored by `tags`."""

    def change(datasets: list[Dataset]) -> None:
        for one, image in zip(datasets, series.image_hu(), strict=True):
            image[9:17, 7:17] = 900  # density rises towards its middle
            image[10:16, 8:16] = hu
            one.RescaleIntercept = -1100
            set_hu(one, image)
            for keyword, value in tags.items():
                setattr(one, keyword, value)

    return change


changed("unsigned values of 12 bits that are said to be signed",
        body(PLAIN, {"PixelRepresentation": 1, "BitsStored": 12, "HighBit": 11}, 1200),
        fault("values_wrapped"))  # fmt: skip
changed("a slope ten times too large", lambda d: [setattr(one, "RescaleSlope", 10) for one in d],
        fault("values_not_hu"))  # fmt: skip
changed("Rows and Columns exchanged", lambda d: [
    (setattr(one, "Rows", 48), setattr(one, "Columns", 32)) for one in d
], fault("axes_exchanged"), series=WIDE)  # fmt: skip


@trap("a slice of one value in the middle, and the next")
def _lost_slices(folder: Path) -> Expected:
    datasets = PLAIN.datasets()
    for one in datasets[5:7]:
        set_hu(one, np.full((one.Rows, one.Columns), -1024))
    write(datasets, folder)
    return Expected((), fault("slice_unlike_neighbours"))
