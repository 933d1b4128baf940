"""What the files about names, versions, references, questions and texts of pairs hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fvlm_data.vocabulary.entry import Entry


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
DayOfMonth = Annotated[int, Field(ge=1, le=31)]


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


class YearWords(Entry):
    """What years in words are made of: "nineteen sixty-one", "neunzehnhunderteinundsechzig"."""

    begins: tuple[str, ...] = Field(default=(), description="what says the century")
    goes_on: tuple[str, ...] = Field(default=(), description="what may follow, joined or apart")
    before: tuple[str, ...] = Field(default=(), description="between month and year")
    articles: tuple[str, ...] = Field(default=(), description="between month and day")


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
    relatives: tuple[str, ...] = Field(
        default=(), description="behind them stands a relative's name, if it has a capital"
    )
    relatives_no_names: tuple[str, ...] = Field(
        default=(), description="words with a capital that are no names of relatives there"
    )
    eponyms: tuple[str, ...] = Field(
        default=(),
        description="names that medicine calls something after: a patient's name that is spelt "
        "almost so is not meant",
    )
    words_of_medicine: tuple[str, ...] = Field(
        default=(), description="words of reports that stand in no other file of the vocabulary"
    )
    days_in_words: dict[DayOfMonth, tuple[str, ...]] = Field(
        default={}, description="a day of the month in words: as ordinals, as a number"
    )
    years_in_words: YearWords = Field(default_factory=lambda: YearWords())
    names_that_are_words: tuple[str, ...] = Field(
        default=(), description="names that are words of the language too"
    )
