"""Whether the files of a vocabulary name only what the others hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary.folders import CLASSES, LABELS
from fvlm_data.vocabulary.sentences import unknown
from fvlm_data.vocabulary.tree import at

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fvlm_data.vocabulary.contents import Files
    from fvlm_data.vocabulary.tree import Node

Path = tuple[str | int, ...]


def check_names(files: Files, trees: Mapping[str, Node]) -> None:
    """Refuse a name of an anatomy, part, finding or class system that is not known.

    Raises:
        ConfigError: there is one; the sentence names file, line and what was expected.
    """
    anatomies = sorted(anatomy.id for anatomy in files.anatomies.anatomies)
    findings = sorted(term.id for term in files.findings.findings)
    _check_wholes(files, trees["anatomies.yaml"], anatomies)
    _check_groups(files, trees["anatomies.yaml"], anatomies)
    _check_findings(files, trees["findings.yaml"], anatomies, findings)
    for name, members in files.lists.items():
        _check_each(trees["lists.yaml"], (name,), f"list {name}: ", "finding", members, findings)
        _refuse_twice(trees["lists.yaml"], (name,), f"list {name}: ", members)
    if "ct_rate" in files.lists:
        place = at(trees["lists.yaml"], ("ct_rate",)).place
        raise ConfigError(
            f"{place}: ct_rate is made of the findings that have a `ct_rate`; omit it"
        )
    _check_classes(files, trees[CLASSES], anatomies)
    _check_label_sets(files, trees[LABELS], findings)
    _check_normal(files, trees["pairing.yaml"])


def _check_wholes(files: Files, tree: Node, anatomies: Sequence[str]) -> None:
    """Refuse an anatomy that is a part of one which is not known, or which is a part itself."""
    parts = {one.id for one in files.anatomies.anatomies if one.within is not None}
    wholes = [one for one in anatomies if one not in parts]
    for number, one in enumerate(files.anatomies.anatomies):
        if one.within is not None:
            path = ("anatomies", number, "within")
            _check(tree, path, f"anatomy {one.id!r}: ", "whole anatomy", one.within, wholes)


def _check_groups(files: Files, tree: Node, anatomies: Sequence[str]) -> None:
    for number, group in enumerate(files.anatomies.groups):
        entry = f"group of {group.phrases[0]!r}: "
        path = ("groups", number, "anatomies")
        _check_each(tree, path, entry, "anatomy", group.anatomies, anatomies)


def _check_findings(
    files: Files, tree: Node, anatomies: Sequence[str], findings: Sequence[str]
) -> None:
    parts = [f"{one.id}.{part}" for one in files.anatomies.anatomies for part in one.parts]
    columns: dict[str, str] = {}
    for number, term in enumerate(files.findings.findings):
        entry, path = f"finding {term.id!r}: ", ("findings", number)
        _check(tree, (*path, "anatomy"), entry, "anatomy", term.anatomy, anatomies)
        sites = [*anatomies, *parts]
        _check_each(tree, (*path, "sites"), entry, "site", term.sites, sites)
        if term.implies:
            others = [one for one in findings if one != term.id]
            _check_each(tree, (*path, "implies"), entry, "finding", term.implies, others)
        if term.partly is not None:
            _check(tree, (*path, "partly"), entry, "finding", term.partly, findings)
        if term.measured is not None:
            place_of, name = (*path, "measured", "finding"), term.measured.finding
            _check(tree, place_of, entry, "finding", name, findings)
        if term.ct_rate is not None and term.ct_rate in columns:
            place = at(tree, (*path, "ct_rate")).place
            raise ConfigError(
                f"{place}: {entry}ct_rate {term.ct_rate!r} is that of {columns[term.ct_rate]} "
                "already; expected another column"
            )
        columns[term.ct_rate or ""] = term.id


def _check_classes(files: Files, tree: Node, anatomies: Sequence[str]) -> None:
    classes = files.classes
    systems = list(classes.systems)
    for system, settings in classes.systems.items():
        if settings.like is not None:
            path = ("systems", system, "like")
            _check(tree, path, f"system {system}: ", "class system", settings.like, systems)
    for anatomy, names in classes.anatomies.items():
        for system in names:
            path = ("anatomies", anatomy, system)
            _check(tree, path, f"anatomy {anatomy!r}: ", "class system", system, systems)
    known = [one for one in classes.anatomies if one in set(anatomies)]
    _check_each(tree, ("trained",), "trained: ", "anatomy", classes.trained, known)
    _refuse_twice(tree, ("trained",), "trained: ", classes.trained)


def _check_label_sets(files: Files, tree: Node, findings: Sequence[str]) -> None:
    for name, one in files.label_sets.items():
        for label, rule in one.labels.items():
            path, entry = (name, "labels", label, "any"), f"label set {name}, label {label!r}: "
            _check_each(tree, path, entry, "finding", rule.any, findings)
            _refuse_twice(tree, path, entry, rule.any)


def _check_normal(files: Files, tree: Node) -> None:
    try:
        # no template holds a NUL: if one comes out, the placeholder was there
        named = "\x00" in files.pairing.normal.format(anatomy="\x00")
    except (ValueError, LookupError, AttributeError):
        named = False
    if not named:
        place = at(tree, ("normal",)).place
        raise ConfigError(f"{place}: normal must hold {{anatomy}} and no other braces")


def _check_each(
    tree: Node, path: Path, entry: str, what: str, names: Collection[str], known: Sequence[str]
) -> None:
    for number, name in enumerate(names):
        _check(tree, (*path, number), entry, what, name, known)


def _check(tree: Node, path: Path, entry: str, what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ConfigError(unknown(at(tree, path), entry, what, name, known))


def _refuse_twice(tree: Node, path: Path, entry: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            place = at(tree, (*path, number)).place
            raise ConfigError(f"{place}: {entry}{name} stands more than once")
