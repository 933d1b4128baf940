"""What the files of a vocabulary hold: one model a file, each key with its meaning.

Unknown keys are refused. Where an overlay may say more than the built-in file, `overlay.py` has
merged it before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

SectionName = Literal[
    "findings", "impression", "technique", "clinical_information", "comparison", "other"
]
SECTION_NAMES: tuple[SectionName, ...] = get_args(SectionName)


class Entry(BaseModel):
    """What a mapping of a file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    seldom_denied: bool = Field(
        default=False,
        description="whether a list of denials goes on to it only behind an `or`",
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


class CompanyWord(Entry):
    """A word that means another where one of some stands right before or behind it."""

    word: str
    means: str
    behind: tuple[str, ...] = Field(default=(), description="words that it stands behind")
    ahead: tuple[str, ...] = Field(default=(), description="words that it stands ahead of")
    never_ahead: tuple[str, ...] = Field(
        default=(), description="words ahead of which it keeps its own meaning"
    )


class Compounds(Entry):
    """How words of one piece are taken apart ("Nierenzyste": kidney, cyst)."""

    shortest: int = Field(default=4, ge=2, description="letters of the shortest part")
    parts: tuple[str, ...] = Field(
        default=(), description="parts beside the words of anatomies, findings and observations"
    )


class Spelling(Entry):
    """How words of a report become words of the vocabulary."""

    prefixes: tuple[str, ...]
    whole: tuple[str, ...]
    genitives: tuple[str, ...]
    plurals: dict[str, str]
    singular: tuple[str, ...]
    own_plurals: tuple[str, ...] = Field(description="plurals of another meaning than the singular")
    variants: dict[str, str]
    long_variants: dict[str, str]
    long_endings: dict[str, str]
    real_words: tuple[str, ...]
    folds: dict[str, str] = Field(
        default_factory=dict, description="letters that are written in two ways: \u00e4 as ae"
    )
    umlauts: dict[str, str] = Field(
        default_factory=dict,
        description="vowels that a plural changes, undone with its ending, as folded",
    )
    dotted: tuple[str, ...] = Field(
        default=(), description="abbreviations whose dot is a part of the word"
    )
    compounds: Compounds | None = Field(
        default=None, description="of languages that write several words as one; none: they do not"
    )
    short: dict[str, str] = Field(
        default_factory=dict, description="words as they are cut short in dictation, written out"
    )
    in_company: tuple[CompanyWord, ...] = Field(
        default=(), description="short words of several meanings, told by their neighbours"
    )


class SentenceWords(Entry):
    """Where a sentence ends, and where it does not."""

    abbreviations: tuple[str, ...]
    ending_abbreviations: tuple[str, ...]
    line_joins: tuple[str, ...]
    closing_abbreviations: tuple[str, ...] = Field(
        default=(), description='end their statement, so that any capital begins another ("o. B.")'
    )
    starters: tuple[str, ...] = Field(
        default=(),
        description="words with a capital that begin a sentence behind an abbreviation, of a "
        "language whose nouns have one; none: any does",
    )
    ordinal_nouns: tuple[str, ...] = Field(
        default=(), description='before which a number with a dot is an ordinal ("7. Rippe")'
    )
    affirming_answers: tuple[str, ...] = Field(
        default=(), description="of `answers` those that affirm"
    )
    answers: tuple[str, ...] = Field(description="what a field of a form is filled with")
    choices: tuple[str, ...] = Field(description="what a form lets choose beside answers")
    verdicts: tuple[str, ...] = Field(description="that all is well; unticked they say nothing")


class ClauseWords(Entry):
    """Function words of clauses."""

    articles: tuple[str, ...]
    of: tuple[str, ...]
    joints: tuple[str, ...]
    alternatives: tuple[str, ...]
    indefinite: tuple[str, ...]
    extensions: tuple[str, ...] = Field(
        default=(), description='tell that what stands before goes on: "extending into"'
    )
    relatives: tuple[str, ...]
    relative_pronouns: tuple[str, ...] = ()
    aftermath: tuple[str, ...] = Field(
        default=(), description='end what is denied: "no pneumothorax after biopsy of the mass"'
    )
    preambles: tuple[str, ...] = Field(
        default=(), description='first words of what a comma ends: "given the history of melanoma,"'
    )
    stand_ins: tuple[str, ...] = Field(
        default=(), description='stand for the finding before: "one on the left"'
    )
    purpose: tuple[str, ...] = Field(
        default=(), description='join what has an attribute to it, beside `of`: "no cause for"'
    )
    attributes: tuple[str, ...] = Field(
        default=(), description='uncertain of what is there: "the cause of the effusion is unclear"'
    )
    denying_answers: tuple[str, ...] = Field(
        default=(), description="those of `answers` of forms that deny"
    )
    participles: tuple[str, ...]
    denials: tuple[str, ...]
    organ_denials: tuple[str, ...]
    noun_denials: tuple[str, ...]
    distributives: tuple[str, ...]
    comparisons: tuple[str, ...]
    company: tuple[str, ...]
    supposed_company: tuple[str, ...]
    complements: tuple[str, ...] = Field(
        default=(), description='behind "the spleen was not seen", and it is there'
    )
    known: tuple[str, ...]
    before_known: tuple[str, ...]
    pronouns: tuple[str, ...] = Field(
        default=(), description="stand for what was told before the comma: it is no longer seen"
    )
    elisions: tuple[str, ...]
    now: tuple[str, ...] = ()
    today: tuple[str, ...] = ()
    company_links: tuple[str, ...] = Field(
        default=(), description="join what goes with a finding to it"
    )
    alongside: tuple[str, ...] = Field(
        default=(), description='next to what it goes with: "effusion with adjacent atelectasis"'
    )
    conclusions: tuple[str, ...] = Field(
        default=(), description='behind a comma, end a denial: "no nodule, suggesting hyperplasia"'
    )
    not_large: tuple[str, ...] = Field(
        default=(), description="behind an anatomy, only say that it is not large"
    )
    persistence: tuple[str, ...] = Field(
        default=(), description='changes that give way to others: "persists but is smaller"'
    )
    bounds: tuple[str, ...] = ()
    within: tuple[str, ...]
    beside: tuple[str, ...] = ()
    operations: tuple[str, ...]


class WordOrder(Entry):
    """Where words stand in a statement."""

    verb_last: bool = Field(
        default=False,
        description="whether verbs and denials stand at the end of a statement, behind its organs, "
        "and sides behind what they are told of",
    )


class PlaceWords(Entry):
    """Words of place."""

    words: tuple[str, ...]
    between_side_and_anatomy: tuple[str, ...]
    landmarks: tuple[str, ...] = Field(
        default=(), description='words before an organ that something lies beside: "adjacent to"'
    )
    distances: tuple[str, ...] = Field(
        default=(), description='the same behind a distance: "2 cm from the pleura"'
    )


class SizeWords(Entry):
    """Units, words that part a size from what follows, and those that tell earlier sizes."""

    mm: tuple[str, ...] = Field(min_length=1)
    cm: tuple[str, ...]
    stops: tuple[str, ...]
    of_organ: tuple[str, ...] = Field(
        default=(),
        description='behind a verdict, words for the size of the organ: "normal in size"',
    )
    respectively: tuple[str, ...] = Field(
        default=(), description="tell that two lists go together: 12 and 18 mm, right and left"
    )
    times: tuple[str, ...] = Field(description="stand between dimensions, beside x")
    prior: tuple[str, ...] = Field(description="stand before an earlier size")
    prior_links: tuple[str, ...] = Field(description="may stand between `prior` and the size")
    prior_behind: tuple[str, ...] = Field(description="stand behind an earlier size")
    prior_between: tuple[str, ...] = Field(
        default=(), description="may stand between a size and `prior_behind`"
    )
    ago: tuple[str, ...] = Field(
        default=(), description="end, behind a number and a unit of time, an earlier size"
    )
    dated: tuple[str, ...] = Field(default=(), description="stand before the date of a size")
    months: tuple[str, ...] = Field(default=(), description="names of months, in dates")
    past: tuple[str, ...] = Field(description="stand before an earlier size where `now` follows")
    now: tuple[str, ...] = Field(description="stand before the size of today")
    range_from: tuple[str, ...] = Field(description="begin a range of sizes")
    range_to: tuple[str, ...] = Field(description="stand within a range of sizes")
    distance: tuple[str, ...] = Field(
        default=(), description="stand behind a distance, which is no size"
    )
    below: tuple[str, ...] = Field(description="stand before a size that is not reached")
    changed: tuple[str, ...] = Field(description="make a growth of a range")


class TitleWords(Entry):
    """Words that tell a title from a sentence."""

    links: tuple[str, ...]
    never_last: tuple[str, ...]
    never_before_stop: tuple[str, ...]


class LanguageWords(Entry):
    """Words that tell this language from others, so that nothing is read by the wrong words."""

    own: tuple[str, ...] = Field(min_length=1, description="function words of this language")
    foreign: dict[str, tuple[str, ...]] = Field(description="words of others, by ISO 639-1 code")
    weak: tuple[str, ...] = Field(description="foreign words that names hold too")


class UnreadWords(Entry):
    """What tells texts that are no report of a CT."""

    no_report: tuple[str, ...] = Field(description="first words of what is no report")
    blank: tuple[str, ...] = Field(description="stand where nothing is told")
    other_examinations: tuple[str, ...] = Field(description="tell another examination")
    ours: tuple[str, ...] = Field(description="tell a CT")
    title_ends: tuple[str, ...] = Field(description="with which a title speaks of something else")
    no_title: tuple[str, ...] = Field(description="behind an examination that is no title")


class Grammar(Entry):
    """grammar.yaml."""

    spelling: Spelling
    sentences: SentenceWords
    clauses: ClauseWords
    order: WordOrder = WordOrder()
    places: PlaceWords
    sizes: SizeWords
    titles: TitleWords
    languages: LanguageWords
    unread: UnreadWords


class VersionWords(Entry):
    """versions.yaml: first words of reports that add to, correct or withdraw another one."""

    addendum: tuple[str, ...]
    corrected: tuple[str, ...]
    withdrawn: tuple[str, ...]


class ReferenceWords(Entry):
    """references.yaml: how a report names images; a language may lack the file."""

    series: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    bracketed_pairs: bool = False


class AnswerWords(Entry):
    """Answers to the questions of questions.yaml; {mm} in `size` is a number."""

    yes: str = ""
    no: str = ""
    possible: str = ""
    left: str = ""
    right: str = ""
    bilateral: str = ""
    new: str = ""
    larger: str = ""
    smaller: str = ""
    unchanged: str = ""
    resolved: str = ""
    size: str = ""


class QuestionWords(Entry):
    """questions.yaml: questions about a study; a language may lack the file."""

    present: str = ""
    side: str = ""
    size: str = ""
    change: str = ""
    normal: str = ""
    answers: AnswerWords = AnswerWords()


class RegionWords(Entry):
    """regions.yaml: names of regions and sentences about them; a language may lack the file."""

    normal: tuple[str, ...] = Field(default=(), description="a healthy one; {region} is its name")
    named: tuple[str, ...] = Field(default=(), description="which one it is; {region} is its name")
    lesions: tuple[str, ...] = Field(default=(), description="classes that are findings")
    names: dict[str, str] = Field(default={}, description="name by class of a label map")

    @field_validator("normal", "named")
    @classmethod
    def _name_the_region(cls, sentences: tuple[str, ...]) -> tuple[str, ...]:
        for sentence in sentences:
            if "{region}" not in sentence or "{" in sentence.replace("{region}", ""):
                raise ValueError(f"'{sentence}' needs {{region}} and no other brace")
        return sentences

    def name(self, region: str) -> str:
        """What a class or an anatomy is called; its own name where the file does not name it."""
        return self.names.get(region, region.replace("_", " "))

    def sentences(self, region: str, kind: Literal["normal", "named"]) -> tuple[str, ...]:
        """All sentences of a kind about a region, their first letters capital."""
        name = self.name(region)
        said = [one.format(region=name) for one in getattr(self, kind)]
        return tuple(one[:1].upper() + one[1:] for one in said)


class LobeWords(Entry):
    """How words of place name lobes."""

    listed: tuple[str, ...]
    joints: tuple[str, ...]
    nouns: tuple[str, ...]
    named: dict[str, tuple[str, ...]]


class PairingWords(Entry):
    """pairing.yaml."""

    normal: str = Field(description="sentence of a normal anatomy; {anatomy} is its name")
    organ_left: tuple[str, ...]
    kidney_elsewhere: tuple[str, ...]
    lobes: LobeWords


Month = Annotated[int, Field(ge=1, le=12)]


class SignatureWords(Entry):
    """What stands around the names of who read, wrote, signed or ordered."""

    deeds: tuple[str, ...] = Field(default=(), description='before "by", or a colon, and a name')
    works: tuple[str, ...] = Field(default=(), description='before "by" and a name')
    roles: tuple[str, ...] = Field(default=(), description="before a colon and a name, or after it")
    letters: tuple[str, ...] = Field(
        default=(), description='letters of the foot of a report ("D: NAME / T: NAME")'
    )
    by: tuple[str, ...] = Field(default=(), description="between a deed and a name")
    between: tuple[str, ...] = Field(
        default=(), description="beside dates and times, between a deed and its colon"
    )
    told: tuple[str, ...] = Field(default=(), description="before who was told of a finding")
    credentials: tuple[str, ...] = Field(default=(), description="behind a name, as written")
    no_names: tuple[str, ...] = Field(default=(), description="behind a colon, and no name")


class AuditWords(Entry):
    """What tells an address or a number of a person, for the audit of scrubbed texts."""

    streets: tuple[str, ...] = Field(default=(), description="words that end a street's name")
    streets_before_number: tuple[str, ...] = Field(
        default=(), description="end a street's name before its number, as they are written"
    )
    rooms: tuple[str, ...] = Field(default=(), description="before the number of a room or suite")
    boxes: tuple[str, ...] = Field(default=(), description="before the number of a post box")
    number_labels: tuple[str, ...] = Field(default=(), description="before someone's number")


class IdentityWords(Entry):
    """identities.yaml: words by which scrubbing finds names, dates and signatures."""

    months: dict[Month, tuple[str, str]] = Field(min_length=12, max_length=12)
    ordinals: tuple[str, ...]
    day_of_month: tuple[str, ...]
    common_words: tuple[str, ...]
    before_a_name: tuple[str, ...]
    titles: tuple[str, ...]
    further_titles: tuple[str, ...]
    particles: tuple[str, ...]
    titles_before_lower_case: tuple[str, ...]
    no_names: tuple[str, ...]
    signed_by: tuple[str, ...]
    signatures: SignatureWords = SignatureWords()
    audit: AuditWords = AuditWords()
    beginnings: tuple[tuple[str, ...], ...] = Field(
        default=(), description="how names begin, in spellings that are taken for each other"
    )
    name_suffixes: tuple[str, ...] = Field(default=(), description="behind names, and no part")
    after_a_name: tuple[str, ...] = Field(default=(), description="what only people have or do")
    names_that_are_words: tuple[str, ...] = Field(
        default=(), description="names that are words of the language too"
    )


class ClassSystem(Entry):
    """Whose class names a label map has."""

    like: str | None = Field(default=None, description="system whose class names it shares")
    names_are_anatomies: bool = Field(default=False, description="its class names are anatomy ids")


class ClassFile(Entry):
    """segmentation.yaml: anatomies of label maps, in order of precedence."""

    trained: tuple[str, ...] = Field(min_length=1, max_length=254)
    systems: dict[str, ClassSystem]
    anatomies: dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Files:
    """All files of one vocabulary; `content` is what they hold together, by file name."""

    anatomies: AnatomyFile
    findings: FindingFile
    cues: Cues
    sections: SectionFile
    lists: Mapping[str, tuple[str, ...]]
    grammar: Grammar
    versions: VersionWords
    pairing: PairingWords
    identities: IdentityWords
    references: ReferenceWords
    questions: QuestionWords
    regions: RegionWords
    classes: ClassFile
    label_sets: Mapping[str, Any]
    """`label_sets.LabelSet` by id; that module builds on this one."""
    content: Mapping[str, Any]
