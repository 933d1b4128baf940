"""Stage `pair`, and the derived table of what waits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.hashing import content_key
from fvlm_data.pairing.anatomy_text import anatomy_text
from fvlm_data.pairing.cross_checks import cross_checks, unclear_versions_check
from fvlm_data.pairing.images import StudyImages, image_keys, read_images
from fvlm_data.pairing.matching import match_all, match_items, read_texts
from fvlm_data.reports.versions.corrections import unclear_versions
from fvlm_data.store.stage import Item, Outcome, Reject, Stage, guarded, reject
from schemas import StudyReport, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.pairing.anatomy_text import StudyText
    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.stage import Context
    from fvlm_data.vocabulary import Vocabulary
    from schemas import CrossCheck

STAGE_VERSION = 3
BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class _Study:
    """All that the texts of a study are made from; `matched` are (report id, kind of link)."""

    id: str
    matched: Sequence[tuple[str, str]]
    text: StudyText
    images: StudyImages
    unclear: Sequence[tuple[str, str]]
    """Pairs of reports that may be versions of one another."""


def pair_stage(config: PairConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that gives each anatomy of a study with reports its text, state and signature."""
    settings = config.model_dump(mode="json", exclude={"split", "duplicates", "split_file"})
    words = [vocabulary.sha256("pairing"), vocabulary.sha256("segmentation")]

    def plan(context: Context) -> list[Item]:
        matches = match_all(context, vocabulary)
        hashes = _report_contents(context)
        images = image_keys(context.store)
        items = [
            Item(
                study,
                content_key(
                    STAGE_VERSION,
                    settings,
                    words,
                    [(report, kind, hashes[report]) for report, kind in reports],
                    images.get(study, []),
                ),
            )
            for study, reports in matches.by_study.items()
        ]
        conflicts = [
            Item(report, content_key(STAGE_VERSION, kinds))
            for report, kinds in matches.conflicts.items()
        ]
        return items + conflicts

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        matches = match_items(context, vocabulary, [item.id for item in items])
        matched = {i.id: matches.by_study[i.id] for i in items if i.id in matches.by_study}
        reports_of = {study: [report for report, _ in one] for study, one in matched.items()}
        texts = read_texts(context.store, reports_of)
        unclear = unclear_versions(context, vocabulary, reports_of)
        images = read_images(context.store, matched, vocabulary)
        for item in items:
            if item.id in matches.conflicts:
                yield _conflict(item.id, matches.conflicts[item.id])
            elif item.id not in matched:
                yield _unmatched(item.id)
            else:
                study = _Study(
                    item.id,
                    matched[item.id],
                    texts[item.id],
                    images.get(item.id, StudyImages()),
                    unclear.get(item.id, ()),
                )
                yield guarded(item, partial(_pair, study, config, vocabulary))

    return Stage("pair", ("study_reports", "anatomy_texts", "cross_checks"), plan, run, BATCH_SIZE)


def derive_waiting(context: Context) -> int:
    """Write anew which studies and reports wait for their other half; returns how many do.

    A study waits for a report until it is paired with one, then for a mask of any of its
    volumes, unless all of them are set aside; a report waits for its study. What pairing has
    set aside does not wait. What waited before keeps the run that first saw it.
    """
    pairs = context.store.read("study_reports", ["study_id", "report_id"])
    paired = set(pairs["study_id"].to_pylist())
    joined = set(pairs["report_id"].to_pylist())
    faults = context.store.read("quarantine", ["stage", "item"]).to_pylist()
    aside = {row["item"] for row in faults if row["stage"] == "pair"}
    unmasked = {row["item"] for row in faults if row["stage"].startswith("segment:")}
    volumes = context.store.read("volumes", ["study_id", "volume_id"]).to_pylist()
    masked = set(context.store.read("masks", ["volume_id"])["volume_id"].to_pylist())
    segmented = {row["study_id"] for row in volumes if row["volume_id"] in masked}
    hopeful = {row["study_id"] for row in volumes if row["volume_id"] not in unmasked}
    waits: dict[tuple[str, str], str] = {}
    for study in {row["study_id"] for row in volumes} - aside:
        if study not in paired:
            waits["study", study] = "report"
        elif study not in segmented and study in hopeful:
            waits["study", study] = "mask"
    for report in context.store.read("reports", ["report_id"])["report_id"].to_pylist():
        if report not in joined | aside:
            waits["report", report] = "study"
    before = {
        (row["owner_kind"], row["owner_id"], row["waits_for"]): row["since_run"]
        for row in context.store.read("waiting").to_pylist()
    }
    now = {(kind, owner, what): context.run_id for (kind, owner), what in waits.items()}
    rows = [
        Waiting(
            owner_kind=kind,
            owner_id=owner,
            waits_for=what,
            since_run=before.get((kind, owner, what), run),
        )
        for (kind, owner, what), run in sorted(now.items())
    ]
    if before.keys() != now.keys():
        context.store.replace_all("waiting", rows)
    return len(rows)


def _pair(study: _Study, config: PairConfig, vocabulary: Vocabulary) -> Outcome:
    """Texts of all anatomies, less those that the masks strongly contradict."""
    checks = cross_checks(study.id, study.text, study.images, vocabulary)
    checks += unclear_versions_check(study.id, study.unclear, study.text)
    strong = [one for one in checks if one.strength == "strong"]
    refused = strong if config.contradictions == "set_aside" else []
    silenced = {one.anatomy for one in refused}
    texts = [
        anatomy_text(study.id, anatomy.id, study.text, config, vocabulary)
        for anatomy in vocabulary.anatomies
        if not silenced.intersection((anatomy.id, None))
    ]
    joins = [
        StudyReport(study_id=study.id, report_id=report, matched_by=kind, order=order)
        for order, (report, kind) in enumerate(study.matched)
    ]
    return Outcome(
        study.id,
        {"study_reports": joins, "anatomy_texts": texts, "cross_checks": checks},
        rejects=tuple(Reject("fault", one.check, _advice(one)) for one in refused),
    )


def _advice(check: CrossCheck) -> str:
    what = f"the text of {check.anatomy} is" if check.anatomy else "all texts of the study are"
    return (
        f"{check.detail}; {what} left out; mend report or mask, or set pair.contradictions to keep"
    )


def _unmatched(item: str) -> Outcome:
    detail = f"{item}: its report or study left the tables while the run was under way; run again"
    return Outcome(item, rejects=(Reject("fault", "inputs_gone", detail),), retry=True)


def _conflict(report: str, kinds: tuple[str, str]) -> Outcome:
    if kinds[0] == kinds[1]:
        return reject(
            report,
            "fault",
            "ambiguous_links",
            f"report {report}: its {kinds[0]} names studies of several patients, expected one; "
            "give the report's study_uid, patient_id or issuer, or a mapping",
        )
    return reject(
        report,
        "fault",
        "conflicting_links",
        f"report {report}: its {kinds[0]} and its {kinds[1]} name different studies, expected "
        "one; correct the columns of the report file",
    )


def _report_contents(context: Context) -> dict[str, str]:
    """The key under which each report was parsed: it stands for its rows in all tables."""
    rows = context.store.read("ledger", ["item", "key"], [("stage", "=", "reports")])
    keys = dict(zip(rows["item"].to_pylist(), rows["key"].to_pylist(), strict=True))
    present = context.store.read("reports", ["report_id"])["report_id"].to_pylist()
    return {report: keys.get(report, "") for report in present}
