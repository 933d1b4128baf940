"""A series that is still arriving waits until nothing more of it comes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from series import Series, set_hu, write

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery import arriving
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.inspect.conservation import FILES, SERIES, WAITING
from fvlm_data.inspect.explain import waiting_items
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.store.planning import outlook, pending
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from conftest import Ingested

MINUTES = 30.0


class Clock:
    """Minutes that have passed since the test began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.minutes = 0.0
        # files of the test are younger than its beginning by less than this
        self.began_s = arriving.clock_s() + 20
        monkeypatch.setattr(arriving, "clock_s", self.now_s)

    def now_s(self) -> float:
        return self.began_s + 60 * self.minutes

    def come(self, paths: list[Path]) -> None:
        """Files that come now."""
        for path in paths:
            os.utime(path, (self.now_s(), self.now_s()))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def night(ingested: Ingested, folder: Path, minutes: float = MINUTES) -> dict[str, int]:
    """One run of discovery and the stages; what waits and what was settled."""
    source = SourceConfig(kind="dicom", path=folder, name="hospital")
    discover(ingested.context, [source], "plain", settle_minutes=minutes)
    waiting = pending(ingested.context, ingest_stage(ingested.config, [source])).waiting
    counts = ingested.settle(source)
    derive_waiting(ingested.context)
    return {"waiting": waiting, "settled": counts["accepted"] + counts["set_aside"]}


def waiting_series(ingested: Ingested) -> list[dict[str, Any]]:
    """What `status --waiting` lists, without studies that wait for a report."""
    return [row for row in waiting_items(ingested.context) if row["reason"] != "report"]


def check_conserved(ingested: Ingested) -> None:
    ask = Relations(ingested.context.store).newest_rows
    for statement in (FILES, SERIES, WAITING):
        assert ask(statement.wrong) == [], statement.name


