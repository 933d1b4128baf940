"""The stage as a whole: increments, links, identity, other sources in one store."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from series import Series, write

from fvlm_data.identity.ids import link_key
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.dicom.series import read_series
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.ingest.volume.result import SeriesResult, content_sha256, outcome
from fvlm_data.store.planning import pending

if TYPE_CHECKING:
    from conftest import Ingested

HOSPITAL = "hospital"


def source(path: Path, name: str = HOSPITAL) -> SourceConfig:
    return SourceConfig(kind="dicom", path=path, name=name)


def test_a_second_run_has_nothing_to_do(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    stage = ingest_stage(IngestConfig(), [source(tmp_path / "in")])
    work = pending(ingested.context, stage)
    assert work.batches == ()
    assert work.settled == 1


def test_the_number_of_threads_makes_nothing_new(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    stage = ingest_stage(IngestConfig(), [source(tmp_path / "in")], threads=4)
    assert pending(ingested.context, stage).batches == ()


def test_a_moved_archive_redoes_nothing(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    (tmp_path / "in").rename(tmp_path / "moved")
    counts = ingested.dicom(tmp_path / "moved")
    assert counts == {"files": 6, "unchanged": 6}


def test_a_late_slice_mends_its_series_and_redoes_no_other(ingested: Ingested, tmp_path: Path):
    whole = Series(slices=8).datasets()
    write(whole[:4] + whole[5:], tmp_path / "in" / "a")
    write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:missing_slices": 7}
    write([whole[4]], tmp_path / "in" / "a", ["late.dcm"])
    counts = ingested.dicom(tmp_path / "in")
    assert counts["accepted"] == 2  # one file found, one series accepted
    assert ingested.reasons() == {}
    assert len(ingested.volumes()) == 2
    ingested.check_conserved()


def test_files_that_vanish_keep_their_rows(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in" / "a")
    kept = write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    before = ingested.volumes()
    for path in (tmp_path / "in" / "a").iterdir():
        path.unlink()
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == before
    assert len(kept) == 6


def test_a_replaced_file_leaves_its_old_series(ingested: Ingested, tmp_path: Path):
    names = [str(n) for n in range(6)]
    write(Series().datasets(), tmp_path / "in", names)
    ingested.dicom(tmp_path / "in")
    old = ingested.volume()
    write(Series(series_uid="1.2.3.77", seed=2).datasets(), tmp_path / "in", names)
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["series_id"] != old["series_id"]
    assert {link["stated_by"] for link in ingested.rows("links")} == {
        ingested.volume()["series_id"]
    }
    ingested.check_conserved()
    assert ingested.dicom(tmp_path / "in")["superseded:source_files_replaced"] == 0


def test_sources_of_an_earlier_run_are_found_again(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "a")
    write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "b")
    ingested.run(source(tmp_path / "a", "a"))
    ingested.config = IngestConfig(min_slices=4)
    ingested.run(source(tmp_path / "b", "b"))
    assert len(ingested.volumes()) == 2
    assert ingested.reasons() == {}


def test_a_file_gone_before_ingest_is_tried_again(ingested: Ingested, tmp_path: Path):
    from fvlm_data.ingest.discovery.discover import discover

    paths = write(Series().datasets(), tmp_path / "in")
    discover(ingested.context, [source(tmp_path / "in")], "plain")
    content = paths[2].read_bytes()
    paths[2].unlink()
    ingested.settle(source(tmp_path / "in"))
    assert ingested.reasons() == {"fault:unreadable_file": 1, "fault:incomplete_series": 5}
    paths[2].write_bytes(content)
    ingested.settle(source(tmp_path / "in"))
    assert len(ingested.volumes()) == 1
    ingested.check_conserved()


def test_another_setting_redoes_and_a_faulty_series_recovers(ingested: Ingested, tmp_path: Path):
    write(Series(slices=4).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:too_few_slices": 4}
    ingested.config = IngestConfig(min_slices=3)
    ingested.dicom(tmp_path / "in")
    assert len(ingested.volumes()) == 1


def test_reports_find_study_series_and_patient_by_their_names(ingested: Ingested, tmp_path: Path):
    tags = {"IssuerOfPatientID": "KLINIK"}
    write(Series(tags=tags).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    row, key = ingested.volume(), ingested.context.vault.key
    links = {
        (x["owner_kind"], x["owner_id"], x["kind"], x["value_hash"]) for x in ingested.rows("links")
    }
    assert links == {
        ("study", row["study_id"], "study_uid", link_key("study_uid", "1.2.3.4", key=key)),
        ("study", row["study_id"], "accession", link_key("accession", "acc00017", key=key)),
        ("series", row["series_id"], "series_uid", link_key("series_uid", "1.2.3.4.5", key=key)),
        ("patient", row["patient_id"], "patient_id", link_key("patient_id", "PAT-0042", key=key)),
        (
            "patient",
            row["patient_id"],
            "patient_id",
            link_key("patient_id", "PAT-0042", "KLINIK", key=key),
        ),
    }


SECRETS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "PAT-0042",
    "AccessionNumber": "ACC00017",
    "ReferringPhysicianName": "Dr^Hausarzt",
    "PerformingPhysicianName": "Prof^Radiologe",
    "InstitutionName": "Klinikum Beispielstadt",
    "OtherPatientIDs": "ALT-99",
    "SeriesDescription": "Thorax Mustermann",
    "ImageComments": "Sohn: Max Mustermann",
    "ConvolutionKernel": "MUSTERMANN",
    "BodyPartExamined": "ERIKAS BAUCH",
    "Manufacturer": "Mustermann Geraete",
    "PatientSex": "X",
}


def test_identity_goes_to_the_vault_and_nowhere_else(ingested: Ingested, tmp_path: Path):
    ingested.naming = "token"
    write(Series(tags=SECRETS).datasets(), tmp_path / "Mustermann_Erika")
    ingested.run(source(tmp_path / "Mustermann_Erika"))
    row = ingested.volume()
    known = ingested.context.vault.patient_identities([row["patient_id"]])[row["patient_id"]]
    for expected in (
        "Mustermann Erika", "Mustermann", "Erika", "PAT-0042", "ALT-99", "ACC00017",
        "1930-02-15", "19300215", "2024-05-01", "Hausarzt", "Radiologe", "Klinikum Beispielstadt",
    ):  # fmt: skip
        assert expected in known
    root = ingested.context.store.local_root
    assert root is not None
    written = b"".join(opened(path) for path in sorted(root.rglob("*")) if path.is_file())
    words = r"Mustermann|Erika|PAT-0042|ACC00017|Hausarzt|Radiologe|Beispielstadt|ALT-99|20240501"
    assert re.findall(words.encode(), written, re.IGNORECASE) == []
    facts = ("kernel", "body_region_header", "manufacturer", "sex")
    assert [row[name] for name in facts] == [None] * 4


def test_identities_leave_a_mark_that_changes_with_them(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in" / "a")
    write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    before = ingested.rows("identity_marks")
    (patient,) = {row["patient_id"] for row in ingested.volumes()}
    assert {row["owner_id"] for row in before} == {patient}
    assert {row["series_id"] for row in before} == {r["series_id"] for r in ingested.volumes()}
    assert len({row["mark"] for row in before}) == 1  # both headers tell the same
    datasets = Series(series_uid="1.2.3.6").datasets()
    datasets[0].PatientBirthName = "Schmidt"
    write(datasets, tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    after = ingested.rows("identity_marks")
    assert len(after) == 2
    assert len([row for row in after if row not in before]) == 1


def test_a_refused_series_leaves_marks_under_the_names_of_its_reports(
    ingested: Ingested, tmp_path: Path
):
    write(Series(slices=4).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:too_few_slices": 4}
    owners = {row["owner_id"] for row in ingested.rows("identity_marks")}
    key = ingested.context.vault.key
    assert {
        link_key("accession", "acc00017", key=key),
        link_key("study_uid", "1.2.3.4", key=key),
        link_key("patient_id", "PAT-0042", key=key),
    } <= owners
    assert set(ingested.context.vault.patient_identities(owners)) == owners
    (ledger,) = (row for row in ingested.rows("ledger") if row["stage"] == "ingest")
    assert ledger["outcome"] == "set_aside"
    ingested.config = IngestConfig(min_slices=3)
    ingested.dicom(tmp_path / "in")
    (mark,) = ingested.rows("identity_marks")
    assert mark["owner_id"] == ingested.volume()["patient_id"]


def test_a_mark_tells_nothing_without_the_vault(
    ingested: Ingested, make_ingested: Callable[[Path], Ingested], tmp_path: Path
):
    write(Series().datasets(), tmp_path / "in")
    other = make_ingested(tmp_path / "other")
    for one in (ingested, other):
        one.dicom(tmp_path / "in")
    (first,), (second,) = (one.rows("identity_marks") for one in (ingested, other))
    assert first["mark"] != second["mark"]


def opened(path: Path) -> bytes:
    content = path.read_bytes()
    return zlib.decompress(content, wbits=31) if path.name.endswith(".gz") else content


def test_header_facts_are_allow_listed(ingested: Ingested, tmp_path: Path):
    tags = {
        "ConvolutionKernel": ["Br38f", "3"],
        "BodyPartExamined": "CHEST",
        "Manufacturer": "SIEMENS Healthineers",
        "ContrastBolusAgent": "Ultravist 370",
    }
    write(Series(tags=tags).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    row = ingested.volume()
    assert row["kernel"] == "Br38f"
    assert row["body_region_header"] == "CHEST"
    assert row["manufacturer"] == "Siemens"
    assert row["contrast_header"] == "yes"
    assert row["age_years"] == 90.0  # 94 in the header
    assert row["sex"] == "F"
    assert row["acquired_on"] < "2024-05-01"


def test_one_patient_keeps_the_distance_of_dates(ingested: Ingested, tmp_path: Path):
    for number, day in enumerate(("20240501", "20240511")):
        series = Series(series_uid=f"1.2.{number}", study_uid=f"1.9.{number}")
        datasets = series.datasets()
        for one in datasets:
            one.AcquisitionDate = day
        write(datasets, tmp_path / "in" / str(number))
    ingested.dicom(tmp_path / "in")
    first, second = sorted(np.datetime64(row["acquired_on"]) for row in ingested.volumes())
    assert int((second - first).astype(int)) == 10


def test_files_are_bytes_that_hang_on_content_only(
    ingested: Ingested, make_ingested: Callable[[Path], Ingested], tmp_path: Path
):
    write(Series().datasets(), tmp_path / "in")
    again = make_ingested(tmp_path / "again")
    for one in (ingested, again):
        one.dicom(tmp_path / "in")
    first, second = (
        one.context.store.read_bytes(one.volume()["path"]) for one in (ingested, again)
    )
    assert first == second
    row = ingested.volume()
    digits = row["volume_id"].removeprefix("v_")
    assert row["path"] == f"volumes/{digits[:2]}/{row['volume_id']}.nii.gz"
    image = nib.load(ingested.context.store.location(row["path"]))
    affine = np.array(row["affine_ras"]).reshape(4, 4)
    np.testing.assert_allclose(image.get_sform(), affine, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), affine, atol=1e-4)
    assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 1
    stored = np.asarray(image.dataobj)
    assert stored.dtype == np.int16
    assert content_sha256(stored.T, affine) == row["content_sha256"]


def test_a_file_that_ends_nowhere_is_a_fault_of_the_program():
    with pytest.raises(RuntimeError, match="se_1: 2 files offered, 0 accounted for"):
        outcome("se_1", ["a", "b"], SeriesResult(()), b"key")


def test_no_files_make_no_volume():
    result = read_series([], "se_1", b"key", IngestConfig())
    assert (result.volumes, result.rejects) == ((), ())


def test_unknown_settings_and_impossible_values_are_refused():
    settings: list[dict[str, Any]] = [{"min_slice": 3}, {"min_slices": 1}, {"tilt": "ignore"}]
    for setting in settings:
        with pytest.raises(ValueError, match=next(iter(setting))):
            IngestConfig(**setting)
    with pytest.raises(ValueError, match="mapping is for volume files only"):
        SourceConfig(kind="dicom", path=Path("x"), mapping=Path("m.csv"))


@pytest.mark.parametrize("place", ["stage.outcome", "select_stage.choose"])
def test_files_of_a_series_that_fails_unexpectedly_are_accounted_for(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    def broken(*arguments: Any) -> None:
        raise ArithmeticError("Doe^John")

    write(Series().datasets(), tmp_path / "in")
    monkeypatch.setattr(f"fvlm_data.ingest.{place}", broken)
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:unexpected": 6}
    ingested.check_conserved()
