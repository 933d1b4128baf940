"""How fast a stage goes and how long it will take, in words."""

from __future__ import annotations


def pace(done: int, total: int, seconds: float) -> str:
    """As `, 12 a minute, 5 min left`; empty while there is nothing to go by."""
    if done <= 0 or seconds <= 0:
        return ""
    per_s = done / seconds
    told = f", {rate(per_s)}"
    return f"{told}, {duration((total - done) / per_s)} left" if total > done else told


def rate(per_s: float) -> str:
    """A rate in the unit in which it is a number of some size."""
    for unit, seconds in (("a second", 1), ("a minute", 60), ("an hour", 3600)):
        if per_s * seconds >= 1:
            return f"{per_s * seconds:.3g} {unit}"
    return f"{per_s * 86_400:.2g} a day"


def duration(seconds: float) -> str:
    """A time in its largest unit, of which it has two at least."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
