"""Whether an outcome came after an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.export.outcome.windowed import Value, date_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Label:
    """1 it came, 0 it did not, None with why that cannot be told.

    `days` are those from the image to it, where it came, within the horizon or later.
    """

    outcome: int | None
    days: int | None = None
    why: str = ""


def label(values: Sequence[Value], day: dt.date | None, horizon_days: int) -> Label:
    """The label of an image of a day, from the patient's values of one outcome.

    An outcome that came later than `horizon_days` (0: no limit) after it did not come; where a file
    says until when it did not, that has to reach the horizon. What came on the image's day or
    before is no outcome of the image.
    """
    if not values:
        return Label(None, why="outcome_not_known")
    if day is None:
        return Label(None, why="no_image_date")
    came = [(date_of(one.observed_on) - day).days for one in values
            if one.value == 1 and one.observed_on]  # fmt: skip
    not_yet = [one.observed_on for one in values if one.value == 0]
    if came and None in not_yet:
        return Label(None, why="outcome_contradicted")
    if came:
        if min(came) < 0:
            return Label(None, why="outcome_before_image")
        if min(came) == 0:
            return Label(None, why="outcome_on_the_day_of_the_image")
        return Label(int(not horizon_days or min(came) <= horizon_days), min(came))
    if None in not_yet:
        return Label(0)
    followed = max((date_of(told) - day).days for told in not_yet if told)
    if followed <= 0:
        return Label(None, why="outcome_not_known")
    short = bool(horizon_days) and followed < horizon_days
    return Label(None, why="followed_too_short") if short else Label(0)
