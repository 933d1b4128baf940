"""The funnel from files to samples: what was offered, what is left, and why the rest is not."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.ids import keyed_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

NOT_YET = "not yet done: run the stages again"

CT_RATE = {"patients": 20_000 + 1_304, "studies": 24_128 + 1_564, "volumes": 47_149 + 3_039}
"""Training and validation volumes, scans and patients of CT-RATE that the paper used."""

OWN_DATA = {"patients": 69_086, "studies": 272_124}
"""Patients and scans of the paper's own data, MedVL-CT69K; what it excluded was not published."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: how many `unit` came in, how many went on, and the others by reason.

    Every one is counted once: `offered` = `kept` + the sum of `excluded`. `paper` gives what the
    paper's data sets hold of the unit.
    """

    name: str
    unit: str
    offered: int
    kept: int
    excluded: Mapping[str, int]
    paper: Mapping[str, int]


def funnel(context: Context) -> tuple[Step, ...]:
    """All steps in the order of the data, images first, then reports, then both."""
    store = context.store
    aside = _Aside(store)
    files = store.read("inputs", ["item", "token"], [("kind", "=", "file")]).to_pylist()
    candidates = store.read("candidates", ["series_id", "volume_id", "study_id", "source_files"])
    volumes = store.read("volumes", ["patient_id", "study_id", "volume_id"]).to_pylist()
    proved = candidates.to_pylist()
    masked = set(store.read("masks", ["volume_id"])["volume_id"].to_pylist())
    texted = set(store.read("anatomy_texts", ["study_id"])["study_id"].to_pylist())
    waiting = {
        row["owner_id"]: f"waits for a {row['waits_for']}"
        for row in store.read("waiting", ["owner_id", "waits_for"]).to_pylist()
    }
    ids = {row["volume_id"] for row in volumes}
    studies = {row["study_id"] for row in volumes}
    masks_left = ids - masked
    used = {token for row in proved for token in row["source_files"]}
    series = {row["item"] for row in files if row["item"]}
    return (
        _step("files in a proved volume", "files", {r["token"] for r in files}, used, aside.files),
        _step(
            "series with a proved volume", "series", series, {r["series_id"] for r in proved},
            aside.of("ingest"),
        ),
        _step(
            "volumes chosen of their study", "volumes", {r["volume_id"] for r in proved}, ids,
            aside.volumes(proved),
        ),
        _step(
            "volumes with a mask", "volumes", ids, masked & ids,
            {**dict.fromkeys(masks_left, "waits for a mask"), **aside.of("segment")},
        ),
        _reports(store, aside, waiting),
        _step(
            "studies with a report", "studies", studies, texted & studies,
            {**waiting, **aside.of("pair")},
        ),
        _texts(store, texted),
        *_samples(context, aside, volumes, masked, texted),
    )  # fmt: skip


def _reports(store: Store, aside: _Aside, waiting: Mapping[str, str]) -> Step:
    rows = store.read("inputs", ["item", "token"], [("kind", "=", "report")]).to_pylist()
    item_of = {row["token"]: row["item"] or row["token"] for row in rows}
    joined = set(store.read("study_reports", ["report_id"])["report_id"].to_pylist())
    reasons = {
        **waiting,
        **aside.of("match"),
        **aside.of("reports"),
        **aside.of("discover_reports"),
    }
    return _step(
        "reports joined to a study",
        "reports",
        set(item_of),
        {token for token, item in item_of.items() if item in joined},
        {t: reasons[i] for t, i in item_of.items() if i in reasons}
        | {t: aside.files[t] for t in item_of if t in aside.files},
    )


def _texts(store: Store, texted: Collection[str]) -> Step:
    """Texts of single anatomies that were set aside in studies that were not."""
    rows = store.read("quarantine", ["item", "kind", "reason"], [("stage", "=", "pair")])
    aside = Counter(
        f"{row['kind']}: {row['reason']}" for row in rows.to_pylist() if row["item"] in texted
    )
    kept = store.count("anatomy_texts")
    return Step("texts of anatomies", "texts", kept + aside.total(), kept, dict(aside), {})


def _samples(
    context: Context,
    aside: _Aside,
    volumes: Collection[Mapping[str, Any]],
    masked: Collection[str],
    texted: Collection[str],
) -> tuple[Step, Step]:
    """Volumes that became samples, and their patients by split."""
    made = context.store.read("samples", ["volume_id", "patient_id", "split"]).to_pylist()
    taken = {row["volume_id"] for row in made}
    of_study, of_patient = aside.of("pair"), aside.of("split")
    of_sample = aside.of("shard")
    reasons = {}
    for row in volumes:
        # the id that `shards.inputs.ITEMS` gives: a volume that was refused has no row in samples
        sample = keyed_id(context.vault.key, "sa", row["study_id"], row["volume_id"])
        if row["volume_id"] not in masked:
            reasons[row["volume_id"]] = "no mask"
        elif row["study_id"] not in texted:
            reasons[row["volume_id"]] = of_study.get(row["study_id"], "no report")
        else:
            reason = of_patient.get(row["patient_id"]) or of_sample.get(sample)
            reasons[row["volume_id"]] = reason or NOT_YET
    patients = {row["patient_id"] for row in volumes}
    trained: dict[str, set[str]] = defaultdict(set)
    for row in made:
        trained[row["split"]].add(row["patient_id"])
    kept = set().union(*trained.values())
    undone = {row["patient_id"] for row in volumes if reasons[row["volume_id"]] == NOT_YET}
    whole = {
        patient: NOT_YET if patient in undone else "none of their volumes became a sample"
        for patient in patients - kept
    }
    ids = {row["volume_id"] for row in volumes}
    return (
        _step("volumes that became samples", "volumes", ids, taken & ids, reasons, paper=True),
        _step(
            "patients with a sample",
            "patients",
            patients,
            kept,
            {**whole, **of_patient},
            paper=True,
        ),
    )


class _Aside:
    """Reasons by stage and item; several reasons of an item are joined."""

    def __init__(self, store: Store) -> None:
        rows = store.read("quarantine").to_pylist()
        by_item: dict[tuple[str, str], set[str]] = defaultdict(set)
        by_file: dict[str, set[str]] = defaultdict(set)
        self._not_selected: dict[frozenset[str], str] = {}
        for row in rows:
            reason = f"{row['kind']}: {row['reason']}"
            stage = row["stage"].partition(":")[0]
            by_item[stage, row["item"]].add(reason)
            if stage in ("discover", "ingest", "discover_reports", "reports"):
                for token in row["source_files"]:
                    by_file[token].add(reason)
            if stage == "select":
                self._not_selected[frozenset(row["source_files"])] = reason
        self._by_item = {name: " + ".join(sorted(found)) for name, found in by_item.items()}
        self.files = {token: " + ".join(sorted(found)) for token, found in by_file.items()}

    def of(self, stage: str) -> dict[str, str]:
        """Reason of each item of a stage."""
        return {item: reason for (name, item), reason in self._by_item.items() if name == stage}

    def volumes(self, candidates: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Reason of each volume that was not chosen, known by its files."""
        named = ((row["volume_id"], frozenset(row["source_files"])) for row in candidates)
        return {volume: self._not_selected[f] for volume, f in named if f in self._not_selected}


def _step(
    name: str,
    unit: str,
    offered: Collection[str],
    kept: Collection[str],
    reasons: Mapping[str, str],
    *,
    paper: bool = False,
) -> Step:
    lost = set(offered) - set(kept)
    excluded = Counter(reasons.get(item, NOT_YET) for item in lost)
    told = {"CT-RATE": CT_RATE, "MedVL-CT69K": OWN_DATA} if paper or unit == "studies" else {}
    return Step(
        name=name,
        unit=unit,
        offered=len(set(offered)),
        kept=len(set(offered)) - len(lost),
        excluded=dict(sorted(excluded.items(), key=lambda one: (-one[1], one[0]))),
        paper={where: numbers[unit] for where, numbers in told.items() if unit in numbers},
    )
