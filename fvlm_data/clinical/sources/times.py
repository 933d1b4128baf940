"""Times of files as local times of the hospital."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from functools import lru_cache

from fvlm_data.clinical.sources.told import Aside

UNREADABLE = Aside(
    "fault",
    "unreadable_time",
    "times are no dates of the calendar in the expected form; expected ISO 8601 or YYYYMMDD, or "
    "give `time_format`",
)
IN_UTC = Aside(
    "fault",
    "time_in_utc",
    "times are told in UTC, which says nothing of the day at the hospital; give `timezone`",
)
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:[.,]\d+)?)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?"
)


def local_time(text: str, form: str = "", place: str = "") -> str | Aside:
    """A time as YYYYMMDD, then hhmm and ss as far as told; blank stays blank.

    `form` is one of strptime. A time with an offset from UTC is turned to the local time of `place`
    (a name of the time zone database); without a place its offset is believed to be the
    hospital's, and UTC is refused: with it, a value from the day of an image could seem to be from
    the day before.
    """
    plain = text.strip()
    if not plain:
        return ""
    if form:
        try:
            when = dt.datetime.strptime(plain, form)
        except ValueError:
            return UNREADABLE
        # a form with the time of the day, and no other, has a % of one of these
        return when.strftime("%Y%m%d%H%M%S" if re.search("%[HIcXT]", form) else "%Y%m%d")
    found = _ISO.fullmatch(plain)
    if found is None:
        return UNREADABLE
    *parts, offset = found.groups()
    digits = "".join(part for part in parts if part)
    shape = "%Y%m%d%H%M%S"[: {8: 6, 12: 10, 14: 12}[len(digits)]]
    try:
        when = dt.datetime.strptime(digits, shape)
    except ValueError:
        return UNREADABLE
    if offset is None or len(digits) == len("YYYYMMDD"):
        return digits
    return _at_place(when, offset, place, shape)


def _at_place(when: dt.datetime, offset: str, place: str, shape: str) -> str | Aside:
    minutes = 0 if offset == "Z" else int(offset[1:3]) * 60 + int(offset[-2:])
    minutes = -minutes if offset[0] == "-" else minutes
    if not place:
        return when.strftime(shape) if minutes else IN_UTC
    try:
        zone = dt.timezone(dt.timedelta(minutes=minutes))
        return when.replace(tzinfo=zone).astimezone(_zone(place)).strftime(shape)
    except (ValueError, OverflowError):
        return UNREADABLE


@lru_cache(maxsize=8)
def _zone(place: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(place)
