"""The vocabulary as data: anatomies, findings, sections and cues, read from YAML and checked.

Everything is validated once, unknown keys are refused, and nothing depends on the order in
which a file lists its entries.
"""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import resources
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fvlm_data.errors import ConfigError

__all__ = [
    "OTHER_ABNORMALITY",
    "Anatomy",
    "AnatomyGroup",
    "Cues",
    "FindingTerm",
    "Prompts",
    "anatomy_names",
    "finding_lists",
    "load_anatomies",
    "load_cues",
    "load_findings",
    "load_groups",
    "load_sections",
    "vocabulary_sha256",
]

OTHER_ABNORMALITY = "other_abnormality"
"""Finding id of something abnormal that no entry of findings.yaml covers."""

FILES = ("anatomies.yaml", "cues.yaml", "findings.yaml", "sections.yaml")

SectionName = Literal[
    "findings", "impression", "technique", "clinical_information", "comparison", "other"
]


_M = TypeVar("_M", bound=BaseModel)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Anatomy(_Entry):
    """One anatomy and the phrases that mention it (language: fvlm_data.vocabulary.phrases)."""

    id: str = Field(pattern=r"^[a-z][a-z_]*$", description="anatomy id")
    name: str = Field(description="name in prompts: '{name} shows no significant abnormalities.'")
    paired: bool = Field(default=False, description="whether sides matter (left, right)")
    trained: bool = Field(default=False, description="one of the 16 anatomies trained on")
    phrases: tuple[str, ...] = Field(min_length=1, description="phrases that mention it")
    parts: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="parts that findings tell apart, with their phrases"
    )
    left: tuple[str, ...] = Field(default=(), description="phrases that tell the left side")
    right: tuple[str, ...] = Field(default=(), description="phrases that tell the right side")
    headers: tuple[str, ...] = Field(default=(), description="phrases that count in sub-headers")
    compound: tuple[str, ...] = Field(
        default=(), description="phrases that hold its word and do not mean it"
    )


class AnatomyGroup(_Entry):
    """A phrase that stands for several anatomies."""

    phrases: tuple[str, ...] = Field(min_length=1, description="phrases")
    anatomies: tuple[str, ...] = Field(min_length=1, description="anatomy ids")


class Prompts(_Entry):
    """Sentences for zero-shot classification."""

    positive: str = Field(description="the finding is there")
    negative: str = Field(description="it is not")


