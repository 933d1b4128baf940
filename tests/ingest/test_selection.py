from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from series import Series, write

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.select_stage import select_stage
from fvlm_data.ingest.selection import ProvedVolume, SelectConfig, choose
from fvlm_data.inspect.verify import verify
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.run.config import load_config
from fvlm_data.store.commits import settle
from fvlm_data.store.planning import pending
from schemas import Volume

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ingested

THINNEST = SelectConfig(policy="thinnest_soft_tissue_axial")
BASE = ProvedVolume("v_base", "B30f", "portal_venous", "abdomen 5mm", 5.0, True, -300.0, 0.0)


def one(name: str, **changes: Any) -> ProvedVolume:
    return replace(BASE, volume_id=name, **changes)


def picked(candidates: list[ProvedVolume], config: SelectConfig) -> set[str]:
    return {c.volume_id for c in candidates} - choose(candidates, config).keys()


def reasons(candidates: list[ProvedVolume], config: SelectConfig) -> dict[str, str]:
    return {name: why.reason for name, why in choose(candidates, config).items()}


def test_all_takes_all():
    study = [
        BASE,
        one("v_thin", slice_mm=1.0),
        one("v_lung", kernel="B70f"),
        one("v_n", axial=False),
    ]
    assert choose(study, SelectConfig()) == {}


def test_the_thinnest_soft_axial_one_is_taken_and_the_others_say_why():
    study = [
        BASE,
        one("v_thin", slice_mm=1.0),
        one("v_lung", slice_mm=0.6, kernel="B70f"),
        one("v_coronal", slice_mm=0.5, axial=False),
        one("v_unknown", slice_mm=0.5, kernel=None),
    ]
    assert picked(study, THINNEST) == {"v_thin"}
    assert reasons(study, THINNEST) == {
        "v_base": "another_reconstruction",
        "v_lung": "kernel_not_soft_tissue",
        "v_coronal": "not_axial",
        "v_unknown": "another_reconstruction",
    }
    detail = choose(study, THINNEST)["v_base"].detail
    assert "v_base: slices every 5 mm over 300 mm" in detail
    assert "volume v_thin was chosen (every 1 mm" in detail


def test_an_unknown_kernel_is_taken_where_no_soft_one_is_known():
    study = [one("v_unknown", kernel=None), one("v_lung", kernel="BONEPLUS", slice_mm=1.0)]
    assert picked(study, THINNEST) == {"v_unknown"}


def test_other_ranges_and_phases_are_taken_beside_it():
    study = [
        BASE,
        one("v_chest", low_mm=10.0, high_mm=300.0),
        one("v_arterial", phase="arterial"),
        one("v_bolus", slice_mm=1.0, low_mm=-110.0, high_mm=-100.0),
        one("v_overlap", slice_mm=5.5, low_mm=-200.0, high_mm=80.0),
    ]
    assert picked(study, THINNEST) == {"v_base", "v_chest", "v_arterial", "v_bolus"}
    whole = THINNEST.model_copy(update={"one_per": "study"})
    assert picked(study, whole) == {"v_arterial"}  # not the bolus: it is short; ties by id


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({"kernels": ["B3."]}, {"v_soft"}),
        ({"kernels": ["B3"]}, set()),
        ({"phases": ["portal_venous"]}, {"v_soft"}),
        ({"phases": ["no", "unknown"]}, {"v_sharp", "v_blank"}),
        ({"descriptions": ["LUNG"]}, {"v_sharp"}),
        ({"not_descriptions": ["lung|bone"]}, {"v_soft", "v_blank"}),
        ({"descriptions": ["abdomen", "lung"], "kernels": ["B7.f"]}, {"v_sharp"}),
    ],
)
def test_patterns_pick(settings: dict[str, Any], taken: set[str]):
    study = [
        one("v_soft", kernel="B31", description="abdomen 5mm"),
        one("v_sharp", kernel="B70f", phase="no", description="thorax lung 1mm"),
        one("v_blank", kernel=None, phase="unknown", description=""),
    ]
    assert picked(study, SelectConfig(**settings)) == taken


CANDIDATES = st.builds(
    ProvedVolume,
    volume_id=st.uuids().map(str),
    kernel=st.sampled_from([None, "B30f", "B70f", "STANDARD"]),
    phase=st.sampled_from(["no", "arterial", "unknown"]),
    description=st.just(""),
    slice_mm=st.sampled_from([0.6, 1.0, 5.0]),
    axial=st.booleans(),
    low_mm=st.sampled_from([-300.0, -100.0, 0.0]),
    high_mm=st.sampled_from([10.0, 100.0, 300.0]),
)


