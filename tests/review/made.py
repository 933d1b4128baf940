"""Decisions made by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fvlm_data.reports.corrections.reviewed import check_correction
from fvlm_data.review.decisions import Entry, decision_of, take_in
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from schemas import Decision

ONE = "1" * 64
EN = Vocabulary.load()


def entry(kind: str, subject: str, verdict: str = "wrong", **told: Any) -> Entry:
    return Entry.model_validate({"kind": kind, "subject": subject, "verdict": verdict, **told})


def decision(
    kind: str, subject: str, verdict: str, reviewer: str, time: int = 0, version: str = ONE
) -> Decision:
    told = {"reviewer": reviewer, "decided_at": f"2026-11-30T12:00:{time:02}Z"}
    return decision_of(entry(kind, subject, verdict, **told), version, None)


def taken(context: Context, *entries: Entry, reviewer: str | None = "reader") -> Counter[str]:
    return take_in(
        context, entries, EN, lambda subject, told: check_correction(subject, told, EN), reviewer
    )
