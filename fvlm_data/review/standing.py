"""Which decisions hold, and what they change: table `review_effects`, derived from `decisions`."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fvlm_data.review.decisions import read_decisions
from fvlm_data.review.subjects import Subject, subject_of
from fvlm_data.review.versions import versions_of
from fvlm_data.store.queries import open_tables, with_readable_tables
from schemas import ReviewEffect

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary
    from schemas import Decision

TABLE = "review_effects"


@dataclass(frozen=True, slots=True)
class Standing:
    """Applied decisions by what became of them.

    `holds` say that something is wrong, and change it; `right` say the contrary and nothing is to
    be changed. `stale` are on another version than there is now; `disputed` on what the reviewers
    say different things of, so that neither changes it. `replaced` ones have a later one of the
    same reviewer.
    """

    holds: Sequence[Decision]
    right: Sequence[Decision]
    stale: Sequence[Decision]
    disputed: Sequence[Decision]
    replaced: Sequence[Decision]

    def counts(self) -> dict[str, int]:
        """Numbers by state, of those that there are."""
        told = {name: len(getattr(self, name)) for name in self.__slots__}
        return {name: number for name, number in told.items() if number}


def standing(decisions: Iterable[Decision], versions: Mapping[Subject, str | None]) -> Standing:
    """Sort applied decisions, oldest first, by what became of them.

    `versions` are those of now (`versions_of`): a subject that is not among them is no longer
    there; one whose version is None is not read yet, and what was said of it holds until then.
    """
    last: dict[tuple[Subject, str], Decision] = {}
    replaced, stale = [], []
    for one in decisions:
        if one.applied:
            name = (subject_of(one.kind, one.subject), one.reviewer)
            if name in last:
                replaced.append(last[name])
            last[name] = one
    said: dict[Subject, list[Decision]] = defaultdict(list)
    for (subject, _), one in last.items():
        if subject in versions and versions[subject] in (None, one.version):
            said[subject].append(one)
        else:
            stale.append(one)
    holds: list[Decision] = []
    right: list[Decision] = []
    disputed: list[Decision] = []
    for some in said.values():
        verdicts = {one.verdict for one in some}
        # of a report that is not read, two versions may be spoken of
        split = len(verdicts) > 1 or len({one.version for one in some}) > 1
        (disputed if split else holds if "wrong" in verdicts else right).extend(some)
    return Standing(holds, right, stale, disputed, replaced)


def effects_of(holding: Iterable[Decision]) -> dict[str, ReviewEffect]:
    """What decisions that hold change, by subject."""
    by_subject: dict[str, list[Decision]] = defaultdict(list)
    for one in sorted(holding, key=lambda one: (one.decided_at, one.decision_id)):
        by_subject[one.subject].append(one)
    return {subject: _effect(some) for subject, some in by_subject.items()}


def _effect(some: Sequence[Decision]) -> ReviewEffect:
    last = some[-1]
    told = [one.correction for one in some if one.correction is not None]
    subject = subject_of(last.kind, last.subject)
    return ReviewEffect(
        subject=last.subject,
        kind=last.kind,
        study_id=last.study_id,
        volume_id=last.volume_id,
        report_id=last.report_id,
        other_study_id=last.other_study_id,
        anatomy=subject.part("anatomy"),
        version=last.version,
        reason=last.reason,
        correction=told[-1] if told else None,
        decisions=tuple(sorted(one.decision_id for one in some)),
    )


def judged_now(context: Context, vocabulary: Vocabulary, *, mend: bool = False) -> Standing:
    """Applied decisions as they stand with what the store holds now.

    Raises:
        StoreError: a table cannot be read.
    """
    return _judged(context, vocabulary, read_decisions(context), mend=mend)


def _judged(
    context: Context, vocabulary: Vocabulary, decisions: Iterable[Decision], *, mend: bool = False
) -> Standing:
    applied = [one for one in decisions if one.applied]
    subjects = {subject_of(one.kind, one.subject) for one in applied}
    return standing(applied, versions_of(context, subjects, vocabulary, mend=mend))


def derive_effects(context: Context, vocabulary: Vocabulary) -> Counter[str]:
    """Have table `review_effects` hold what applied decisions change now, and nothing else.

    Called before the stages that read it are planned. Returns counts of decisions by state; writes
    only what differs.

    Raises:
        StoreError: a table cannot be read or written.
    """
    store = context.store
    if not store.count("decisions") and not store.count(TABLE):
        return Counter()
    found = judged_now(context, vocabulary, mend=True)
    wanted = effects_of(found.holds)
    before, doubled = _there(context)
    changed = {one for one, row in wanted.items() if before.get(one) != row or one in doubled}
    gone = before.keys() - wanted.keys()
    if changed or gone:
        store.replace(TABLE, [*changed, *gone], [wanted[one] for one in sorted(changed)])
    return Counter(found.counts())


def _there(context: Context) -> tuple[dict[str, ReviewEffect], set[str]]:
    """Rows of the table by subject, and the subjects that have two."""

    def work() -> list[ReviewEffect]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, [TABLE])
            rows = connection.sql(f"SELECT * FROM {TABLE}").to_arrow_table().to_pylist()
        finally:
            connection.close()
        return [ReviewEffect(**{**row, "decisions": tuple(row["decisions"])}) for row in rows]

    rows = with_readable_tables(context, [TABLE], work, mend=True)
    times = Counter(row.subject for row in rows)
    return {row.subject: row for row in rows}, {one for one, told in times.items() if told > 1}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which decisions are meant: all, or those of a kind, of a reviewer, on some subjects."""

    kind: str | None = None
    reviewer: str | None = None
    subjects: Collection[str] = ()

    def has(self, one: Decision) -> bool:
        """Whether a decision is meant."""
        return (
            self.kind in (None, one.kind)
            and self.reviewer in (None, one.reviewer)
            and (not self.subjects or one.subject in self.subjects)
        )


def set_applied(
    context: Context,
    vocabulary: Vocabulary,
    chosen: Chosen,
    *,
    applied: bool,
    dry_run: bool = False,
) -> tuple[int, Standing]:
    """Apply the chosen decisions, or take them back; the next run remakes what rests on them.

    Returns how many were changed, and how all applied ones stand now. With `dry_run` nothing is
    changed, and it is told how they would stand.

    Raises:
        StoreError: a table cannot be read or written.
    """
    told = read_decisions(context)
    meant = [one for one in told if chosen.has(one) and one.applied != applied]
    changed = [replace(one, applied=applied) for one in meant]
    if dry_run:
        after = {one.decision_id: one for one in changed}
        would = [after.get(one.decision_id, one) for one in told]
        return len(changed), _judged(context, vocabulary, would)
    if changed:
        context.store.replace("decisions", [one.decision_id for one in changed], changed)
    derive_effects(context, vocabulary)
    return len(changed), judged_now(context, vocabulary)