@given(st.lists(CANDIDATES, max_size=7, unique_by=lambda c: c.volume_id), st.randoms())
def test_order_plays_no_part_and_what_was_taken_stays_taken(study: list[ProvedVolume], random: Any):
    for config in (THINNEST, THINNEST.model_copy(update={"one_per": "study"})):
        refused = choose(study, config)
        shuffled = random.sample(study, len(study))
        assert choose(shuffled, config) == refused
        left = [c for c in study if c.volume_id not in refused]
        assert choose(left, config) == {}  # nothing of the choice hangs on what was refused
        fit = [c for c in study if c.axial and c.kernel != "B70f"]
        assert bool(left) == bool(fit)


def test_a_pattern_that_is_none_is_told():
    with pytest.raises(ValueError, match="'\\(' is no regular expression"):
        SelectConfig(kernels=("(",))
    assert load_config(None, ["select.policy=all"], {"store": "x"}).select == SelectConfig()


THIN = {"slices": 12, "step_mm": 1.25}
STUDY = {
    "thick": Series(series_uid="1.2.1", slices=6, tags={"ConvolutionKernel": "B30f"}),
    "thin": Series(series_uid="1.2.2", **THIN, tags={"ConvolutionKernel": "B31f"}),
    "lung": Series(series_uid="1.2.3", **THIN, tags={"ConvolutionKernel": "B70f"}),
}


def arrive(ingested: Ingested, tmp_path: Path, name: str) -> None:
    write(STUDY[name].datasets(), tmp_path / "in" / name)
    ingested.dicom(tmp_path / "in")
    ingested.check_conserved()
    derive_waiting(ingested.context)
    broken = [check.name for check in verify(ingested.context.store) if not check.passed]
    assert broken == []


@pytest.mark.full
def test_the_choice_is_the_same_whatever_the_order_of_arrival(
    make_ingested: Callable[[Path], Ingested], tmp_path: Path
):
    seen = []
    for number, order in enumerate(permutations(STUDY)):
        ingested = make_ingested(tmp_path / str(number))
        ingested.select = THINNEST
        for name in order:
            arrive(ingested, tmp_path / str(number), name)
        (row,) = ingested.volumes()
        assert row["spacing_mm"][2] == pytest.approx(1.25)
        seen.append(ingested.reasons())
    assert seen == [
        {"not_selected:another_reconstruction": 6, "not_selected:kernel_not_soft_tissue": 12}
    ] * len(seen)


def test_another_policy_brings_the_others_back_without_reading_a_file(
    ingested: Ingested, tmp_path: Path
):
    ingested.select = THINNEST
    for name in STUDY:
        arrive(ingested, tmp_path, name)
    before = ingested.volumes()
    for path in (tmp_path / "in").rglob("*.dcm"):
        path.unlink()
    ingested.select = SelectConfig()
    ingested.settle(SourceConfig(kind="dicom", path=tmp_path / "in", name="hospital"))
    assert len(ingested.volumes()) == 3
    assert ingested.reasons() == {}
    ingested.select = THINNEST
    ingested.settle(SourceConfig(kind="dicom", path=tmp_path / "in", name="hospital"))
    assert ingested.volumes() == before
    ingested.check_conserved()


def test_a_study_of_which_nothing_fits_is_accounted_for(ingested: Ingested, tmp_path: Path):
    ingested.select = THINNEST
    arrive(ingested, tmp_path, "lung")
    assert ingested.volumes() == []
    assert ingested.reasons() == {"not_selected:kernel_not_soft_tissue": 12}
    arrive(ingested, tmp_path, "thick")
    assert len(ingested.volumes()) == 1


def test_volumes_follow_every_column_of_their_candidates(ingested: Ingested, tmp_path: Path):
    for name in ("thick", "thin"):
        arrive(ingested, tmp_path, name)
    stage = select_stage(ingested.select)
    assert pending(ingested.context, stage).batches == ()
    candidate, *others = ingested.rows("candidates")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in candidate.items()}
    values["source_files"] = values["source_files"][::-1]
    changed = Volume(**values)
    ingested.context.store.replace("candidates", [changed.series_id], [changed])
    (batch,) = pending(ingested.context, stage).batches
    settle(ingested.context, stage, batch)
    assert ingested.volumes() == ingested.rows("candidates")
    assert ingested.volumes() != [candidate, *others]
