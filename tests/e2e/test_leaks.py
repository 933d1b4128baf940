"""Planted identities are searched in every byte that a run wrote and printed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
import zarr

from fvlm_data.reports import ReportParser
from fvlm_data.store.tables import Store
from tests.e2e.planted import ARCHIVE, PLANTED, REPORT, REPORTS, make_archive, planted_tags
from tests.e2e.planted_names import PEOPLE

REFUSE_NETWORK = Path(__file__).parent / "refuse_network"
FORMS = tuple({form.encode() for p in PLANTED for form in (p, p.upper(), p.lower())})

SMALLEST = {"preset": "small", "anatomies": ["lung"], "steps": 2, "threads": 1, "batch_size": 2}


@dataclass(frozen=True)
class Chain:
    """What a run of every command over the planted archive left behind."""

    folder: Path
    printed: str
    network: str

    @property
    def store(self) -> Path:
        return self.folder / "store"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """All commands, in processes of their own that refuse the network, logging at DEBUG."""
    folder = tmp_path_factory.mktemp("leaks")
    archive = make_archive(folder)
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    config = {
        "store": str(folder / "store"),
        "sources": [{"kind": "dicom", "path": str(archive)}],
        "reports": [{"path": str(folder / REPORTS)}],
        "select": {"policy": "thinnest_soft_tissue_axial"},
        "segment": {"backend": "threshold"},
        "shard": {"spacing_mm": [6.0, 6.0, 8.0]},
        "pair": {"split": {"train": 1.0, "validation": 0.0, "test": 0.0}},
        "execution": {"workers": 2},
        "train": SMALLEST,
        "evaluate": {"preset": "small", "min_positive_patients": 1, "bootstrap_samples": 20},
    }
    (folder / "curate.yaml").write_text(yaml.safe_dump(config))
    environment = {
        "FVLM_LOG": "DEBUG",
        "FVLM_VAULT": str(folder / "vault"),
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "NETWORK_LOG": str(folder / "network.txt"),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(REFUSE_NETWORK), str(Path.cwd())]),
        "TMPDIR": str(folder / "temporary"),
    }
    printed = ""

    def run(*command: str, main: str = "fvlm_data.cli.main:main") -> None:
        nonlocal printed
        module, _, function = main.partition(":")
        script = f"from {module} import {function}; {function}()"
        done = subprocess.run(
            [sys.executable, "-c", script, *command],
            env=environment, cwd=folder, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        printed += done.stdout + done.stderr
        assert done.returncode == 0, printed

    store = ("--store", str(folder / "store"))
    run("reports", str(folder / REPORTS), *store)  # before any header is known
    run("curate", str(folder / "curate.yaml"))
    metrics = f"monitoring.metrics={folder / 'fvlm.prom'}"
    run("curate", str(folder / "curate.yaml"), "--set", "monitoring.log=json", "--set", metrics)
    run("curate", str(folder / "curate.yaml"), "--dry-run")
    run("verify", *store)
    run("status", *store)
    for form in ("tables", "webdataset", "monai", "huggingface", "nnunet", "dicom"):
        run("export", form, str(folder / "exported" / f"Dataset001_{form}"), *store)
    sample = Store.open(folder / "store").read("samples", ["sample_id"])["sample_id"].to_pylist()
    run("explain", sample[0], *store)
    run("pair", "--audit", "--labels", str(write_labels(folder)), "--json", *store)
    trained = str(folder / "trained")
    run(str(folder / "curate.yaml"), *store, "--out", trained, main="fvlm_train.cli:train_main")
    run(
        "zero-shot", trained, *store, "--config", str(folder / "curate.yaml"), "--split", "train",
        main="fvlm_train.cli:eval_main",
    )  # fmt: skip
    log = folder / "network.txt"
    return Chain(folder, printed, log.read_text() if log.exists() else "")


def write_labels(folder: Path) -> Path:
    """Labels that contradict the report on every finding, so that its sentences are shown."""
    with (folder / REPORTS).open(encoding="utf-8", newline="") as handle:
        study = list(csv.reader(handle))[1][0]
    found = ReportParser().parse_many([REPORT])
    (labels,) = [parsed.ct_rate_labels() for parsed in found]
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        wrong = [1 - value for value in labels.values()]
        csv.writer(handle).writerows([["StudyInstanceUID", *labels], [study, *wrong]])
    return path


def hits(content: bytes) -> list[bytes]:
    return [form for form in FORMS if form in content]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder`: its path, bytes as they lie, and what is compressed in them."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield f"name of {name}", name.encode()
        if path.name == "zarr.json" and json.loads(path.read_bytes()).get("node_type") == "array":
            yield f"array {name}", zarr.open_array(path.parent, mode="r")[...].tobytes()
        if not path.is_file():
            continue
        raw = path.read_bytes()
        yield name, raw
        if path.suffix == ".gz":
            yield f"decompressed {name}", zlib.decompress(raw, wbits=31)
        if path.suffix == ".parquet":
            yield f"rows of {name}", str(pq.read_table(path).to_pylist()).encode()


def test_the_archive_was_planted_and_the_chain_ran(chain: Chain):
    assert len(list(planted_tags())) > 1700
    opened = Store.open(chain.store)
    assert opened.count("samples") == 2
    reasons = set(opened.read("quarantine", ["reason"])["reason"].to_pylist())
    assert {"too_few_slices", "secondary_capture", "kernel_not_soft_tissue"} <= reasons
    reports = sorted(opened.read("reports", ["text"])["text"].to_pylist())
    for words in ("lungs are clear", "right upper lobe", "free of disease"):
        assert len([text for text in reports if words in text]) == 1
    assert len(hits(REPORT.encode())) > 4
    source = (chain.folder / ARCHIVE / "Mustermann notes.txt").read_bytes()
    assert hits(source) == [b"Mustermann", b"Friederike"] or len(hits(source)) == 2


def test_nothing_but_the_names_is_taken_from_reports_of_names_in_other_forms(chain: Chain):
    reports = Store.open(chain.store).read("reports", ["text"])["text"].to_pylist()
    for person in PEOPLE:
        assert person.left in reports, ascii(person.name)


def test_no_identity_is_in_what_the_run_wrote(chain: Chain):
    searched = 0
    for place in ("store", "exported", "trained", "temporary", "home", "vault"):
        for name, content in contents(chain.folder / place):
            assert hits(content) == [], f"{place}: {name}"
            searched += 1
    assert searched > 200
    assert (chain.folder / "trained" / "checkpoint.pt").is_file()
    exported = chain.folder / "exported"
    assert len(list(exported.iterdir())) == 6
    assert len(list(exported.rglob("*.nii.gz"))) == 8


def test_no_identity_is_in_what_the_run_printed(chain: Chain):
    assert hits(chain.printed.encode()) == []
    assert "v_" in chain.printed
    for told in (
        "is in exactly one place",
        "lungs are clear",  # the audit shows scrubbed sentences
        "2 of train in",
        "texts = datasets.load_dataset",
        "trained 2 of 2 steps",
        " 0 steps without an abnormal anatomy",
        "findings with at least 1 positive patients",
    ):
        assert told in chain.printed


def test_the_chain_asks_for_no_place_off_this_machine(chain: Chain):
    assert chain.network == ""


def test_the_refusal_works(tmp_path: Path):
    """Else the test above could not fail."""
    environment = {
        "NETWORK_LOG": str(tmp_path / "network.txt"),
        "PYTHONPATH": str(REFUSE_NETWORK),
    }
    for call in (
        "socket.create_connection(('192.0.2.1', 80), 1)",
        "socket.getaddrinfo('example.org', 80)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"import socket; {call}"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "this test refuses the network" in done.stderr
    assert len((tmp_path / "network.txt").read_text().splitlines()) == 3


def test_the_search_finds_what_is_compressed(tmp_path: Path):
    """Else the tests above could not fail."""
    import gzip

    import numpy as np
    import pyarrow as pa

    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x Mustermann"))
    for codec in ("snappy", "zstd"):
        table = pa.table({"c": ["x Friederike " + "y" * 300] * 50})
        pq.write_table(table, tmp_path / f"{codec}.parquet", compression=codec)
    array = zarr.create_array(tmp_path / "b.zarr", shape=(30,), dtype="uint8", chunks=(30,))
    array[:] = np.frombuffer(b"PAT-004217".ljust(30), np.uint8)
    found = {name for name, content in contents(tmp_path) if hits(content)}
    assert {"decompressed a.gz", "rows of zstd.parquet", "array b.zarr/zarr.json"} <= found
    assert "rows of snappy.parquet" in found
