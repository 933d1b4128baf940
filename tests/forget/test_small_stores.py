"""What comes later, who was refused, who shares something: on stores of a few tiny series."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem
from typer.testing import CliRunner

import schemas
from fvlm_data.cli.main import app
from fvlm_data.forget import forget as forgetting
from fvlm_data.forget.record import checks
from fvlm_data.forget.rows import OWNED_BY
from fvlm_data.forget.targets import Named, resolved
from fvlm_data.identity.ids import keyed_id, link_key
from fvlm_data.identity.vault import Vault
from fvlm_data.inspect.vault import vault_checks
from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import open_context
from fvlm_data.run.stages import build_stages
from fvlm_data.store.tables import Store
from tests.forget.searched import hits
from tests.ingest.series import Series, write

IMAGES = ("ingest", "select")
A, B = "PAT-000A", "PAT-000B"
PEOPLE = {A: "Habsburg^Anna", B: "Zweistein^Bert"}
WORDS = {A, "Habsburg", "1.2.3.1"}
"""What nothing may tell of patient A afterwards."""


def series(patient: str, study: int = 1, **changes: Any) -> Series:
    uid = f"1.2.3.{1 if patient == A else 2}.{study}"
    values = {"study_uid": uid, "series_uid": f"{uid}.7", "seed": study + 10 * (patient == B)}
    return Series(patient_id=patient, patient_name=PEOPLE[patient], **{**values, **changes})


@dataclass
class Ward:
    """A folder of series and a store that is made of it."""

    folder: Path
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def places(self) -> list[Path]:
        return [self.folder / "store", self.folder / "vault"]

    def add(self, one: Series) -> None:
        write(one.datasets(), self.archive / one.patient_id / one.study_uid)

    def config(self) -> Any:
        sources = [{"kind": "dicom", "path": str(self.archive), "name": "ward"}]
        values = {"store": str(self.folder / "store"), "sources": sources, **self.values}
        return load_config(None, (), values)

    def run(self, *stages: str) -> Any:
        return curate(self.config(), stages or IMAGES)

    @property
    def store(self) -> Store:
        return Store.open(self.folder / "store")

    def forget(self, value: str, kind: str = "patient_id") -> Any:
        context = open_context(self.config(), create=False)
        targets = resolved(context, [Named(kind, value, "", "here")])
        return forgetting.forget(context, self.config(), targets)

    def patients(self) -> int:
        return len(set(self.store.read("volumes", ["patient_id"])["patient_id"].to_pylist()))

    def wrong(self) -> list[str]:
        context = open_context(self.config(), create=False)
        stages = build_stages(self.config())
        found = [*verify(context.store, stages), *vault_checks(context), *checks(context)]
        return [f"{check.name} {check.examples}" for check in found if not check.passed]


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ward:
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    made = Ward(tmp_path)
    made.add(series(B))
    return made


@pytest.mark.full
def test_a_patient_who_is_not_there_is_kept_out(ward: Ward):
    ward.run()
    assert ward.forget(A).journal.rows.counts == {}
    ward.add(series(A))
    for _ in range(2):
        summary = ward.run()
        assert summary.set_aside == {"out_of_scope:forgotten": 6}
        assert ward.patients() == 1
        assert hits(ward.places, WORDS) == []
        assert ward.wrong() == []


@pytest.mark.full
def test_what_waits_is_let_in_again(ward: Ward):
    ward.values["forget"] = {"later": "wait"}
    ward.add(series(A))
    ward.run()
    ward.forget(A)
    assert ward.run().set_aside == {"out_of_scope:forgotten_waits": 6}
    assert ward.wrong() == []
    lifting = ["forget", A, "--kind", "patient_id", "--lift", "--store", str(ward.places[0])]
    assert CliRunner().invoke(app, lifting).exit_code == 0
    assert ward.wrong() == []
    assert ward.run().set_aside == {}
    assert ward.patients() == 2
    assert ward.wrong() == []


@pytest.mark.full
def test_what_is_refused_is_so_for_good(ward: Ward):
    ward.add(series(A))
    ward.run()
    ward.forget(A)
    lifting = ["forget", A, "--kind", "patient_id", "--lift", "--store", str(ward.places[0])]
    assert CliRunner().invoke(app, lifting).exit_code == 2


def test_every_table_says_whose_its_rows_are():
    assert OWNED_BY.keys() == schemas.TABLES.keys()
    for table, columns in OWNED_BY.items():
        assert set(columns) <= set(schemas.TABLES[table].columns)


@pytest.mark.full
def test_names_of_a_refused_series_go_and_those_of_others_stay(ward: Ward):
    for patient in (A, B):
        one = series(patient, 5)
        # a slice is missing; all series of this ward bear one accession number
        gappy = [slice_ for number, slice_ in enumerate(one.datasets()) if number != 2]
        write(gappy, ward.archive / patient / "gap")
    ward.run()
    assert {A, "Habsburg"} <= {hit.split(" in ")[0] for hit in hits(ward.places, WORDS)}
    ward.forget(A)
    assert hits(ward.places, WORDS) == []
    assert ward.wrong() == []
    vault = Vault.open(ward.folder / "vault")
    shared = link_key("accession", "ACC00017", key=vault.key)
    (told,) = vault.patient_identities([shared]).values()
    assert B in told
    assert set(ward.run().set_aside) == {"fault:missing_slices", "out_of_scope:forgotten"}


@pytest.mark.full
def test_a_report_that_its_source_no_longer_offers_goes_too(ward: Ward):
    ward.add(series(A))
    listed = ward.folder / "reports.csv"
    ward.values["reports"] = [{"path": str(listed)}]
    stages = (*IMAGES, "versions", "match")

    def offer(*rows: tuple[str, str]) -> None:
        with listed.open("w", newline="") as handle:
            csv.writer(handle).writerows([("study_uid", "patient_id", "report"), *rows])

    other = ("1.2.3.2.1", B, "FINDINGS: Normal vermilion spleen of the other one.")
    old, new = "FINDINGS: Small saffron cyst.", "FINDINGS: Large zebrine cyst."
    offer(("1.2.3.1.1", A, old), other)
    ward.run(*stages)
    offer(("1.2.3.1.1", A, new), other)
    ward.run(*stages)
    words = {*WORDS, "saffron", "zebrine"}
    assert {"saffron", "zebrine"} <= {hit.split(" in ")[0] for hit in hits(ward.places, words)}
    ward.forget("1.2.3.1.1", "study_uid")
    assert hits(ward.places, {"saffron", "zebrine"}) == []
    assert hits(ward.places, {"vermilion"})
    summary = ward.run(*stages)
    assert summary.set_aside["out_of_scope:forgotten"] == 7
    assert hits(ward.places, {"saffron", "zebrine"}) == []
    assert hits(ward.places, {"vermilion"})
    offer(other)
    ward.run(*stages)
    reasons = ward.store.read("quarantine", ["stage"])["stage"].to_pylist()
    assert "discover_reports" not in reasons


@pytest.mark.full
def test_who_was_left_out_for_a_twin_is_due_when_that_one_goes(ward: Ward):
    ward.add(series(A, seed=11))  # the image of B
    vault = Vault.open(ward.folder / "vault")
    ward.values["pair"] = {"duplicates": "set_aside"}
    split = ward.folder / "split.csv"
    split.write_text(f"patient_id,split\n{A},test\n{B},train\n")
    ward.values["pair"]["split_file"] = str(split)
    stages = (*IMAGES, "split")
    assert ward.run(*stages).set_aside == {"duplicate:image_of_held_out_patient": 1}
    (row,) = ward.store.read("quarantine").to_pylist()
    (gone,) = {row["owner_id"] for row in ward.store.read("links").to_pylist()
               if row["value_hash"] == link_key("patient_id", A, key=vault.key)}  # fmt: skip
    assert gone in row["detail"]
    done = ward.forget(A)
    assert done.journal.rows.affected == {"split": [row["item"]]}
    assert hits(ward.places, {*WORDS, gone}) == []
    ward.run(*stages)
    assert hits(ward.places, {*WORDS, gone}) == []
    (left,) = ward.store.read("splits").to_pylist()
    assert (left["patient_id"], left["split"]) == (row["item"], "train")


def volume_file(ward: Ward, patient: str, spacing: float, modality: str = "CT") -> None:
    """A MetaImage of noise with detached voxels and a sidecar, called after its patient."""
    folder = ward.folder / "more"
    folder.mkdir(exist_ok=True)
    stem = f"scan-of-{patient[-1]}"
    noise = np.random.default_rng(ord(patient[-1])).integers(-1000, 1000, (8, 8, 8))
    image = sitk.GetImageFromArray(noise.astype(np.int16))
    image.SetSpacing((spacing, 1.0, 1.0))
    sitk.WriteImage(image, folder / f"{stem}.mhd")
    told = {"PatientID": patient, "PatientName": PEOPLE[patient], "Modality": modality}
    (folder / f"{stem}.json").write_text(json.dumps(told))
    more = {"kind": "nifti", "path": str(folder), "name": "more"}
    ward.values["sources"] = [{"kind": "dicom", "path": str(ward.archive), "name": "ward"}, more]


@pytest.mark.full
@pytest.mark.parametrize(
    ("spacing", "modality"),
    [(0.9, "CT"), (1.0, "CT"), (0.9, "MR")],
    ids=["a volume", "refused as its affine is the identity", "refused as no CT"],
)
def test_whose_a_volume_file_is_may_show_only_as_it_is_read(
    ward: Ward, spacing: float, modality: str
):
    ward.run()
    ward.forget(A)
    volume_file(ward, A, spacing, modality)
    for _ in range(2):
        ward.run()
        assert ward.patients() == 1
        assert hits(ward.places, {*WORDS, "scan-of-A"}) == []
        assert ward.wrong() == []
    told = ward.store.read("quarantine", ["stage", "reason"]).to_pylist()
    assert [(row["stage"], row["reason"]) for row in told] == [("discover", "forgotten")] * 3


@pytest.mark.full
@pytest.mark.parametrize("spacing", [0.9, 1.0], ids=["a volume", "refused"])
def test_what_is_read_with_a_volume_file_goes_with_it(ward: Ward, spacing: float):
    volume_file(ward, B, 0.8)
    volume_file(ward, A, spacing)
    ward.run()
    assert hits(ward.places, {"scan-of-A"})
    ward.forget(A)
    assert hits(ward.places, {*WORDS, "scan-of-A"}) == []
    assert ward.wrong() == []
    assert hits([ward.folder / "vault"], {"scan-of-B.json", "scan-of-B.raw"})


@pytest.mark.full
def test_everybody_may_leave(ward: Ward):
    ward.values["pair"] = {"split_file": str(ward.folder / "split.csv")}
    (ward.folder / "split.csv").write_text(f"patient_id,split\n{A},test\n")
    ward.add(series(A))
    ward.run(*IMAGES, "split")
    ward.forget("1.2.3.1.1", "study_uid")
    assert hits(ward.places, {"Habsburg", "1.2.3.1"}) == []
    assert ward.wrong() == []
    ward.forget(A)
    assert hits(ward.places, WORDS) == []
    ward.run(*IMAGES, "split")
    assert ward.wrong() == []
    ward.forget(B)
    assert hits(ward.places, {*WORDS, B, "Zweistein"}) == []
    assert ward.wrong() == []
    assert ward.run(*IMAGES, "split").set_aside == {"out_of_scope:forgotten": 12}
    assert ward.wrong() == []


@pytest.mark.full
def test_a_study_that_shared_a_report_waits_for_another(ward: Ward):
    ward.add(series(B, 2))  # all series of this ward bear one accession number
    listed = ward.folder / "reports.csv"
    ward.values["reports"] = [{"path": str(listed)}]
    stages = (*IMAGES, "versions", "match", "reports", "split", "pair")
    listed.write_text(
        "accession,report\nACC00017,FINDINGS: There is a saffron cyst in the liver.\n"
    )
    assert ward.run(*stages).tables["anatomy_texts"] > 50
    assert len(ward.store.read("study_reports")) == 2
    done = ward.forget("1.2.3.2.1", "study_uid")
    ((kept,),) = (ward.store.read("volumes", ["study_id"]).to_pydict().values(),)
    assert done.journal.rows.affected == {"pair": kept}
    assert hits(ward.places, {"saffron", "1.2.3.2.1"}) == []
    assert ward.wrong() == []
    for _ in range(2):
        summary = ward.run(*stages)
        assert summary.waiting == {"study waits for report": 1}
        assert summary.set_aside == {"out_of_scope:forgotten": 7}
        assert hits(ward.places, {"saffron"}) == []
        assert ward.wrong() == []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3-protocol server on the loopback interface."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    S3FileSystem(use_listings_cache=False).mkdir("ward")
    yield "s3://ward/store"
    server.stop()


@pytest.mark.full
def test_a_store_in_a_bucket_forgets_as_well(ward: Ward, bucket: str):
    ward.values["store"] = bucket
    ward.add(series(A))
    ward.run()
    filesystem = S3FileSystem(use_listings_cache=False)

    def copied(name: str) -> Path:
        filesystem.get("ward/store", str(ward.folder / name), recursive=True)
        return ward.folder / name

    rows = Store.open(bucket).read("candidates").to_pylist()
    ids = {row["patient_id"] for row in rows if hits([copied("one")], {row["volume_id"]})}
    (other,) = {row["patient_id"] for row in rows} - {
        keyed_id(Vault.open(ward.folder / "vault").key, "p", link_key("patient_id", A))
    }
    (gone,) = ids - {other}
    ward.forget(A)
    left = copied("two")
    assert hits([left, ward.folder / "vault"], {*WORDS, gone}) == []
    assert hits([left], {other})
    context = open_context(ward.config(), create=False)
    found = [*verify(context.store, build_stages(ward.config())), *checks(context)]
    assert [check.name for check in found if not check.passed] == []
    assert ward.run().set_aside == {"out_of_scope:forgotten": 6}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    "change", [11, *(pytest.param(one, marks=pytest.mark.full) for one in range(60))]
)
def test_cut_off_anywhere_the_next_one_finishes(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, change: int
):
    ward.add(series(A))
    ward.add(series(A, 2))
    ward.run()
    done = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done > change:
                raise Killed
            return original(*args, **named)

        return call

    with monkeypatch.context() as patch:
        for owner, name in (
            *((Store, one) for one in ("write_bytes", "replace", "remove")),
            (forgetting, "erase_history"),
            *((Vault, one) for one in ("remember_forgotten", "erase", "keep_note", "drop_note")),
        ):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        with contextlib.suppress(Killed):
            ward.forget(A)
    for mark in (ward.folder / "store" / "leases").glob("*"):
        # as of a process that is no more
        mark.write_text(json.dumps({**json.loads(mark.read_text()), "process": 2**22 + 1}))
    context = open_context(ward.config(), create=False)
    if not forgetting.resume(context, ward.config()) and ward.patients() == 2:
        ward.forget(A)  # nothing had begun
    assert hits(ward.places, WORDS) == []
    assert ward.wrong() == []
    assert ward.patients() == 1
    assert ward.run().set_aside == {"out_of_scope:forgotten": 12}
