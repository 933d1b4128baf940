"""A report scrubbed by all that is known of its patients, and the words left in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fvlm_data.reports.scrubbing.scrub import scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.vocabulary import Vocabulary

NEEDS_REVIEW = "needs_review_of_names"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A scrubbed text, and what is to be counted of it: nothing, but where words are in doubt.

    A report that is `held` needs a person to look at them.
    """

    text: str
    counts: Mapping[str, int]
    held: bool


@dataclass(frozen=True, slots=True)
class Scrubber:
    """How reports are scrubbed; `doubtful` as in `parse.doubtful_names`."""

    vocabulary: Vocabulary
    doubtful: Literal["keep", "remove", "hold"]

    def cleaned(self, original: Original, known: Iterable[str]) -> Cleaned:
        """The report without what its file tells and what is `known` of its patients."""
        names = {*known, *original.identities}
        remove = self.doubtful == "remove"
        scrubbed = scrub(original.text, names, self.vocabulary, remove_doubtful=remove)
        left = len(scrubbed.doubtful)
        if not left:
            return Cleaned(scrubbed.text, {}, held=False)
        held = self.doubtful == "hold"
        counts = {"doubtful_names": left, **({NEEDS_REVIEW: left} if held else {})}
        return Cleaned(scrubbed.text, counts, held)