class FindingTerm(_Entry):
    """One finding: what it is called and where it lies."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="finding id")
    name: str = Field(description="name for people")
    anatomy: str = Field(description="anatomy that it makes abnormal")
    sites: tuple[str, ...] = Field(
        default=(),
        description="anatomies, or parts of them (heart.coronary), that make one of its "
        "observations this finding; empty: its anatomy",
    )
    ct_rate: str | None = Field(default=None, description="column of CT-RATE's labels")
    implies: tuple[str, ...] = Field(default=(), description="findings that come with it")
    lasting: bool = Field(
        default=False, description="whether what once was still is: a removed organ, an implant"
    )
    at_site: bool = Field(
        default=False,
        description="whether a mention is about the anatomy where it lies (calcified plaques of "
        "the iliac artery) and only without one about its own",
    )
    codes: dict[Literal["radlex", "snomed_ct"], str] = Field(
        default_factory=dict, description="codes of public terminologies, where known for sure"
    )
    prompts: Prompts = Field(description="zero-shot prompts")
    synonyms: tuple[str, ...] = Field(default=(), description="phrases that name it alone")
    observations: tuple[str, ...] = Field(
        default=(), description="phrases that name it together with a site"
    )
    alone: tuple[str, ...] = Field(
        default=(), description="observations that mean it where nothing tells the site"
    )


class CueRule(_Entry):
    """ConText rules of one category and direction."""

    category: Literal["absent", "uncertain", "historical", "hypothetical", "family", "none"]
    direction: Literal["forward", "backward", "both", "pseudo"]
    phrases: tuple[str, ...]
    at_end: bool = Field(default=False, description="only where no word of the clause follows")
    reach: int | None = Field(default=None, description="words that it reaches; none: its scope")
    local: bool = Field(default=False, description="scope ends at the nearest comma")
    across: bool = Field(default=False, description="scope is the sentence, not the clause")
    overrules: bool = Field(default=False, description="a doubt that holds against a denial")


class _Terminators(_Entry):
    words: tuple[str, ...]
    openers: tuple[str, ...]


class _Carry(_Entry):
    openers: tuple[str, ...]


class Cues(_Entry):
    """Everything of cues.yaml."""

    macros: dict[str, tuple[str, ...]]
    rules: tuple[CueRule, ...]
    terminators: _Terminators
    predicates: tuple[str, ...]
    prepositions: tuple[str, ...]
    conjunctions: tuple[str, ...]
    partial: tuple[str, ...]
    normal: tuple[str, ...]
    neutral: tuple[str, ...]
    abnormal: tuple[str, ...]
    severities: dict[Literal["mild", "moderate", "severe"], tuple[str, ...]]
    changes: dict[Literal["new", "increased", "decreased", "stable", "resolved"], tuple[str, ...]]
    counts: dict[str, tuple[str, ...]]
    carry: _Carry


class _AnatomyFile(_Entry):
    anatomies: tuple[Anatomy, ...]
    groups: tuple[AnatomyGroup, ...]
    generic_parts: tuple[str, ...]
    region_headers: tuple[str, ...]
    header_words: tuple[str, ...]
    sides: dict[Literal["left", "right", "bilateral"], tuple[str, ...]]


class _FindingFile(_Entry):
    macros: dict[str, tuple[str, ...]]
    findings: tuple[FindingTerm, ...]


@functools.cache
def load_anatomies() -> tuple[Anatomy, ...]:
    """All anatomies, sorted by id.

    Raises:
        ConfigError: the file has an unknown key, a repeated id, or a group of unknown anatomies.
    """
    file = anatomy_file()
    _refuse_repeats("anatomies.yaml", [anatomy.id for anatomy in file.anatomies])
    known = {anatomy.id for anatomy in file.anatomies}
    for group in file.groups:
        _refuse_unknown("anatomies.yaml", group.phrases[0], group.anatomies, known)
    return tuple(sorted(file.anatomies, key=lambda anatomy: anatomy.id))


@functools.cache
def load_groups() -> tuple[AnatomyGroup, ...]:
    """Phrases that stand for several anatomies, sorted."""
    return tuple(sorted(anatomy_file().groups, key=lambda group: group.phrases))


@functools.cache
def load_findings() -> tuple[FindingTerm, ...]:
    """All findings, sorted by id.

    Raises:
        ConfigError: the file has an unknown key, a repeated id or CT-RATE column, or names an
            anatomy, part or finding that does not exist.
    """
    findings = finding_file().findings
    _refuse_repeats("findings.yaml", [term.id for term in findings])
    _refuse_repeats("findings.yaml", [term.ct_rate for term in findings if term.ct_rate])
    ids = {term.id for term in findings}
    sites = {anatomy.id for anatomy in load_anatomies()}
    parts = {f"{anatomy.id}.{part}" for anatomy in load_anatomies() for part in anatomy.parts}
    for term in findings:
        _refuse_unknown("findings.yaml", term.id, (term.anatomy,), sites)
        _refuse_unknown("findings.yaml", term.id, term.sites, sites | parts)
        _refuse_unknown("findings.yaml", term.id, term.implies, ids - {term.id})
    return tuple(sorted(findings, key=lambda term: term.id))


@functools.cache
def finding_lists() -> dict[str, tuple[str, ...]]:
    """Named lists of finding ids: `ct_rate` and those of lists.yaml.

    Raises:
        ConfigError: a list repeats a finding or names one that does not exist.
    """

    class _Lists(_Entry):
        anatomy_54: tuple[str, ...]
        anatomy_18: tuple[str, ...]

    file = _validated("lists.yaml", _Lists)
    known = {term.id for term in load_findings()}
    made = {"ct_rate": tuple(term.id for term in load_findings() if term.ct_rate)}
    for name in _Lists.model_fields:
        made[name] = getattr(file, name)
        _refuse_repeats("lists.yaml", list(made[name]))
        _refuse_unknown("lists.yaml", name, made[name], known)
    return made


@functools.cache
def load_cues() -> Cues:
    """Cues, words of normality and abnormality, clause words."""
    return _validated("cues.yaml", Cues)


@functools.cache
def load_sections() -> dict[SectionName, tuple[str, ...]]:
    """Header phrases by section name."""

    class _Sections(_Entry):
        findings: tuple[str, ...]
        impression: tuple[str, ...]
        technique: tuple[str, ...]
        clinical_information: tuple[str, ...]
        comparison: tuple[str, ...]
        other: tuple[str, ...]

    file = _validated("sections.yaml", _Sections)
    return {name: getattr(file, name) for name in get_args(SectionName)}


@functools.cache
def anatomy_file() -> _AnatomyFile:
    """The whole of anatomies.yaml, for the parser's words of place and side."""
    return _validated("anatomies.yaml", _AnatomyFile)


@functools.cache
def finding_file() -> _FindingFile:
    """The whole of findings.yaml, for the parser's macros."""
    return _validated("findings.yaml", _FindingFile)


def anatomy_names() -> dict[str, str]:
    """Name of each anatomy by id, as prompts and normal sentences say it."""
    return {anatomy.id: anatomy.name for anatomy in load_anatomies()}


@functools.cache
def vocabulary_sha256() -> str:
    """Hash of all that the parser reads from the vocabulary, whatever the order of entries."""
    parts = {name: _canonical(_read(name)) for name in FILES}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Lists as sorted lists: no list of the vocabulary has a meaningful order."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_canonical(item) for item in value), key=lambda item: json.dumps(item))
    return value


def _read(name: str) -> Any:
    text = resources.files("fvlm_data.vocabulary").joinpath(name).read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _validated(name: str, model: type[_M]) -> _M:
    try:
        return model.model_validate(_read(name))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"vocabulary {name}: {place}: {first['msg']}") from error


def _refuse_repeats(name: str, ids: list[str]) -> None:
    repeated = sorted({item for item in ids if ids.count(item) > 1})
    if repeated:
        raise ConfigError(f"vocabulary {name}: {', '.join(repeated)} stands more than once")


def _refuse_unknown(name: str, entry: str, used: tuple[str, ...], known: set[str]) -> None:
    unknown = sorted(set(used) - known)
    if unknown:
        raise ConfigError(f"vocabulary {name}: {entry} names {', '.join(unknown)}, not known")
