"""`fvlm-data review`: what to look at, what people say of it, and what that changes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvlm_data.cli.console import err, machine, one_sentence, out, print_json
from fvlm_data.cli.dry import DryRunOption, Intent, print_file_intent, print_intent
from fvlm_data.cli.examples import REVIEW
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context, resolved_config
from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from fvlm_data.review.by_flags import Named
    from fvlm_data.review.decisions import Entry
    from fvlm_data.review.standing import Standing
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

review = typer.Typer(
    help="Look at what is doubted, say whether it is right, and apply that, or take it back.",
    no_args_is_help=True,
)

KindOption = Annotated[
    str | None, typer.Option("--kind", help="study, mask, sentence, finding or pair; default: all")
]
ByOption = Annotated[
    str | None, typer.Option("--reviewer", help="decisions of this role; default: of all")
]
SubjectsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SUBJECT]...", help="as queue and export print it; none: all"),
]


@review.command("queue")
def queue(
    store: StoreOption,
    limit: Annotated[int, typer.Option(min=1, help="things listed")] = 50,
    doubtful: Annotated[
        Path | None, typer.Option(help="rows of fvlm-eval doubtful: what a model doubts")
    ] = None,
    kind: KindOption = None,
    reviewer: Annotated[
        str | None, typer.Option(help="leave out what this role has judged; default: what anybody")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what is doubted most, and why, less what is judged.

    With --json it is a file that `review import` takes once it is filled in.
    """
    from fvlm_data.review.decisions import file_text
    from fvlm_data.review.queue import doubts

    with one_sentence():
        context, vocabulary = _opened(store)
        found = doubts(context, vocabulary, limit, doubtful, _known_kind(kind), reviewer)
        if as_json:
            machine.print(file_text([one.entry for one in found]), markup=False, end="")
            return
        for one in found:
            subject = one.subject
            out.print(f"{subject.kind:8} {subject.text}: {'; '.join(one.why)}", markup=False)
        if not found:
            out.print("nothing is doubted that is not judged", markup=False)


