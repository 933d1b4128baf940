"""From the text of a query to what it means; docs/serve.md tells the language."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

from fvlm_data.errors import InputError
from fvlm_data.opened.search.names import names_of
from fvlm_data.opened.search.query import PREFIXES, Age, Bound, Of, Query, Said, Without, Words
from fvlm_data.reports.language.records import Severity
from schemas.findings import LATERALITIES
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.opened.search.names import Names
    from fvlm_data.opened.search.query import Term
    from fvlm_data.vocabulary import Vocabulary

LONGEST = 2000
"""Characters of a query."""

GREATEST = 1e6
"""Greatest number of a comparison."""

ALLOWED = {
    "sex": ("f", "m", "o"),
    "region": ("head", "chest", "abdomen", "pelvis", "unknown"),
    "phase": ("unenhanced", "arterial", "portal_venous", "delayed", "unknown"),
    "split": SPLITS,
    "manufacturer": (),
    "kernel": (),
}
"""Names of properties and what they can be; nothing: any words."""

SHORT = {"female": ("sex", "f"), "women": ("sex", "f"), "male": ("sex", "m"), "men": ("sex", "m")}
SIGNS = {
    ">=": ">=", "≥": ">=", "at least": ">=", "from": ">=",
    "<=": "<=", "≤": "<=", "at most": "<=", "up to": "<=",
    ">": ">", "over": ">", "above": ">", "more than": ">", "larger than": ">", "older than": ">",
    "<": "<", "under": "<", "below": "<", "less than": "<", "smaller than": "<",
    "younger than": "<", "=": "=",
}  # fmt: skip
MM = {"mm": 1.0, "cm": 10.0}
YEARS = {"": 1.0, "y": 1.0, "year": 1.0, "years": 1.0}

_NUMBER = r"\d+(?:\.\d+)?"
_SIGN = "|".join(re.escape(one) if not one[0].isalpha() else rf"\b{one}(?=\s*\d)" for one in SIGNS)
_COMPARED = re.compile(
    rf"\s*(?:and\s+)?(?:(?P<sign>{_SIGN})\s*(?P<value>{_NUMBER})"
    rf"|\b(?P<low>{_NUMBER})\s*(?:-|–|\bto\b)\s*(?P<high>{_NUMBER}))\s*(?P<unit>[a-z]*)"  # noqa: RUF001
)
_TERM = re.compile(r'(?:[^",]|"[^"]*")+')
_VALUE = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^"]+?))\s*(?:\bor\b|$)')
_BEFORE = {word: ("status", status) for status, word in PREFIXES.items()}
_BEFORE |= {one: ("side", one) for one in LATERALITIES}
_BEFORE |= {one: ("severity", one) for one in get_args(Severity)}


def parse(text: str, vocabulary: Vocabulary) -> Query:
    """A query from its text.

    Raises:
        InputError: a word is not known, with the nearest known one, or something is amiss.
    """
    plain = " ".join(text.lower().replace("“", '"').replace("”", '"').split())
    if len(plain) > LONGEST:
        raise InputError(f"query: {len(plain)} characters found, at most {LONGEST} expected")
    if plain.count('"') % 2:
        raise InputError('query: a quotation mark (") is not closed')
    terms = [one.strip() for one in _TERM.findall(plain)]
    if not terms or plain.count(",") - _quoted_commas(plain) != len(terms) - 1 or "" in terms:
        raise InputError("query: expected terms with a comma between two, found an empty one")
    names = names_of(vocabulary)
    return Query(tuple(_term(one, names) for one in terms))


def _quoted_commas(text: str) -> int:
    return sum(part.count(",") for part in text.split('"')[1::2])


def _term(text: str, names: Names) -> Term:
    first, _, rest = text.partition(" ")
    if first == "not" and rest:
        inner = _term(rest, names)
        if isinstance(inner, Without):
            raise InputError(f"query: {text}: expected one `not`, found two")
        return Without(inner)
    if text in SHORT:
        name, value = SHORT[text]
        return Of(name, (value,))
    if text[0] == '"':
        return _words(text)
    if first == "age":
        return _age(text, rest)
    if first in ALLOWED:
        return _property(first, rest)
    return _said(text, names)


def _words(text: str) -> Words:
    inner = " ".join(text[1:-1].split())
    if text.count('"') != 2 or text[-1] != '"' or not re.search(r"\w", inner):
        raise InputError(f"query: {text}: expected words within one pair of quotation marks")
    return Words(inner)


def _age(text: str, rest: str) -> Age:
    head, bounds = _compared(rest, YEARS, text)
    if head or not bounds:
        raise InputError(f"query: {text}: expected limits in years, as age > 60 or age 40-60")
    return Age(bounds)


def _property(name: str, rest: str) -> Of:
    found = [
        " ".join((one["plain"] if one["quoted"] is None else one["quoted"]).split())
        for one in _VALUE.finditer(rest)
    ]
    if "".join(rest.split()) == "" or "" in found or not found:
        known = ALLOWED[name]
        raise InputError(f"query: {name}: expected {_choice(known) if known else 'a value'}")
    return Of(name, tuple(_checked(name, value) for value in found))


def _checked(name: str, value: str) -> str:
    known = ALLOWED[name]
    if not known:
        return value
    asked = {"female": "f", "male": "m", "val": "validation"}.get(value, value).replace(" ", "_")
    for part in asked.split("+") if name == "region" else [asked]:
        if part not in known:
            near = get_close_matches(part, known, n=1, cutoff=0.5)
            told = f"did you mean {near[0]}?" if near else f"expected {_choice(known)}"
            raise InputError(f"query: {name} {part} is not known; {told}")
    return asked


def _choice(known: Iterable[str]) -> str:
    return f"one of {', '.join(known)}"


def _said(text: str, names: Names) -> Said:
    head, sizes = _compared(text, MM, text)
    if re.search(r"[<>=≤≥]", head):
        raise InputError(f"query: {text}: expected a size behind the sign, as > 20 mm")
    told, ids = _named(head, names)
    if sizes and told.get("status", "present") != "present":
        raise InputError(f"query: {text}: a size is of what is present; leave one of them out")
    return Said(ids, **told, sizes_mm=sizes)


def _named(head: str, names: Names) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the words before the findings say, and the findings.

    With all such words taken off ids are tried first, then names with as few taken off as can be:
    a left atrial enlargement is a finding of its own, no left finding.
    """
    words = head.split()
    ways: list[tuple[dict[str, str], str]] = [({}, head)]
    told: dict[str, str] = {}
    for place, word in enumerate(words[:-1]):
        name, value = _BEFORE.get(word, ("", ""))
        if not name or name in told:
            break
        told = {**told, name: value}
        ways.append((told, " ".join(words[place + 1 :])))
    for said, rest in reversed(ways):
        ids = [names.of_id(one.strip()) for one in _alternatives(rest)]
        if all(ids):
            return said, tuple(one for one in ids if one)
    for said, rest in ways:
        found = [names.findings(one.strip()) for one in _alternatives(rest)]
        if all(found):
            return said, tuple(dict.fromkeys(one for some in found for one in some))
    raise _unknown(ways[-1][1], names)


