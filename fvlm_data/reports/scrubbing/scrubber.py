"""A report scrubbed by all that is known of its patients, with what is to be told of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fvlm_data.reports.scrubbing.scrub import scrub

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.vocabulary import Vocabulary

NEEDS_REVIEW = "needs_review_of_names"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A scrubbed text; `counts` of patients and names known, and of words left in doubt.

    A report that is `held` needs a person to look at the words in doubt.
    """

    text: str
    counts: Mapping[str, int]
    held: bool


@dataclass(frozen=True, slots=True)
class Scrubber:
    """How reports are scrubbed; `doubtful` as in `parse.doubtful_names`."""

    vocabulary: Vocabulary
    doubtful: Literal["keep", "remove", "hold"]

    def cleaned(self, original: Original, known: Mapping[str, Sequence[str]]) -> Cleaned:
        """The report without what its file tells and what is `known`, by patient or link."""
        names = {name for of_one in known.values() for name in of_one} | {*original.identities}
        remove = self.doubtful == "remove"
        scrubbed = scrub(original.text, names, self.vocabulary, remove_doubtful=remove)
        left = len(scrubbed.doubtful)
        held = self.doubtful == "hold" and left > 0
        counts = {"patients_known": len(known), "names_known": len(names), "doubtful_names": left}
        return Cleaned(scrubbed.text, {**counts, NEEDS_REVIEW: left} if held else counts, held)
