"""Decisions as JSON, and as rows of the store."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fvlm_data.errors import InputError
from fvlm_data.hashing import content_key
from fvlm_data.review.subjects import Subject, subject_of
from fvlm_data.review.versions import versions_of
from schemas import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

    Check = Callable[[Subject, Any], None]
    """Refuses (InputError) a correction that cannot be of a subject."""

FORM = "fvlm-review 1"
TABLE = "decisions"
ID_DIGITS = 20
_ROLE = r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"
_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"
MAX_REASON = 60


class Entry(BaseModel):
    """One decision of a file; without a verdict it is still open, and passed over.

    `why` is what the queue told of it, for whoever decides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    subject: str
    verdict: Literal["right", "wrong"] | None = None
    reason: str = ""
    correction: dict[str, Any] | None = None
    reviewer: Annotated[str, Field(pattern=_ROLE)] | None = None
    decided_at: Annotated[str, Field(pattern=_TIME)] | None = None
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    why: tuple[str, ...] = ()


class DecisionFile(BaseModel):
    """A file of decisions, as the pages save it and `review export` writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: Literal["fvlm-review 1"]
    decisions: tuple[Entry, ...]


def entry_of(
    kind: str, subject: str, verdict: str, reason: str, correction: str | None, reviewer: str
) -> Entry:
    """One decision as a person types it; `correction` is JSON.

    Raises:
        InputError: a value is of another form.
    """
    try:
        told = json.loads(correction) if correction is not None else None
        return Entry.model_validate(
            {
                "kind": kind,
                "subject": subject,
                "verdict": verdict,
                "reason": reason,
                "correction": told,
                "reviewer": reviewer,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"decision on {kind} {subject}: {place}: {first['msg']}") from None
    except ValueError as error:
        raise InputError(f"decision on {kind} {subject}: correction: no JSON ({error})") from None


def read_file(path: Path) -> list[Entry]:
    """The entries of a file.

    Raises:
        InputError: it cannot be read or is of another form; the message names the place, and no
            value of it.
    """
    try:
        return list(DecisionFile.model_validate_json(path.read_bytes()).decisions)
    except OSError as error:
        raise InputError(
            f"decisions {path}: cannot be read ({type(error).__name__}); expected JSON that a "
            "page of a study or `review export` saved"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"decisions {path}: of another form at {place or 'its beginning'} ({first['msg']}); "
            f"expected form {FORM!r} and decisions (docs/review.md)"
        ) from None


def write_file(path: Path, decisions: Iterable[Decision]) -> int:
    """Write decisions in a fixed order; returns their number.

    Raises:
        InputError: the file cannot be written.
    """
    entries = [_entry(one) for one in sorted(decisions, key=_order)]
    try:
        path.write_text(file_text(entries), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"decisions {path}: cannot be written ({type(error).__name__}); name another file"
        ) from error
    return len(entries)


def file_text(entries: Iterable[Entry]) -> str:
    """The text of a file of decisions, which are left out where they say nothing."""
    plain = [one.model_dump(mode="json", exclude_defaults=True) for one in entries]
    return json.dumps({"form": FORM, "decisions": plain}, indent=1) + "\n"


def read_decisions(context: Context) -> list[Decision]:
    """All decisions of a store, oldest first.

    Raises:
        StoreError: the table cannot be read.
    """
    rows = context.store.read(TABLE).to_pylist()
    return sorted((Decision(**row) for row in rows), key=_order)


def decision_of(entry: Entry, version: str, study_id: str | None) -> Decision:
    """An entry that has all but a version as a row; `study_id` is that of a mask's volume.

    Raises:
        InputError: verdict, reviewer or time is missing, or the reason is no plain code.
    """
    subject = subject_of(entry.kind, entry.subject)
    if entry.verdict is None or entry.reviewer is None or entry.decided_at is None:
        raise InputError(
            f"decision on {entry.kind} {entry.subject}: verdict, reviewer or decided_at is missing"
        )
    made = Decision(
        decision_id="",
        kind=subject.kind,
        subject=subject.text,
        study_id=subject.part("study_id") or study_id,
        volume_id=subject.part("volume_id"),
        report_id=subject.part("report_id"),
        other_study_id=subject.part("other_study_id"),
        verdict=entry.verdict,
        reason=plain_reason(entry.reason),
        correction=json.dumps(entry.correction, sort_keys=True) if entry.correction else None,
        reviewer=entry.reviewer,
        decided_at=entry.decided_at,
        version=version,
    )
    said = _entry(made).model_dump(mode="json")
    return replace(made, decision_id=content_key(said)[:ID_DIGITS])


def plain_reason(text: str) -> str:
    """A reason as a code: lower case, one underscore for whatever is no letter or digit.

    Raises:
        InputError: it is too long to be one.
    """
    code = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if len(code) > MAX_REASON:
        raise InputError(
            f"reason of {len(code)} characters found, expected a few words, up to {MAX_REASON} "
            "characters and no identity"
        )
    return code


def take_in(
    context: Context,
    entries: Sequence[Entry],
    vocabulary: Vocabulary,
    check: Check,
    reviewer: str | None = None,
    *,
    dry_run: bool = False,
) -> Counter[str]:
    """Add decisions to the store; nothing derived is changed. Returns what became of each.

    With `dry_run` it is told what would become of them, and nothing is added.

    `taken`, of which `stale` are on another version than the store's; `known`: the store has them;
    `open`: without a verdict; `not_here`: on nothing that the store holds; `forgotten`: on a
    patient or study that was forgotten. What names no reviewer is by `reviewer`; what names
    no version is on the present one, what names no time is of now.

    Raises:
        InputError: an entry is of no use; nothing is taken in.
        StoreError: the store cannot be read or written.
    """
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    counts: Counter[str] = Counter()
    told = [one for one in entries if one.verdict is not None]
    counts["open"] = len(entries) - len(told)
    subjects = [subject_of(one.kind, one.subject) for one in told]
    versions = versions_of(context, set(subjects), vocabulary)
    studies = _studies_of_volumes(context, subjects)
    gone = context.vault.forgotten({part for one in subjects for part in one.parts})
    made: dict[str, Decision] = {}
    for entry, subject in zip(told, subjects, strict=True):
        if entry.correction is not None:
            check(subject, entry.correction)
        if not gone.keys().isdisjoint(subject.parts):
            counts["forgotten"] += 1
            continue
        current = versions.get(subject)
        version = entry.version or current
        if subject not in versions or version is None:
            counts["not_here"] += 1
            continue
        full = entry.model_copy(
            update={
                "reviewer": entry.reviewer or reviewer,
                "decided_at": entry.decided_at or now,
            }
        )
        row = decision_of(full, version, studies.get(subject.part("volume_id") or ""))
        made[row.decision_id] = row
        counts["stale"] += current is not None and version != current
    known = context.store.read_items(TABLE, "decision_id", made, ["decision_id"])
    new = made.keys() - {row["decision_id"] for row in known}
    counts["known"] = len(made) - len(new)
    counts["taken"] = len(new)
    if new and not dry_run:
        context.store.replace(TABLE, new, [made[one] for one in sorted(new)])
    return +counts


def _studies_of_volumes(context: Context, subjects: Iterable[Subject]) -> dict[str, str]:
    volumes = {volume for one in subjects if (volume := one.part("volume_id")) is not None}
    rows = context.store.read_items("volumes", "volume_id", volumes, ["volume_id", "study_id"])
    return {row["volume_id"]: row["study_id"] for row in rows}


def _entry(one: Decision) -> Entry:
    return Entry(
        kind=one.kind,
        subject=one.subject,
        verdict="wrong" if one.verdict == "wrong" else "right",
        reason=one.reason,
        correction=json.loads(one.correction) if one.correction else None,
        reviewer=one.reviewer,
        decided_at=one.decided_at,
        version=one.version,
    )


def _order(one: Decision) -> tuple[str, str]:
    return one.decided_at, one.decision_id
