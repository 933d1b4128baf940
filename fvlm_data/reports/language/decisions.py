"""How a mention's status was decided, and whether another reading was close."""

from __future__ import annotations

from typing import Literal, NamedTuple

Rule = Literal["stated", "cue", "no_change", "lasting", "size", "verdict", "model", "correction"]
"""What told the status: nothing in its way; a cue that reaches it; a denied change that names it
("no increase in wall thickness"); an organ that stays removed; the size of another mention; an
abnormality that no finding covers; a language model; a person."""

Doubt = Literal[
    "about_change",
    "contradicted",
    "far_cue",
    "idle_cue",
    "inherited_anatomy",
    "no_full_stop",
    "said_resolved",
    "several_cues",
    "shared_cue",
    "two_lines",
]
"""Why another reading was close; DOUBTS says it in words."""

DOUBTS: dict[Doubt, str] = {
    "about_change": "what is denied or held possible may be a change of it only",
    "contradicted": "the report says the opposite too",
    "far_cue": "many words lie between it and its cue",
    "idle_cue": "a denial or doubt in its sentence reaches nothing",
    "inherited_anatomy": "its anatomy is that of the sentence before",
    "no_full_stop": "statements of its sentence were told apart without any mark",
    "said_resolved": "it is said to be there and to be gone",
    "several_cues": "cues of two meanings reach it",
    "shared_cue": "its cue holds something else possible or past too",
    "two_lines": "its cue stands on another line",
}

Confidence = Literal["high", "medium", "low"]

_SERIOUS = frozenset(
    {"contradicted", "far_cue", "idle_cue", "said_resolved", "shared_cue", "two_lines"}
)
_MANY = 2


class Decision(NamedTuple):
    """What told a mention's status; `cue` are characters [start, end) of the report's text."""

    rule: Rule = "stated"
    cue: tuple[int, int] | None = None
    doubts: tuple[Doubt, ...] = ()

    @property
    def confidence(self) -> Confidence:
        """High without a doubt, low with a serious one or several, else medium."""
        if not self.doubts:
            return "high"
        low = len(self.doubts) >= _MANY or not _SERIOUS.isdisjoint(self.doubts)
        return "low" if low else "medium"


STATED = Decision()
MODEL = Decision("model")
CORRECTED = Decision("correction")
