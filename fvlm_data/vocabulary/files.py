"""The files of a vocabulary: read, overlaid, checked against their models and each other."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, RootModel, ValidationError

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary.contents import Files
from fvlm_data.vocabulary.entries import AnatomyFile, ClassFile, Cues, FindingFile, SectionFile
from fvlm_data.vocabulary.folders import (
    BESIDE,
    CLASSES,
    LABELS,
    NAMES,
    OPTIONAL,
    built_in_texts,
    languages,
)
from fvlm_data.vocabulary.grammar_entries import Grammar
from fvlm_data.vocabulary.label_sets import LabelSets
from fvlm_data.vocabulary.names import check_names
from fvlm_data.vocabulary.overlay import in_front, overlaid, refuse_repeats
from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.sentences import sentence
from fvlm_data.vocabulary.text_entries import (
    IdentityWords,
    PairingWords,
    QuestionWords,
    ReferenceWords,
    RegionWords,
    VersionWords,
)
from fvlm_data.vocabulary.tree import Node, plain, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_M = TypeVar("_M", bound=BaseModel)

OVERLAY = "vocabulary overlay "
"""What errors call a user's file, before its name."""

_PHRASE_FILES = ("anatomies.yaml", "findings.yaml", "cues.yaml", "sections.yaml")


class _Lists(RootModel[dict[str, tuple[str, ...]]]):
    """lists.yaml: names of lists to finding ids."""


def read_files(language: str, overlay: Mapping[str, str]) -> Files:
    """The built-in files of a language with the texts of `overlay`, by file name, over them.

    Raises:
        ConfigError: the language is not known, or a file holds what it must not.
    """
    trees = _trees(language, overlay)
    _check_phrases(trees)
    files = Files(
        anatomies=_validated(trees, "anatomies.yaml", AnatomyFile),
        findings=_validated(trees, "findings.yaml", FindingFile),
        cues=_validated(trees, "cues.yaml", Cues),
        sections=_validated(trees, "sections.yaml", SectionFile),
        lists=_validated(trees, "lists.yaml", _Lists).root,
        grammar=_validated(trees, "grammar.yaml", Grammar),
        versions=_validated(trees, "versions.yaml", VersionWords),
        pairing=_validated(trees, "pairing.yaml", PairingWords),
        identities=_validated(trees, "identities.yaml", IdentityWords),
        references=_validated(trees, "references.yaml", ReferenceWords),
        questions=_validated(trees, "questions.yaml", QuestionWords),
        regions=_validated(trees, "regions.yaml", RegionWords),
        classes=_validated(trees, CLASSES, ClassFile),
        label_sets=_validated(trees, LABELS, LabelSets).root,
        content={name: plain(tree) for name, tree in trees.items()},
    )
    check_names(files, trees)
    return files


@lru_cache(maxsize=1)
def built_in_classes() -> ClassFile:
    """The built-in segmentation.yaml alone, in a hundredth of the time of a vocabulary."""
    text = built_in_texts("")[CLASSES]
    return ClassFile.model_validate(plain(read_tree(text, f"vocabulary {CLASSES}")))


def _trees(language: str, overlay: Mapping[str, str]) -> dict[str, Node]:
    texts = built_in_texts(language)
    missing = [name for name in NAMES if name not in texts and name not in overlay]
    if missing:
        raise ConfigError(
            f"vocabulary: language {language!r} is not built in (built in: "
            f"{', '.join(languages())}), so the overlay must hold all of it; missing are "
            f"{', '.join(missing)}"
        )
    trees = {}
    for name in (*NAMES, *OPTIONAL, *BESIDE):
        file = f"vocabulary {name}" if name in BESIDE else f"vocabulary {language}/{name}"
        base = read_tree(texts.get(name, ""), file)
        _refuse_repeats(name, base)
        if name in overlay:
            over = read_tree(overlay[name], OVERLAY + name)
            _refuse_repeats(name, over)
            base = _classes_overlaid(base, over) if name == CLASSES else overlaid(base, over)
        trees[name] = base
    return trees


def _refuse_repeats(name: str, tree: Node) -> None:
    key = name.removesuffix(".yaml")
    if isinstance(tree.value, dict) and key in ("anatomies", "findings") and key in tree.value:
        refuse_repeats(tree.value[key], "anatomy" if key == "anatomies" else "finding")


def _classes_overlaid(base: Node, over: Node) -> Node:
    """A user's own anatomies come before the built-in ones: the first to claim a voxel has it."""
    merged = overlaid(base, over)
    if isinstance(base.value, dict) and isinstance(over.value, dict) and "anatomies" in over.value:
        made = in_front(base.value["anatomies"], over.value["anatomies"])
        merged = Node({**merged.value, "anatomies": made}, merged.file, merged.line)  # type: ignore[dict-item]
    return merged


def _validated(trees: Mapping[str, Node], name: str, model: type[_M]) -> _M:
    tree = trees[name]
    try:
        return model.model_validate(plain(tree))
    except ValidationError as error:
        raise ConfigError(sentence(error, tree, model)) from None


def _check_phrases(trees: Mapping[str, Node]) -> None:
    """Refuse a user's phrase that cannot be expanded; those built in are held by tests."""
    for name in _PHRASE_FILES:
        content = plain(trees[name])
        macros = content.get("macros") if isinstance(content, dict) else None
        known = macros if isinstance(macros, dict) else {}
        for item in _listed(trees[name]):
            if isinstance(item.value, str) and item.file.startswith(OVERLAY):
                try:
                    expand(item.value, known)
                except ConfigError as error:
                    told = str(error).removeprefix("vocabulary: ")
                    raise ConfigError(f"{item.place}: {told}") from None


def _listed(node: Node) -> Iterator[Node]:
    """All plain values within lists."""
    if isinstance(node.value, dict):
        for child in node.value.values():
            yield from _listed(child)
    elif isinstance(node.value, list):
        for child in node.value:
            if isinstance(child.value, dict | list):
                yield from _listed(child)
            else:
                yield child
