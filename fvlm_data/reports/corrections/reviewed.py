"""What review holds to be wrong of reports, as corrections of their reading."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fvlm_data.errors import InputError
from fvlm_data.reports.review.gold import GoldFinding, GoldSentence, unknown_name
from fvlm_data.review.subjects import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

TEXT_KINDS = ("sentence", "finding")


def reviewed_sentences(context: Context) -> dict[tuple[str, str], list[GoldSentence]]:
    """Corrections by review, by report and hash of the text that they are of.

    Raises:
        StoreError: table `review_effects` cannot be read.
    """
    if not context.store.count("review_effects"):
        return {}
    wanted = [("kind", "in", list(TEXT_KINDS))]
    found: dict[tuple[str, str], list[GoldSentence]] = defaultdict(list)
    for row in context.store.read("review_effects", None, wanted).to_pylist():
        told = json.loads(row["correction"]) if row["correction"] else None
        sentence = as_sentence(subject_of(row["kind"], row["subject"]), told)
        found[row["report_id"], row["version"]].append(sentence)
    return {of: sorted(some, key=lambda one: (one.start, one.end)) for of, some in found.items()}


def as_sentence(subject: Subject, correction: Mapping[str, Any] | None) -> GoldSentence:
    """What is right in place of a sentence or finding that is wrong.

    A sentence without a correction tells nothing of any anatomy; a finding without one is not
    told. What a correction of a finding does not say is as it was read.

    Raises:
        ValidationError: the correction is of another form.
    """
    start, end = subject.span
    if subject.kind == "sentence":
        nothing: dict[str, Any] = {"anatomies": (), "normal": (), "findings": ()}
        told = nothing if correction is None else dict(correction)
        return GoldSentence.model_validate({**told, "start": start, "end": end})
    read = {name: subject.part(name) for name in ("finding", "anatomy", "status")}
    wrong = GoldFinding.model_validate({**read, "start": start, "end": end})
    right = [] if correction is None else [{"start": start, "end": end, **read, **correction}]
    return GoldSentence.model_validate(
        {"start": start, "end": end, "wrong": [wrong], "findings": right}
    )


def check_correction(subject: Subject, correction: Any, vocabulary: Vocabulary) -> None:
    """Refuse what cannot be the correction of a subject.

    Raises:
        InputError: it is of another form or names what the vocabulary has not, or a subject of
            this kind takes none.
    """
    if subject.kind not in TEXT_KINDS:
        raise InputError(
            f"decision on {subject.kind} {subject.text}: a correction found; expected none, as "
            "only sentences and findings take one"
        )
    try:
        sentence = as_sentence(subject, correction)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        unknown: str | None = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        unknown = unknown_name([sentence], vocabulary)
    if unknown is not None:
        raise InputError(
            f"decision on {subject.kind} {subject.text}: its correction is of another form; "
            f"{unknown}"
        )


def beside(told: Sequence[GoldSentence], reviewed: Iterable[GoldSentence]) -> list[GoldSentence]:
    """Sentences of a file, and those of review that overlap none: of two the file's holds.

    Of two whole sentences of review that overlap the longer holds. What is said of single findings
    is kept throughout: it concerns only sentences that nobody has told as a whole.
    """
    whole = list(told)
    edits = []
    for one in sorted(reviewed, key=lambda one: one.start - one.end):
        if one.wrong:
            edits.append(one)
        elif all(one.end <= other.start or other.end <= one.start for other in whole):
            whole.append(one)
    return [*whole, *edits]
