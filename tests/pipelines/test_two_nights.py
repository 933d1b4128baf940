"""Two nights of docker-compose.yml's services, as processes: what comes late, goes, kills and dies.

Night 1 takes what Orthanc holds. Then slices that were missing come, a report is corrected, a
patient withdraws, and a series comes that crashes its decoder; a Dask worker is killed in night 2.
After each step `verify` reads everything, and nothing of who withdrew is left in any byte.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pydicom
import pytest
import yaml
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.phantom import generate
from fvlm_data.store.tables import Store
from tests.forget.searched import hits, ids_of, originals
from tests.lacking import lacking
from tests.pipelines.composed import PASSWORD, ROOT, SERVICES, USER, Here, settled_in
from tests.servers import PATIENCE_S, postgres, started

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .conftest import Shell

HOOK = ROOT / "tests" / "isolation" / "hook" / "sitecustomize.py"
RUN = ("prefect-server", "dask-scheduler", "dask-worker", "prefect-worker", "orthanc")
LATE = 5
"""Slices of a study that come in the second night."""

CORRECTION = (
    "CORRECTED REPORT\nFINDINGS: There is a hepatic cyst of 31 mm.\nIMPRESSION: Hepatic cyst."
)
COLUMNS = ("report_id", "study_uid", "accession", "report_status", "report_time", "report")

pytestmark = [
    pytest.mark.full,
    pytest.mark.network,
    pytest.mark.prefect,
    pytest.mark.timeout(1200),
]


@dataclass
class Hospital:
    """What the archive holds: patients by what becomes of them, each a folder of DICOM files."""

    phantom: Path
    late: Path
    corrected: Path
    withdrawn: Path
    deadly: Path

    def files(self, patient: Path) -> list[Path]:
        return sorted(path for path in patient.rglob("*") if path.is_file())

    def late_slices(self) -> list[Path]:
        """The slices at one end of the patient's only series."""
        place = {path: pydicom.dcmread(path).ImagePositionPatient[2] for path in
                 self.files(self.late)}  # fmt: skip
        return sorted(place, key=lambda path: float(place[path]))[-LATE:]

    def header(self, patient: Path) -> Any:
        return pydicom.dcmread(self.files(patient)[0], stop_before_pixels=True)

    def report_rows(self) -> list[list[str]]:
        rows = []
        for table in sorted(self.phantom.glob("reports_abdomen.csv")):
            with table.open(encoding="utf-8", newline="") as handle:
                for number, row in enumerate(csv.DictReader(handle)):
                    told = [f"R{number}", row["study_uid"], row["accession"]]
                    rows.append([*told, "final", "2026-03-01 08:00", row["report"]])
        return rows


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    folder = tmp_path_factory.mktemp("hospital") / "phantom"
    generate(folder, patients=4, seed=11)
    studies = {one: len(list(one.iterdir())) for one in sorted((folder / "dicom").iterdir())}
    by_number = sorted(studies, key=lambda one: (studies[one], one.name))
    late, corrected, deadly, withdrawn = by_number
    return Hospital(folder, late, corrected, withdrawn, deadly)


