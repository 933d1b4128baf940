"""Hashes of what each user of a vocabulary reads: parts of the keys of items made from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from fvlm_data.hashing import content_key
from fvlm_data.vocabulary.folders import CLASSES, LABELS, OPTIONAL

if TYPE_CHECKING:
    from fvlm_data.vocabulary.contents import Files

Part = Literal["all", "versions", "reading", "pairing", "segmentation", "labels"]

_NOT_READ = frozenset({"name", "prompts", "codes", "ct_rate", "ct_rate_too", "implies"})
"""Keys of anatomies and findings that no sentence is read by."""


def part_hashes(files: Files) -> dict[Part, str]:
    """The hash of each part, whatever the order of entries and lists.

    Only the order of anatomies in segmentation.yaml counts, which is their precedence.
    """
    content = files.content
    unread = (CLASSES, LABELS, "lists.yaml", *OPTIONAL)
    words = {name: content[name] for name in content if name not in unread}
    # reports are read without it: changing its sentences must not parse them again
    del words["pairing.yaml"]
    classes = [[a, _canonical(names)] for a, names in content[CLASSES]["anatomies"].items()]
    systems = content[CLASSES]["systems"]
    anatomies = sorted([one.id, one.name] for one in files.anatomies.anatomies)
    implied = sorted([one.id, sorted(one.implies)] for one in files.findings.findings)
    told_apart = [content[name] for name in ("versions.yaml", "sections.yaml")]
    told_apart.append(content["grammar.yaml"]["sentences"])
    spoken = [_canonical(content[name]) for name in ("pairing.yaml", "versions.yaml")]
    return {
        "all": content_key(_canonical(content), classes),
        "versions": content_key(*map(_canonical, told_apart)),
        "reading": content_key(_canonical(_read(words))),
        "pairing": content_key(anatomies, implied, spoken),
        "segmentation": content_key(classes, systems),
        "labels": content_key(_canonical(content[LABELS]), implied),
    }


def _read(words: dict[str, Any]) -> dict[str, Any]:
    """The words without what only names or explains an anatomy or finding."""
    kept = dict(words)
    for file, key in (("anatomies.yaml", "anatomies"), ("findings.yaml", "findings")):
        entries = [
            {name: value for name, value in entry.items() if name not in _NOT_READ}
            for entry in words[file][key]
        ]
        kept[file] = {**words[file], key: entries}
    return kept


def _canonical(value: Any) -> Any:
    """Lists as sorted lists: their order means nothing but in segmentation.yaml."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return sorted(value)
        return sorted((_canonical(item) for item in value), key=_text)
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