@review.command("list")
def list_(
    study: Annotated[str, typer.Argument(help="id of a study")],
    store: StoreOption,
    kind: KindOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what of a study can be judged, doubted or not, and how its reports are read.

    With --json it is a file that `review import` takes once it is filled in.
    """
    from fvlm_data.qc.judged import judged, judged_texts
    from fvlm_data.qc.study_rows import read_studies
    from fvlm_data.review.decisions import Entry, file_text

    with one_sentence():
        context, vocabulary = _opened(store)
        (rows,) = read_studies(context.store, [study])
        if not rows.volumes:
            raise InputError(f"{study}: no study with a volume in store {context.store.url}")
        _known_kind(kind)
        some = [*judged(rows, vocabulary), *judged_texts(rows)]
        some = [one for one in some if kind in (None, one.kind)]
        if as_json:
            entries = [
                Entry(kind=one.kind, subject=one.subject, version=one.version, why=(one.label,))
                for one in some
            ]
            machine.print(file_text(entries), markup=False, end="")
            return
        for one in some:
            section = f" [{one.read['section']}]" if one.kind == "sentence" else ""
            out.print(f"{one.kind:8} {one.subject}{section}: {one.label}", markup=False)


@review.command("mark")
def mark(
    kind: Annotated[str, typer.Argument(help="study, mask, sentence, finding or pair")],
    subject: Annotated[str, typer.Argument(help="as queue prints it")],
    verdict: Annotated[str, typer.Argument(help="right or wrong")],
    store: StoreOption,
    reviewer: Annotated[str, typer.Option(help="who says it, by role; never a name")],
    reason: Annotated[str, typer.Option(help="a few words, without identities")] = "",
    finding: Annotated[
        str | None, typer.Option(help="of a finding: what it is instead (liver_cyst)")
    ] = None,
    anatomy: Annotated[
        list[str] | None,
        typer.Option(help="of a finding: where it is instead; of a sentence: all it is about"),
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="of a finding: present, absent, uncertain, historical, ...")
    ] = None,
    side: Annotated[
        str | None, typer.Option(help="of a finding: left, right, bilateral or none")
    ] = None,
    section: Annotated[
        str | None,
        typer.Option(help="of a sentence: findings, impression, clinical_information, ..."),
    ] = None,
    correction: Annotated[
        str | None, typer.Option(help="JSON of what is right instead, where these do not tell it")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say of one thing that it is right or wrong, and of a finding or sentence what is right."""
    from fvlm_data.review.by_flags import Named

    named = Named(
        finding=finding, anatomies=tuple(anatomy or ()), status=status, side=side, section=section
    )
    with one_sentence():
        entry = _marked(store, kind, subject, verdict, reason, correction, reviewer, named)
        counts = _taken(store, [entry], reviewer, dry_run=dry_run)
        if counts["not_here"]:
            raise InputError(f"{kind} {subject}: not in the store; `review queue` prints subjects")
        _print_taken(counts, dry_run=dry_run, as_json=as_json)


def _marked(
    store: str,
    kind: str,
    subject: str,
    verdict: str,
    reason: str,
    correction: str | None,
    reviewer: str,
    named: Named,
) -> Entry:
    from fvlm_data.review.by_flags import correction_by
    from fvlm_data.review.decisions import entry_of
    from fvlm_data.review.subjects import subject_of

    entry = entry_of(kind, subject, verdict, reason, correction, reviewer)
    if verdict == "right" and (named.any() or correction is not None):
        raise InputError(f"{kind} {subject}: what is right takes no correction; say `wrong`")
    if not named.any():
        return entry
    if correction is not None:
        raise InputError(f"{kind} {subject}: --correction tells all; leave the other flags out")
    context, vocabulary = _opened(store)
    told = correction_by(context, subject_of(kind, subject), named, vocabulary)
    return entry.model_copy(update={"correction": told})


@review.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.json", help="saved by a page, `export` or `queue`")
    ],
    store: StoreOption,
    reviewer: Annotated[
        str | None, typer.Option(help="who says it, by role, where the file does not")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take decisions in; nothing changes until they are applied."""
    from fvlm_data.review.decisions import read_file

    with one_sentence():
        counts = _taken(store, read_file(file), reviewer, dry_run=dry_run)
        _print_taken(counts, dry_run=dry_run, as_json=as_json)


@review.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="where they are written")],
    store: StoreOption,
    kind: KindOption = None,
    reviewer: ByOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write decisions as JSON, which `import` takes."""
    from fvlm_data.review.decisions import read_decisions, write_file
    from fvlm_data.review.standing import Chosen

    with one_sentence():
        chosen = Chosen(_known_kind(kind), reviewer)
        told = [one for one in read_decisions(opened_context(store)) if chosen.has(one)]
        if dry_run:
            print_file_intent(file, f"{len(told)} decisions", as_json=as_json)
            return
        written = write_file(file, told)
        if as_json:
            print_json({"decisions": written, "file": str(file)})
            return
        out.print(f"{written} decisions in {file}", markup=False)


@review.command("agreement")
def agreement(store: StoreOption, as_json: JsonOption = False) -> None:
    """Tell how far each two reviewers agree, by kind: counts and Cohen's kappa."""
    from fvlm_data.review.agreement import agreements
    from fvlm_data.review.decisions import read_decisions

    with one_sentence():
        found = agreements(read_decisions(opened_context(store)))
        if as_json:
            print_json([dataclasses.asdict(one) for one in found])
            return
        for one in found:
            told = "-" if one.kappa is None else f"{one.kappa:.2f}"
            out.print(
                f"{one.first} and {one.second}, {one.kind}: kappa {told} over {one.judged} "
                f"(both right {one.both_right}, both wrong {one.both_wrong}, right and wrong "
                f"{one.right_wrong}, wrong and right {one.wrong_right})",
                markup=False,
            )
        if not found:
            out.print("no two reviewers have judged the same version of a thing", markup=False)


@review.command("apply")
def apply(
    store: StoreOption,
    subjects: SubjectsArgument = None,
    kind: KindOption = None,
    reviewer: ByOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have decisions change what the next run derives; --reviewer settles what is disputed."""
    _apply(store, subjects, kind, reviewer, applied=True, dry_run=dry_run, as_json=as_json)


@review.command("undo")
def undo(
    store: StoreOption,
    subjects: SubjectsArgument = None,
    kind: KindOption = None,
    reviewer: ByOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take applied decisions back; they stay, and the next run derives all as before."""
    _apply(store, subjects, kind, reviewer, applied=False, dry_run=dry_run, as_json=as_json)


def _apply(
    store: str,
    subjects: list[str] | None,
    kind: str | None,
    reviewer: str | None,
    *,
    applied: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from fvlm_data.review.standing import Chosen, set_applied

    with one_sentence():
        context, vocabulary = _opened(store)
        chosen = Chosen(_known_kind(kind), reviewer, frozenset(subjects or ()))
        with _writing(context, dry_run=dry_run):
            changed, told = set_applied(
                context, vocabulary, chosen, applied=applied, dry_run=dry_run
            )
        if dry_run:
            verb = "applied" if applied else "taken back"
            notes = [f"then {told_line}" for told_line in _standing_lines(told)]
            makes = {f"decisions {verb}": changed}
            print_intent(Intent(makes=makes, notes=notes), as_json=as_json)
            return
        if as_json:
            print_json({"changed": changed, **told.counts()})
            return
        out.print(f"{changed} decisions {'applied' if applied else 'taken back'}", markup=False)
        for line in _standing_lines(told):
            out.print(line, markup=False)
        if changed:
            out.print(f"the next run remakes what rests on them (store {store})", markup=False)


def _standing_lines(told: Standing) -> Iterator[str]:
    kinds = Counter(one.kind for one in told.holds)
    listed = ", ".join(f"{number} on {kind}" for kind, number in sorted(kinds.items()))
    yield f"in effect: {listed or 'none'}"
    for name, some, what in (
        ("stale", told.stale, "what was judged has changed or gone: judge it again"),
        ("disputed", told.disputed, "reviewers differ: undo, then apply one role's --reviewer"),
    ):
        if some:
            subjects = ", ".join(sorted({one.subject for one in some})[:3])
            yield f"{name}: {len(some)} ({what}): {subjects}"


def _writing(context: Context, *, dry_run: bool) -> AbstractContextManager[None]:
    """Work on the store beside others; nothing of that where nothing is written."""
    from fvlm_data.store.leases import at_work

    return nullcontext() if dry_run else at_work(context.store, context.run_id)


def _taken(
    store: str, entries: Sequence[Entry], reviewer: str | None, *, dry_run: bool
) -> Counter[str]:
    from fvlm_data.reports.corrections.reviewed import check_correction
    from fvlm_data.review.decisions import take_in

    context, vocabulary = _opened(store)

    def check(subject: Any, correction: Any) -> None:
        check_correction(subject, correction, vocabulary)

    with _writing(context, dry_run=dry_run):
        return take_in(context, entries, vocabulary, check, reviewer, dry_run=dry_run)


def _print_taken(counts: Counter[str], *, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        makes = {"decisions taken in": counts["taken"]}
        notes = [f"{number} {name}" for name, number in counts.items() if name != "taken"]
        print_intent(Intent(makes=makes, notes=notes), as_json=as_json)
        return
    if as_json:
        print_json(counts)
        return
    out.print(f"{counts['taken']} decisions taken in", markup=False)
    for name, what in (
        ("known", "were there already"),
        ("open", "without a verdict"),
        ("stale", "on another version than the store's: they change nothing"),
        ("not_here", "on nothing that the store holds: not taken"),
        ("forgotten", "on a patient or study that was forgotten: not taken"),
    ):
        if counts[name]:
            err.print(f"{counts[name]} {what}", markup=False)


def _opened(store: str) -> tuple[Context, Vocabulary]:
    return opened_context(store), resolved_config(store, None, None, {}).vocabulary.load()


def _known_kind(kind: str | None) -> str | None:
    from schemas.decisions import KINDS

    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind {kind}: expected one of {', '.join(KINDS)}")
    return kind


finish(review, REVIEW)
