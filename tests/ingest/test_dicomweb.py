"""A DICOMweb server as a source: against a real Orthanc with its DICOMweb plugin, on loopback."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from series import Series, fresh_uid, write

from fvlm_data.errors import InputError
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.sources import dicomweb, wado
from tests.lacking import lacking

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ingested

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "ingest", "a secret word"

pytestmark = [pytest.mark.full, pytest.mark.network]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty Orthanc's DICOMweb service."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        lacking("the Debian packages orthanc and orthanc-dicomweb are not installed", "servers")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("orthanc")
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    server = subprocess.Popen(
        [program, str(folder / "orthanc.json")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if "Orthanc has started" in line:
                break
        else:
            pytest.fail("Orthanc did not start")
        yield f"http://127.0.0.1:{port}/dicom-web"
    finally:
        server.terminate()
        server.stderr.close()
        server.wait(timeout=30)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wado.USER_VARIABLE, USER)
    monkeypatch.setenv(wado.PASSWORD_VARIABLE, PASSWORD)


def source(url: str, patient: str) -> SourceConfig:
    """Each test stores a patient of its own and asks for no other."""
    return SourceConfig(kind="dicomweb", url=url, name="pacs", query={"PatientID": patient})


def store(url: str, datasets: list[pydicom.Dataset]) -> None:
    for one in datasets:
        one.preamble = bytes(128)
    wado.client(url).store_instances(datasets)


def series(patient: str, **settings: Any) -> Series:
    uid = f"1.2.826.{int(patient)}"
    return Series(series_uid=f"{uid}.1", study_uid=uid, patient_id=patient, **settings)


def test_a_series_on_a_server_is_the_series_in_a_folder(
    ingested: Ingested,
    make_ingested: Callable[[Path], Ingested],
    tmp_path: Path,
    orthanc: str,
):
    datasets = series("1001").datasets()
    write(datasets, tmp_path / "in")
    store(orthanc, datasets)
    ingested.run(source(orthanc, "1001"))
    folder = make_ingested(tmp_path / "folder")
    folder.dicom(tmp_path / "in")
    row = ingested.volume()
    assert row["content_sha256"] == folder.volume()["content_sha256"]
    np.testing.assert_array_equal(ingested.image(row).T, series("1001").image_hu())
    assert ingested.reasons() == {}
    ingested.check_conserved()


def test_a_second_run_asks_for_no_header_and_a_new_slice_is_found(
    ingested: Ingested, orthanc: str, monkeypatch: pytest.MonkeyPatch
):
    datasets = series("1002", slices=8).datasets()
    store(orthanc, datasets[:7])
    ingested.run(source(orthanc, "1002"))
    asked: list[str] = []
    reached = wado.reached
    monkeypatch.setattr(
        "fvlm_data.ingest.sources.dicomweb.reached", lambda url: asked.append(url) or reached(url)
    )
    assert ingested.run(source(orthanc, "1002")) == {"files": 7, "unchanged": 7}
    assert asked == []
    store(orthanc, datasets[7:])
    ingested.run(source(orthanc, "1002"))
    assert len(asked) == 1
    assert ingested.volume()["shape"] == [10, 12, 8]


def test_a_study_that_has_as_many_as_before_is_passed_over(
    ingested: Ingested, orthanc: str, monkeypatch: pytest.MonkeyPatch
):
    first, second = series("1012").datasets(), series("1013", slices=8).datasets()
    for one in second:
        one.PatientID = "1012"
    store(orthanc, [*first, *second[:6]])
    asked: list[str] = []
    searched = dicomweb._searched

    def watched(source: Any, level: str, above: tuple[str, ...], *rest: Any) -> Any:
        asked.extend(above[:1] if level == "series" else ())
        return searched(source, level, above, *rest)

    monkeypatch.setattr(dicomweb, "_searched", watched)

    def looked() -> tuple[Any, set[str]]:
        asked.clear()
        counts = discover(
            ingested.context, [source(orthanc, "1012")], "plain", full_listing_days=30
        )
        # before a run the first study is looked into, to see whether the server answers
        asked.remove(asked[0])
        return counts, set(asked)

    assert looked()[0]["accepted"] == 12
    counts, studies = looked()
    assert (counts, studies) == ({"passed over": 2}, set())
    store(orthanc, second[6:])
    counts, studies = looked()
    assert (counts["files"], counts["accepted"]) == (8, 2)
    assert studies == {"1.2.826.1013"}
    assert looked()[0] == {"passed over": 2}


def test_what_is_no_ct_and_what_has_a_gap_is_set_aside(ingested: Ingested, orthanc: str):
    gap = series("1003").datasets()
    del gap[3]
    report = Series(
        series_uid="1.2.826.1003.2",
        study_uid="1.2.826.1003",
        patient_id="1003",
        slices=1,
        tags={"Modality": "MR"},
    ).datasets()
    for one in report:
        fresh_uid(one)
    store(orthanc, [*gap, *report])
    ingested.run(source(orthanc, "1003"))
    assert ingested.reasons() == {"fault:missing_slices": 5, "out_of_scope:modality_not_ct": 1}
    ingested.check_conserved()


def test_pixels_come_as_they_are_stored(ingested: Ingested, orthanc: str):
    from pydicom.uid import RLELossless

    datasets = series("1004").datasets()
    for one in datasets:
        one.compress(RLELossless, generate_instance_uid=False)
    store(orthanc, datasets)
    ingested.run(source(orthanc, "1004"))
    row = ingested.volume()
    np.testing.assert_array_equal(ingested.image(row).T, series("1004").image_hu())
    with_syntax = wado.retrieved(
        wado.instance_url(orthanc, "1.2.826.1004", "1.2.826.1004.1", "1.2.826.1004.1.1")
    )
    assert pydicom.dcmread(with_syntax).file_meta.TransferSyntaxUID == RLELossless


def test_an_instance_deleted_before_ingest_is_tried_again(
    ingested: Ingested, orthanc: str, monkeypatch: pytest.MonkeyPatch
):
    store(orthanc, series("1005").datasets())
    discover(ingested.context, [source(orthanc, "1005")], "token")

    def refused(url: str) -> Any:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(wado, "retrieved", refused)
        ingested.settle(source(orthanc, "1005"))
    assert ingested.reasons() == {"fault:unreadable_file": 6}
    ingested.settle(source(orthanc, "1005"))
    assert ingested.reasons() == {}
    assert len(ingested.volumes()) == 1


def test_a_wrong_password_an_empty_answer_and_no_server_stop_the_run(
    ingested: Ingested, orthanc: str, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(InputError, match="no instances that match the query"):
        ingested.run(source(orthanc, "4711"))
    with pytest.raises(InputError, match="does not answer a search for studies"):
        ingested.run(source("http://127.0.0.1:9/dicom-web", "1"))
    monkeypatch.setenv(wado.USER_VARIABLE, "nobody")
    with pytest.raises(InputError, match="check the address, the server and the credentials"):
        ingested.run(source(orthanc, "1001"))
    assert ingested.rows("inputs") == []


def test_uids_of_the_server_stand_in_no_table(ingested: Ingested, orthanc: str):
    store(orthanc, series("1006").datasets())
    ingested.naming = "token"
    ingested.run(source(orthanc, "1006"))
    root = ingested.context.store.local_root
    assert root is not None
    written = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert b"1.2.826.1006" not in written
    assert PASSWORD.encode() not in written