def test_it_waits_until_it_is_quiet_and_a_later_run_takes_it(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    write(Series().datasets(), tmp_path / "in")
    assert night(ingested, tmp_path / "in") == {"waiting": 1, "settled": 0}
    assert ingested.volumes() == []
    (row,) = waiting_series(ingested)
    (file, *_) = ingested.rows("inputs")
    assert (row["kind"], row["reason"], row["item"]) == ("waiting", "still_arriving", file["item"])
    assert "a later run takes it" in row["detail"]
    check_conserved(ingested)
    stage = ingest_stage(ingested.config, [])
    assert (outlook(ingested.context, stage).settled, outlook(ingested.context, stage).due) == (
        0,
        0,
    )
    clock.minutes = MINUTES + 1
    assert night(ingested, tmp_path / "in") == {"waiting": 0, "settled": 1}
    assert len(ingested.volumes()) == 1
    assert waiting_series(ingested) == ingested.rows("measures") == []
    check_conserved(ingested)


@pytest.mark.full
def test_each_file_that_comes_starts_the_time_anew_and_others_do_not_wait_for_it(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    datasets = Series(slices=8).datasets()
    write(datasets[:6], tmp_path / "in" / "a")
    other = Series(series_uid="1.2.3.6", study_uid="1.2.9")
    write(other.datasets(), tmp_path / "in" / "b")
    assert night(ingested, tmp_path / "in") == {"waiting": 2, "settled": 0}
    clock.minutes = MINUTES - 5
    clock.come(write(datasets[6:], tmp_path / "in" / "late"))
    assert night(ingested, tmp_path / "in")["waiting"] == 2
    clock.minutes = MINUTES + 1
    assert night(ingested, tmp_path / "in") == {"waiting": 1, "settled": 1}
    assert [row["item"] for row in waiting_series(ingested)] != [ingested.volume()["series_id"]]
    check_conserved(ingested)
    clock.minutes = 2 * MINUTES
    assert night(ingested, tmp_path / "in") == {"waiting": 0, "settled": 1}
    assert sorted(row["shape"][2] for row in ingested.volumes()) == [6, 8]
    check_conserved(ingested)


def test_late_slices_of_a_settled_series_wait_beside_the_volume_that_stands(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    datasets = Series(slices=8).datasets()
    write(datasets[:6], tmp_path / "in")
    night(ingested, tmp_path / "in", minutes=0)
    clock.minutes = 60
    clock.come(write(datasets[6:], tmp_path / "in" / "late"))
    assert night(ingested, tmp_path / "in") == {"waiting": 1, "settled": 0}
    assert ingested.volume()["shape"][2] == 6
    check_conserved(ingested)
    clock.minutes += MINUTES + 1
    assert night(ingested, tmp_path / "in") == {"waiting": 0, "settled": 1}
    assert ingested.volume()["shape"][2] == 8
    check_conserved(ingested)


@pytest.mark.full
def test_a_corrected_slice_waits_and_a_touched_one_does_not(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    paths = write(Series().datasets(), tmp_path / "in")
    night(ingested, tmp_path / "in", minutes=0)
    clock.minutes = 60
    clock.come(paths[:1])
    assert night(ingested, tmp_path / "in") == {"waiting": 0, "settled": 0}
    assert waiting_series(ingested) == []
    image = Series().image_hu()[2]
    image[2, 2:4] = 300
    one = Series().datasets()[2]
    set_hu(one, image)
    clock.come(write([one], tmp_path / "in", [paths[2].name]))
    assert night(ingested, tmp_path / "in")["waiting"] == 1
    clock.minutes += MINUTES + 1
    assert night(ingested, tmp_path / "in")["settled"] == 1
    assert (ingested.image(ingested.volume())[2:4, 2, 2] == 300).all()


@pytest.mark.full
def test_a_series_that_lacks_announced_instances_waits_for_its_study(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    """Quiet itself, while another series of the study still comes; then it is judged as it is."""
    announced = {"NumberOfStudyRelatedInstances": 14}
    first = Series(tags=announced).datasets()
    write(first, tmp_path / "in" / "a")
    clock.minutes = 60
    second = Series(series_uid="1.2.3.6", tags=announced).datasets()
    clock.come(write(second[:5], tmp_path / "in" / "b"))
    assert night(ingested, tmp_path / "in") == {"waiting": 2, "settled": 0}
    assert ingested.reasons() == {}
    check_conserved(ingested)
    clock.minutes += MINUTES + 1
    assert night(ingested, tmp_path / "in") == {"waiting": 0, "settled": 2}
    assert ingested.reasons() == {"fault:incomplete_series": 11}
    check_conserved(ingested)


def test_a_place_that_tells_no_time_counts_from_when_a_file_is_first_seen(
    ingested: Ingested, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    kind = SOURCES.load("dicom")
    timeless = replace(
        kind, find=lambda source: (replace(one, arrived_ns=0) for one in kind.find(source))
    )
    monkeypatch.setattr("fvlm_data.ingest.sources.dicom.DICOM", timeless)
    write(Series().datasets(), tmp_path / "in")
    clock.minutes = 1e6
    assert night(ingested, tmp_path / "in")["waiting"] == 1
    clock.minutes += MINUTES - 1
    assert night(ingested, tmp_path / "in")["waiting"] == 1
    clock.minutes += 2
    assert night(ingested, tmp_path / "in")["settled"] == 1


@pytest.mark.full
def test_an_old_archive_and_a_clock_that_is_ahead_do_not_wait_for_ever(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    paths = write(Series().datasets(), tmp_path / "in")
    clock.minutes = 60
    assert night(ingested, tmp_path / "in") == {"waiting": 0, "settled": 1}
    other = write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "ahead")
    for path in other:
        os.utime(path, (clock.now_s() + 1e9, clock.now_s() + 1e9))
    assert night(ingested, tmp_path / "in")["waiting"] == 1
    clock.minutes += MINUTES + 1
    assert night(ingested, tmp_path / "in")["settled"] == 1
    assert len(paths) + len(other) == sum(len(v["source_files"]) for v in ingested.volumes())


def test_without_the_setting_nothing_waits_and_the_setting_is_in_no_key(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    write(Series().datasets(), tmp_path / "in")
    assert night(ingested, tmp_path / "in")["waiting"] == 1
    assert night(ingested, tmp_path / "in", minutes=0) == {"waiting": 0, "settled": 1}
    settings = [
        ingest_stage(IngestConfig(settle_minutes=value), []).settings for value in (0, MINUTES)
    ]
    assert settings[0] == settings[1]
    assert "settle_minutes" not in settings[0]


def test_without_the_setting_not_even_what_comes_during_the_run_waits(
    ingested: Ingested, tmp_path: Path, clock: Clock
):
    paths = write(Series().datasets(), tmp_path / "in")
    for path in paths:
        os.utime(path, (clock.now_s() + 1e9, clock.now_s() + 1e9))
    assert night(ingested, tmp_path / "in", minutes=0) == {"waiting": 0, "settled": 1}
    assert ingested.rows("measures") == []
