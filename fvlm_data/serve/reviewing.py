"""Decisions that a page posts: the same rows as `fvlm-data review import` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fvlm_data.errors import InputError
from fvlm_data.reports.corrections.reviewed import check_correction
from fvlm_data.review.decisions import DecisionFile, take_in
from fvlm_data.run.records import new_run_id
from fvlm_data.store.leases import at_work

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

LARGEST = 1_000_000
"""Bytes of a post."""

TOLD = {
    "known": "were there already",
    "open": "without a verdict",
    "stale": "on another version than the store's: they change nothing",
    "not_here": "on nothing that the store holds: not taken",
    "forgotten": "on a patient or study that was forgotten: not taken",
}


def taken(context: Context, vocabulary: Vocabulary, body: bytes) -> str:
    """Take decisions in; what became of them, as a sentence.

    Raises:
        InputError: they are of another form, or one is of no use; nothing is taken in.
        StoreError: the store cannot be written, or a command that must be alone is at work.
    """
    try:
        entries = DecisionFile.model_validate_json(body).decisions
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "its beginning"
        raise InputError(f"decisions: of another form at {place} ({first['msg']})") from None
    if any(one.reviewer is None for one in entries if one.verdict is not None):
        raise InputError("decisions: reviewer is missing; name your role")

    def check(subject: Any, correction: Any) -> None:
        check_correction(subject, correction, vocabulary)

    with at_work(context.store, new_run_id()):
        counts = take_in(context, entries, vocabulary, check)
    more = [f"{counts[name]} {what}" for name, what in TOLD.items() if counts[name]]
    return "; ".join([f"{counts['taken']} decisions taken in", *more])
