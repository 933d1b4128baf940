"""What the files of anatomies, findings, cues, sections and classes hold: each key's meaning.

Unknown keys are refused. Where an overlay may say more than the built-in file, `overlay.py` has
merged it before.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from fvlm_data.vocabulary.entry import Entry

SectionName = Literal[
    "findings", "impression", "technique", "clinical_information", "comparison", "other"
]
SECTION_NAMES: tuple[SectionName, ...] = get_args(SectionName)


class Anatomy(Entry):
    """One anatomy and the phrases that mention it (language: fvlm_data.vocabulary.phrases)."""

    id: str = Field(pattern=r"^[a-z][a-z_]*$", description="anatomy id")
    name: str = Field(description="name in prompts: '{name} shows no significant abnormalities.'")
    paired: bool = Field(default=False, description="whether sides matter (left, right)")
    within: str | None = Field(
        default=None,
        description="anatomy that it is a part of: who mentions it mentions that, and what it has "
        "that has (femur: bone)",
    )
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


class AnatomyGroup(Entry):
    """A phrase that stands for several anatomies."""

    phrases: tuple[str, ...] = Field(min_length=1, description="phrases")
    anatomies: tuple[str, ...] = Field(min_length=1, description="anatomy ids")


class Prompts(Entry):
    """Sentences for zero-shot classification."""

    positive: str = Field(description="the finding is there")
    negative: str = Field(description="it is not")


class MeasuredFinding(Entry):
    """A finding that another one is from a size on: a node of 10 mm is an enlarged one."""

    from_mm: float = Field(gt=0, description="size from which on it is that finding, mm")
    finding: str = Field(description="finding id; denied where the other one is")


class FindingTerm(Entry):
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
    ct_rate_too: str | None = Field(
        default=None,
        description="column of CT-RATE's labels that it makes 1 although another finding has it",
    )
    implies: tuple[str, ...] = Field(default=(), description="findings that come with it")
    measured: MeasuredFinding | None = Field(
        default=None, description="finding that it is too where it is large enough"
    )
    lasting: bool = Field(
        default=False, description="whether what once was still is: a removed organ, an implant"
    )
    keeps_part: bool = Field(
        default=False, description="whether a lasting operation leaves a part of the organ"
    )
    partly: str | None = Field(
        default=None, description="finding that an absent organ is where a part of it was left"
    )
    sided: bool = Field(
        default=False, description="whether its side counts although its anatomy has none"
    )
    at_site: bool = Field(
        default=False,
        description="whether a mention is about the anatomy where it lies (calcified plaques of "
        "the iliac artery) and only without one about its own",
    )
    extends_as: str | None = Field(
        default=None,
        description="its observation in a vessel that it extends into, where it may: a thrombus "
        "of the portal vein that extends into another vein is one of both",
    )
    described: tuple[str, ...] = Field(
        default=(),
        description="words before a bare mention of its anatomy that make it this finding (small "
        "lymph nodes), as does a size, or that it is said to be seen",
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
    kinds: tuple[str, ...] = Field(
        default=(),
        description="words and phrases for one kind of it: who denies that kind (no tension "
        "pneumothorax) says nothing of the others",
    )
    lesser: tuple[str, ...] = Field(
        default=(),
        description="those of its phrases that tell nothing of it in a sentence that denies it by "
        "another: fullness, without hydronephrosis",
    )
    seldom_denied: bool = Field(
        default=False,
        description="whether a list of denials goes on to it only behind an `or`",
    )
    diffuse: bool = Field(
        default=False,
        description="whether it is a disease of both of two organs, which the side of a finding "
        "beside it does not tell: right lung nodule with emphysema",
    )
    anywhere: bool = Field(
        default=False, description="whether `alone` holds beside any organ that does not know it"
    )


class CueRule(Entry):
    """ConText rules of one category and direction."""

    category: Literal["absent", "uncertain", "historical", "hypothetical", "family", "none"]
    direction: Literal["forward", "backward", "both", "pseudo"]
    phrases: tuple[str, ...]
    at_end: bool = Field(default=False, description="only where no word of the clause follows")
    at_start: bool = Field(default=False, description="only as the first words of the sentence")
    reach: int | None = Field(default=None, description="words that it reaches; none: its scope")
    local: bool = Field(default=False, description="scope ends at the nearest comma")
    across: bool = Field(default=False, description="scope is the sentence, not the clause")
    overrules: bool = Field(default=False, description="a doubt that holds against a denial")
    unless: tuple[str, ...] = Field(
        default=(), description="words that leave it without effect where they stand before it"
    )
    unless_behind: tuple[str, ...] = Field(
        default=(), description="the same, behind it in its statement"
    )
    turns: bool = Field(
        default=False,
        description='tells of what follows it, where a finding does: "the nodule is likely a cyst"',
    )
    without_company: bool = Field(
        default=False, description='scope ends at "with": that is no part of what it tells of'
    )
    of_lasting: bool = Field(
        default=False, description="tells only of implants and operations: what lasts once it is"
    )


class Terminators(Entry):
    """What ends a clause, and what begins another one after a comma."""

    words: tuple[str, ...]
    openers: tuple[str, ...]


class Carry(Entry):
    """First words of a sentence that goes on about what the one before was about."""

    openers: tuple[str, ...]


class Cues(Entry):
    """Everything of cues.yaml."""

    macros: dict[str, tuple[str, ...]]
    rules: tuple[CueRule, ...]
    terminators: Terminators
    predicates: tuple[str, ...]
    prepositions: tuple[str, ...]
    touching: tuple[str, ...] = Field(
        default=(), description="tell that something reaches an organ from outside"
    )
    touched: tuple[str, ...] = Field(
        default=(), description="the same in the passive, before one of `touched_by`"
    )
    touched_by: tuple[str, ...] = ()
    conjunctions: tuple[str, ...]
    partial: tuple[str, ...]
    normal: tuple[str, ...]
    neutral: tuple[str, ...]
    abnormal: tuple[str, ...]
    severities: dict[Literal["mild", "moderate", "severe"], tuple[str, ...]]
    changes: dict[Literal["new", "increased", "decreased", "stable", "resolved"], tuple[str, ...]]
    counts: dict[str, tuple[str, ...]]
    carry: Carry


class AnatomyFile(Entry):
    """anatomies.yaml."""

    anatomies: tuple[Anatomy, ...]
    groups: tuple[AnatomyGroup, ...]
    generic_parts: tuple[str, ...]
    region_headers: tuple[str, ...]
    header_words: tuple[str, ...]
    sides: dict[Literal["left", "right", "bilateral", "same", "opposite", "none"], tuple[str, ...]]


class FindingFile(Entry):
    """findings.yaml."""

    macros: dict[str, tuple[str, ...]]
    findings: tuple[FindingTerm, ...]


class SectionFile(Entry):
    """sections.yaml: header phrases by section, and how some of them are read."""

    findings: tuple[str, ...]
    impression: tuple[str, ...]
    technique: tuple[str, ...]
    clinical_information: tuple[str, ...]
    comparison: tuple[str, ...]
    other: tuple[str, ...]
    plural: str = Field(description="ending that each word of a header may have; empty: none")
    titles: tuple[str, ...] = Field(description="open a section in title case without a mark")
    after_findings: dict[SectionName, tuple[str, ...]] = Field(
        description="headers that open another section where the findings stand before them"
    )

    def phrases(self) -> dict[SectionName, tuple[str, ...]]:
        """Header phrases by section; the section's own name is always one, except `other`."""
        return {
            name: getattr(self, name) + (() if name == "other" else (name.replace("_", " "),))
            for name in SECTION_NAMES
        }


class ClassSystem(Entry):
    """Whose class names a label map has."""

    like: str | None = Field(default=None, description="system whose class names it shares")
    names_are_anatomies: bool = Field(default=False, description="its class names are anatomy ids")


class ClassFile(Entry):
    """segmentation.yaml: anatomies of label maps, in order of precedence."""

    trained: tuple[str, ...] = Field(min_length=1, max_length=254)
    systems: dict[str, ClassSystem]
    anatomies: dict[str, dict[str, tuple[str, ...]]]