def _alternatives(text: str) -> list[str]:
    return re.split(r"\bor\b", text)


def _unknown(rest: str, names: Names) -> InputError:
    wrong = next(one.strip() for one in _alternatives(rest) if not names.findings(one.strip()))
    first = wrong.partition(" ")[0]
    # a property's name may be what is misspelt
    near = get_close_matches(first, (*ALLOWED, "age"), n=1, cutoff=0.75) if wrong else []
    name = names.nearest(wrong) or (near[0] if near else None)
    told = f"did you mean {name}?" if name else 'words of sentences stand within quotes ("...")'
    return InputError(f"query: {wrong or 'nothing'} is no finding that is known; {told}")


def _compared(text: str, units: dict[str, float], term: str) -> tuple[str, tuple[Bound, ...]]:
    """What stands before the first comparison, and the comparisons in the unit of `units` 1."""
    start = _COMPARED.search(text)
    if start is None:
        return text.strip(), ()
    bounds: list[Bound] = []
    at = start.start()
    while (one := _COMPARED.match(text, at)) is not None:
        if one["unit"] not in units:
            found = one["unit"] or "none"
            raise InputError(f"query: {term}: unit {found} found, expected {' or '.join(units)}")
        bounds += _bounds(one, units[one["unit"]])
        at = one.end()
    if text[at:].strip():
        raise InputError(f"query: {term}: {text[at:].strip()} is not understood; add a comma?")
    return text[: start.start()].strip(), tuple(bounds)


def _bounds(one: re.Match[str], unit: float) -> list[Bound]:
    if one["low"] is not None:
        pairs = [(">=", one["low"]), ("<=", one["high"])]
    elif (sign := SIGNS[one["sign"]]) == "=":
        pairs = [(">=", one["value"]), ("<=", one["value"])]
    else:
        pairs = [(sign, one["value"])]
    numbers = [round(float(value) * unit, 6) for _, value in pairs]
    if max(numbers) > GREATEST:
        raise InputError(f"query: {one[0].strip()}: expected numbers up to {GREATEST:.0f}")
    return [Bound(sign, number) for (sign, _), number in zip(pairs, numbers, strict=True)]
