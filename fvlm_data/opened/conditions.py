"""What studies are chosen by, as SQL over the tables of a store."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

from fvlm_data.errors import InputError
from fvlm_data.reports.language.records import ASSERTING_SECTIONS, Severity
from fvlm_data.vocabulary import OTHER_ABNORMALITY
from schemas.anatomy_texts import STATES
from schemas.findings import CHANGES, LATERALITIES, STATUSES
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.vocabulary import Vocabulary

Value = str | float | Iterable[str]

OF_MENTION = {
    "finding": "f.finding",
    "anatomy": "f.anatomy",
    "status": "f.status",
    "laterality": "f.laterality",
    "severity": "f.severity",
    "change": "f.change",
}
OF_VOLUME = {
    "split": "p.split",
    "sex": "v.sex",
    "manufacturer": "v.manufacturer",
    "kernel": "v.kernel",
    "body_region": "c.body_region",
    "phase": "c.phase",
}
LIMITS = {
    "min_size_mm": ("f.size_mm", ">="),
    "max_size_mm": ("f.size_mm", "<="),
    "min_age": ("v.age_years", ">="),
    "max_age": ("v.age_years", "<="),
}
NAMES = (*OF_MENTION, *OF_VOLUME, *LIMITS, "state")

BOTH_SIDES = {"left": ("left", "bilateral"), "right": ("right", "bilateral")}
"""What is found on both sides is found on each."""

MENTIONS = """study_id IN (
    SELECT j.study_id FROM study_reports j
    JOIN findings f ON f.report_id = j.report_id
    JOIN sentences t ON t.report_id = f.report_id AND t.sentence = f.sentence
    WHERE {held})"""

VOLUMES = """study_id IN (
    SELECT v.study_id FROM volumes v
    LEFT JOIN volume_checks c ON c.volume_id = v.volume_id
    LEFT JOIN splits p ON p.patient_id = v.patient_id
    WHERE {held})"""

TEXTS = "study_id IN (SELECT study_id FROM anatomy_texts WHERE {held})"


def conditions(given: Mapping[str, Value], vocabulary: Vocabulary) -> list[str]:
    """SQL conditions on a study's row, all of which must hold.

    What is said of a finding must hold of one mention, in a section that tells what this
    examination shows; where no status is asked for, of one that is present. What is said of
    images must hold of one volume.

    Raises:
        InputError: a name or a value is not known, or an anatomy is given without what is asked
            of it.
    """
    for name in given:
        _refuse_unknown("condition", name, NAMES)
    limits = [name for name in given if name in LIMITS]
    chosen = {n: _values(n, given[n], vocabulary) for n in given if n not in LIMITS}
    bounds = [_bound(name, given[name]) for name in limits]
    stated = chosen.pop("state", None)
    made = []
    if stated is not None:
        if "anatomy" not in chosen:
            raise InputError("state: expected an anatomy beside it, as anatomy='liver'")
        held = [among("anatomy", chosen["anatomy"]), among("state", stated)]
        made.append(TEXTS.format(held=" AND ".join(held)))
    of_volume = [among(OF_VOLUME[n], chosen[n]) for n in OF_VOLUME if n in chosen]
    of_volume += [bound for bound in bounds if bound.startswith("v.")]
    if of_volume:
        made.append(VOLUMES.format(held=" AND ".join(of_volume)))
    sizes = [bound for bound in bounds if bound.startswith("f.")]
    of_mention = {name: chosen[name] for name in OF_MENTION if name in chosen}
    if of_mention.keys() == {"anatomy"} and not sizes:
        if stated is None:
            raise InputError("anatomy: expected what is asked of it: finding=, status= or state=")
    elif of_mention or sizes:
        made += _mentions(of_mention, sizes)
    return made


def _mentions(chosen: Mapping[str, tuple[str, ...]], sizes: list[str]) -> list[str]:
    sides = chosen.get("laterality", ())
    if sides == ("bilateral",):  # one mention of both sides, or one of each
        each = [{**chosen, "laterality": (side,)} for side in BOTH_SIDES]
        return [condition for one in each for condition in _mentions(one, sizes)]
    chosen = {"status": ("present",), **chosen}
    if sides:
        found_on = [one for side in sides for one in BOTH_SIDES.get(side, (side,))]
        chosen["laterality"] = tuple(dict.fromkeys(found_on))
    held = [among(column, chosen[name]) for name, column in OF_MENTION.items() if name in chosen]
    held += [*sizes, among("t.section", sorted(ASSERTING_SECTIONS))]
    return [MENTIONS.format(held=" AND ".join(held))]


def _values(name: str, value: Value, vocabulary: Vocabulary) -> tuple[str, ...]:
    if isinstance(value, (int, float)):
        raise InputError(f"{name}: found a number, expected a text or several")
    values = (value,) if isinstance(value, str) else tuple(value)
    if not values:
        raise InputError(f"{name}: found no value, expected one or more")
    allowed = {
        "finding": (*(one.id for one in vocabulary.findings), OTHER_ABNORMALITY),
        "anatomy": tuple(one.id for one in vocabulary.anatomies),
        "status": STATUSES,
        "laterality": LATERALITIES,
        "severity": get_args(Severity),
        "change": CHANGES,
        "state": STATES,
        "split": SPLITS,
    }.get(name)
    for one in values if allowed else ():
        _refuse_unknown(name, one, allowed or ())
    return values


def _refuse_unknown(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        near = get_close_matches(value, allowed, n=1, cutoff=0.5)
        told = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(allowed)}"
        raise InputError(f"{name}: {value} is not known; {told}")


def _bound(name: str, value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{name}: found {type(value).__name__}, expected a number")
    column, sign = LIMITS[name]
    return f"{column} {sign} {float(value)!r}"


def among(column: str, values: Iterable[str]) -> str:
    """SQL condition: the column has one of the values."""
    return f"{column} IN ({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """A text as SQL literal."""
    return "'" + text.replace("'", "''") + "'"
