"""No word of a language stands in the code that reads reports: it belongs in the vocabulary.

Looked at are patterns of `re`, and strings that a word of a text could be compared with.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.folders import languages
from fvlm_data.vocabulary.phrases import expand

ROOT = Path(__file__).resolve().parents[2] / "fvlm_data"
FOLDERS = ("reports/language", "reports/versions", "reports/scrubbing", "pairing", "segment")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))
VOCABULARIES = tuple(map(Vocabulary.load, languages()))

FUNCTIONS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub"}
IDS = {
    "absent", "change", "excluded", "finding", "findings", "left", "none", "other", "present",
    "reports", "resolved", "right", "segment", "status", "uncertain",
}  # fmt: skip
"""Statuses, sides, changes, sections, policies, tables and columns that are spelt as words of
reports are."""

MARKUP = {"br", "li", "div", "tr", "nbsp", "par", "https"}
"""Names of tags and marks in patterns, which are formats."""


def words_of(phrases: object) -> set[str]:
    if isinstance(phrases, str):
        return set(phrases.lower().split())
    if isinstance(phrases, dict):
        return {word for one in phrases.values() for word in words_of(one)}
    return {word for one in phrases for word in words_of(one)}  # type: ignore[attr-defined]


@cache
def function_words() -> set[str]:
    """Words that clauses, titles and sentences of any language are taken apart by."""
    return set().union(*map(function_words_of, VOCABULARIES))


def function_words_of(vocabulary: Vocabulary) -> set[str]:
    cues, grammar = vocabulary.cues, vocabulary.grammar
    made = words_of(cues.predicates) | words_of(cues.prepositions) | words_of(cues.conjunctions)
    for rule in cues.rules:
        for phrase in rule.phrases:
            for one in expand(phrase, cues.macros):
                made |= words_of(one) if len(one.split()) == 1 else set()
    made |= words_of(grammar.model_dump()["clauses"]) | words_of(grammar.sentences.line_joins)
    return {word for word in made if word.isalpha() and len(word) > 1}


@cache
def all_words() -> set[str]:
    """Function words, and the words of headers, versions, lobes and identities."""
    return function_words().union(*map(other_words, VOCABULARIES))


def other_words(vocabulary: Vocabulary) -> set[str]:
    made = words_of(vocabulary.identities.model_dump())
    for phrases in (
        *vocabulary.sections.phrases().values(),
        vocabulary.versions.addendum,
        vocabulary.versions.corrected,
        vocabulary.versions.withdrawn,
        vocabulary.pairing.organ_left,
        vocabulary.pairing.kidney_elsewhere,
        *vocabulary.pairing.lobes.named.values(),
        vocabulary.pairing.lobes.listed,
    ):
        for phrase in phrases:
            made |= {
                word
                for one in expand(phrase.rstrip("*").removesuffix(" ..."))
                for word in one.split()
            }
    return {word for word in made if word.isalpha() and len(word) > 1}


def patterns(tree: ast.AST) -> Iterator[str]:
    """Texts of what is given to functions of `re`, without what only groups are called."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in FUNCTIONS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            for constant in ast.walk(node):
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                    yield constant.value


def raw_strings(source: str, tree: ast.AST) -> Iterator[str]:
    """Raw string literals: parts of patterns that are put together elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            literal = ast.get_source_segment(source, node) or ""
            if re.match(r"[rR][fF]?[\"']|[fF][rR][\"']", literal):
                yield node.value


def compared(tree: ast.AST) -> Iterator[str]:
    """Strings that something is compared with, or that sets and tuples hold."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            places = [node.left, *node.comparators]
        elif isinstance(node, ast.Set | ast.Tuple | ast.List):
            places = list(node.elts)
        else:
            continue
        for place in places:
            if isinstance(place, ast.Constant) and isinstance(place.value, str):
                yield place.value


def in_pattern(pattern: str) -> set[str]:
    """Words of a pattern, less group names, character classes and escapes."""
    plain = re.sub(r"\(\?P<\w+>|\[[^\]]*\]|\\[a-zA-Z]", " ", pattern)
    return {word.lower() for word in re.findall(r"[A-Za-z]{2,}", plain)} - MARKUP


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_holds_no_word_of_the_language(path: Path):
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    words = all_words()
    found = {
        word
        for pattern in (*patterns(tree), *raw_strings(source, tree))
        for word in in_pattern(pattern) & words
    }
    found |= {one for one in compared(tree) if one.lower() in function_words()}
    assert found <= IDS


def test_the_check_sees_what_it_is_for():
    seen = 'import re\nA = re.compile(r"\\b(?:corrected|amended)")\nB = frozenset({"of", "lung"})'
    tree = ast.parse(seen)
    words = {word for one in patterns(tree) for word in in_pattern(one)} & all_words()
    assert words == {"corrected", "amended"}
    assert set(compared(tree)) & function_words() == {"of"}
