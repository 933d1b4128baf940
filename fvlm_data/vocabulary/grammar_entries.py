"""What grammar.yaml holds: how words are spelt and joined, where statements end."""

from __future__ import annotations

from pydantic import Field

from fvlm_data.vocabulary.entry import Entry


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
    signs: tuple[str, ...] = Field(
        default=(), description='before what they tell of: "findings suggestive of pneumonia"'
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
    causes: tuple[str, ...] = Field(
        default=(), description='join what a finding comes from to it: "secondary to a stone"'
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
    extents: tuple[str, ...] = Field(
        default=(), description="stand, behind a size, before the length along which it holds"
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