@dataclass
class Nights:
    """The services at work, and the lines of what was done and found."""

    here: Here
    folder: Path
    configuration: Path
    lines: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.here.folder / "store"

    def opened(self) -> Store:
        return Store.open(self.store)

    def say(self, *lines: str) -> None:
        self.lines.extend(lines)

    def told(self, *arguments: str) -> str:
        """What a command prints, which must succeed."""
        done = CliRunner().invoke(app, [*arguments, "--store", str(self.store)])
        assert done.exit_code == 0, done.output
        return done.output

    def verified(self) -> None:
        found = json.loads(self.told("verify", "--deep", "--json"))
        assert [one["name"] for one in found if not one["passed"]] == []
        self.say("$ fvlm-data verify --deep --store /store",
                 f"{len(found)} statements hold")  # fmt: skip

    def begun(self) -> subprocess.Popen[str]:
        """A night through Prefect's deployment."""
        words = ["prefect", "deployment", "run", "curate/curate", "-p"]
        self.say(f"$ {' '.join(words)} config=/data/curate.yaml --watch")
        return subprocess.Popen(
            [*words, f"config={self.configuration}", "--watch"],
            cwd=self.folder, env=self.here.environment("deploy"), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def ended(self, night: subprocess.Popen[str]) -> dict[str, Any]:
        """The record of a night, which must have run to its end."""
        told, _ = night.communicate(timeout=PATIENCE_S)
        logs = "\n".join(one.read_text() for one in self.folder.glob("*.log"))
        assert "Completed" in told, told + logs
        record = self.record()
        for stage, counts in record["stages"].items():
            shown = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
            if shown:
                self.say(f"  {stage:17} {shown}")
        return record

    def record(self) -> dict[str, Any]:
        newest = max((self.store / "runs").glob("*.json"), key=lambda one: one.stat().st_mtime_ns)
        found: dict[str, Any] = json.loads(newest.read_text())
        return found

    def reasons(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.opened().read("quarantine").to_pylist():
            found[row["reason"]] = found.get(row["reason"], 0) + 1
        return dict(sorted(found.items()))


def uploaded(here: Here, paths: Iterable[Path]) -> None:
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for path in paths:
        request = urllib.request.Request(
            f"http://127.0.0.1:{here.ports['8042']}/instances",
            path.read_bytes(),
            {"Authorization": f"Basic {secret}"},
        )
        urllib.request.urlopen(request, timeout=60).close()


def written(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([COLUMNS, *rows])


def configured(folder: Path, hospital: Hospital) -> Path:
    (folder / "data").mkdir()
    settings = {
        "store": "/store",
        "sources": [{"kind": "dicomweb", "name": "pacs", "url": "set by the test"}],
        "reports": [{"path": str(folder / "data" / "reports.csv")}],
        "segment": {
            "backend": "precomputed",
            "masks": str(hospital.phantom / "masks" / "manifest.csv"),
            "classes": str(hospital.phantom / "masks" / "classes.yaml"),
        },
        "shard": {"spacing_mm": [6.0, 6.0, 6.0], "dtype": "uint8", "samples_per_shard": 3},
        "pair": {"split": {"train": 1.0, "validation": 0.0, "test": 0.0}},
        "qc": {"enabled": False},
        "execution": {"workers": 2, "limits": {"ingest": {"seconds": 120}}},
    }
    path = folder / "data" / "curate.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def until(condition: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def kill_a_worker() -> None:
    """End one of the processes that Dask's nannies keep, without a word."""
    (service,) = [one for one in psutil.Process().children() if "worker" in one.cmdline()
                  and any("dask" in word for word in one.cmdline())]  # fmt: skip
    workers = [one for one in service.children() if any("spawn" in word for word in one.cmdline())]
    workers[0].kill()


def shapes(store: Store) -> dict[str, list[int]]:
    rows = store.read("volumes", ["series_id", "shape"]).to_pylist()
    return {row["series_id"]: row["shape"] for row in rows}


def test_two_nights(
    hospital: Hospital, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        lacking("the Debian package orthanc is not installed", "servers")
    configuration = configured(tmp_path, hospital)
    audit = Path(shell.environment["PYTHONPATH"]) / "sitecustomize.py"
    audit.write_text(audit.read_text() + HOOK.read_text().replace("from __future__", "# from"))
    deadly = str(hospital.header(hospital.deadly).SeriesInstanceUID)
    shell.environment.update(
        FVLM_DICOMWEB_USER=USER,
        FVLM_DICOMWEB_PASSWORD=PASSWORD,
        FVLM_TEST_POISON=json.dumps({"pixels": ["crash", deadly]}),
    )
    with ExitStack() as stack:
        url = stack.enter_context(postgres(tmp_path))
        with psycopg.connect(f"postgresql:{url}", autocommit=True) as connection:
            connection.execute("CREATE DATABASE prefect")
        here = Here(tmp_path, url.rsplit(":", 1)[1].split("/")[0], shell)
        settled_in(here, configuration)
        told = yaml.safe_load(configuration.read_text())
        told["sources"][0]["url"] = f"http://127.0.0.1:{here.ports['8042']}/dicom-web"
        configuration.write_text(yaml.safe_dump(told))
        monkeypatch.setenv("FVLM_VAULT", here.environment("dask-worker")["FVLM_VAULT"])
        for name in RUN:
            log = stack.enter_context(started(here.command(name), tmp_path, here.environment(name)))
            if "healthcheck" in SERVICES[name]:
                here.wait_until_healthy(name, log)
        prefect = {**here.environment("deploy"), "PWD": str(ROOT)}
        subprocess.run(here.command("deploy"), cwd=ROOT, env=prefect, check=True)
        _two_nights(Nights(here, tmp_path, configuration), hospital)
    # what Prefect, Dask and the flows wrote down names nobody who withdrew
    names = originals(hospital.withdrawn)
    assert len(names) > 5
    logs = "\n".join(one.read_text(errors="replace") for one in tmp_path.glob("*.log"))
    assert "was killed by signal 9" in logs
    assert "Restarting worker" in logs
    assert [one for one in names if one in logs] == []


def _two_nights(nights: Nights, hospital: Hospital) -> None:
    here, late = nights.here, hospital.late_slices()
    table = nights.folder / "data" / "reports.csv"
    rows = hospital.report_rows()
    written(table, rows)
    first = [
        *(one for one in hospital.files(hospital.late) if one not in late),
        *hospital.files(hospital.corrected),
        *hospital.files(hospital.withdrawn),
    ]
    uploaded(here, first)
    nights.say("# night 1", f"Orthanc holds {len(first)} instances; {len(rows)} reports")
    record = nights.ended(nights.begun())
    assert record["stages"]["ingest"]["accepted"] == 4
    nights.say(f"set aside: {nights.reasons()}")
    nights.verified()
    before = shapes(nights.opened())

    # in the daytime: a patient withdraws
    patient = str(hospital.header(hospital.withdrawn).PatientID)
    mine = _of_patient(nights.opened(), hospital)
    words = originals(hospital.withdrawn) | mine
    assert len(mine) > 50
    nights.say("# the day between", "$ fvlm-data forget PATIENT --kind patient_id --store /store")
    nights.told("forget", patient, "--kind", "patient_id")
    assert hits(_places(nights), words) == []
    nights.say(f"{len(words)} names, UIDs, ids and tokens of the patient: in no byte of "
               "store and vault")  # fmt: skip
    nights.verified()

    header = hospital.header(hospital.corrected)
    correction = ["R9", str(header.StudyInstanceUID), str(header.AccessionNumber), "corrected",
                  "2026-03-02 09:30", CORRECTION]  # fmt: skip
    written(table, [*rows, correction])
    second = [*late, *hospital.files(hospital.deadly)]
    uploaded(here, second)
    nights.say("# night 2", f"Orthanc has {len(second)} instances more: {LATE} late slices, and a "
               "series that crashes its decoder; one report is corrected")  # fmt: skip
    earlier = nights.record()["run_id"]
    night = nights.begun()
    until(lambda: nights.record()["run_id"] != earlier, "no second night began")
    until(lambda: "discover ingest" in nights.record()["stage_seconds"], "it did not look around")
    kill_a_worker()
    nights.say("(a Dask worker is killed)")
    nights.ended(night)
    nights.say(f"set aside: {nights.reasons()}")
    nights.verified()
    assert hits(_places(nights), words) == []
    nights.say(
        "of the patient who withdrew, and is still in Orthanc: in no byte of store and vault"
    )
    _check_second(nights, hospital, before)
    (nights.folder / "transcript.txt").write_text("\n".join(nights.lines))


def _check_second(nights: Nights, hospital: Hospital, before: dict[str, list[int]]) -> None:
    store, after = nights.opened(), shapes(nights.opened())
    assert len(after) == 2  # of four: two of who withdrew; the deadly one is set aside
    grown = [one for one in after if after[one] != before[one]]
    assert [after[one][2] - before[one][2] for one in grown] == [LATE]
    reasons = nights.reasons()
    assert reasons["crashed"] == reasons["corrected_report"] == 1
    # all that Orthanc, the table and the folder of masks offer of who withdrew
    assert reasons["forgotten"] == len(hospital.files(hospital.withdrawn)) + 2
    findings = store.read("findings").to_pylist()
    assert 31.0 in {row["size_mm"] for row in findings}
    samples = store.read("samples", ["volume_id"]).to_pylist()
    volumes = store.read("volumes", ["volume_id"]).to_pylist()
    assert {row["volume_id"] for row in samples} == {row["volume_id"] for row in volumes}


def _of_patient(store: Store, hospital: Hospital) -> set[str]:
    """Every id of the only patient with two studies."""
    rows = store.read("volumes", ["patient_id", "study_id"]).to_pylist()
    studies: dict[str, set[str]] = {}
    for row in rows:
        studies.setdefault(row["patient_id"], set()).add(row["study_id"])
    (patient,) = [one for one, told in studies.items() if len(told) == 2]
    mine = {*ids_of(store, studies[patient]), patient}
    others = [one for who, told in studies.items() if who != patient for one in told]
    return mine - ids_of(store, others)


def _places(nights: Nights) -> tuple[Path, Path]:
    return nights.store, nights.here.folder / "vault"
