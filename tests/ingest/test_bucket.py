"""Objects of an S3-compatible bucket as a source: against moto's server, on loopback."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import logging
import secrets
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from s3_proxy import Asked, Proxy, proxied
from s3fs import S3FileSystem
from series import Series, set_hu, write
from test_arriving import Clock
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import ConfigError, InputError, MachineError
from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.discovery.listed import forget_listings, listing_path
from fvlm_data.ingest.sources import objects
from fvlm_data.ingest.sources.read_in_part import PART_BYTES
from fvlm_data.inspect.doctor.places import place_checks
from fvlm_data.inspect.doctor.services import service_checks
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from conftest import Ingested

FULL = pytest.mark.full
OFTEN = {("listing", "403"), ("discovery", "cut"), ("ingest", "500")}
"""Places and faults of a server that are tried in each run of tests."""

DAY = 24 * 60.0
BEFORE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The address of an S3 server on the loopback interface."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Bucket:
    """A bucket with a prefix that holds a hospital's files, and the proxy by which it is asked."""

    name: str
    proxy: Proxy

    def put(self, key: str, content: bytes, when: dt.datetime = BEFORE) -> None:
        server = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        server.put_object(self.name, key, content)
        server.buckets[self.name].keys[key].last_modified = when.replace(tzinfo=None)

    def fill(self, folder: Path, below: str = "in", when: dt.datetime = BEFORE) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                self.put(f"{below}/{name}", path.read_bytes(), when)

    def remove(self, key: str) -> None:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].delete_object(self.name, key)

    def source(self, below: str = "in", **told: Any) -> SourceConfig:
        return SourceConfig(kind="bucket", url=f"s3://{self.name}/{below}", name="hospital", **told)

    def bytes_of(self, asked: list[Asked]) -> dict[str, int]:
        """Bytes that came of each object, by key."""
        found: dict[str, int] = {}
        for one in asked:
            if one.method == "GET" and "/" in one.path:
                key = one.path.partition("/")[2]
                found[key] = found.get(key, 0) + one.sent
        return found


@pytest.fixture
def bucket(upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with proxied(upstream) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setattr(objects, "PAUSES_S", (0.0, 0.0))
        monkeypatch.setattr(S3FileSystem, "retries", 2)
        S3FileSystem.clear_instance_cache()
        objects._filesystem.cache_clear()
        name = f"ward-{secrets.token_hex(6)}"
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(name, "us-east-1")
        yield Bucket(name, proxy)
        S3FileSystem.clear_instance_cache()
        objects._filesystem.cache_clear()


def told(ingested: Ingested, table: str, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    rows = [
        {name: one for name, one in row.items() if name not in without}
        for row in ingested.rows(table)
    ]
    return sorted(rows, key=repr)


def nifti(folder: Path, name: str, seed: int, sidecar: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = Series(seed=seed).image_hu().T
    affine = np.diag([-0.7, -0.8, 2.5, 1.0])
    nib.save(nib.Nifti1Image(values, affine), folder / name)
    if sidecar:
        (folder / f"{name.partition('.')[0]}.json").write_text(json.dumps({"PatientID": sidecar}))


FORMS = ("dicom", "nii", "nii.gz", "mha", "mhd", "text")
ARCHIVES = st.lists(
    st.tuples(
        st.sampled_from(FORMS),
        st.sampled_from(["a", "a/b", "ä b+c/%41", "2026/03/01"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
Twice = tuple["Ingested", "Ingested"]


@pytest.fixture
def make_twice(
    make_ingested: Callable[[Path], Ingested], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Twice]:
    """Makes two empty stores of one vault."""

    def make() -> Twice:
        place = tmp_path_factory.mktemp("stores")
        one, other = (make_ingested(place / name) for name in ("one", "other"))
        # two contents under one key: neither knows the other's files
        (other.context.vault.folder / "key").write_bytes(
            (one.context.vault.folder / "key").read_bytes()
        )
        vault = Vault.open(other.context.vault.folder)
        return one, replace(other, context=replace(other.context, vault=vault))

    return make


def check_same(twice: Twice, bucket: Bucket, folder: Path, below: str) -> None:
    by_folder, by_bucket = twice
    bucket.fill(folder, below)
    by_folder.run(SourceConfig(kind="images", path=folder, name="hospital"))
    by_bucket.run(bucket.source(below))
    # what only spares a second reading is the place's own
    own = ("modified_ns", "inode")
    for table in ("inputs", "quarantine", "candidates", "volumes", "links"):
        assert told(by_bucket, table, own) == told(by_folder, table, own), table
    for row in by_bucket.volumes():
        np.testing.assert_array_equal(by_bucket.image(row), by_folder.image(row))


@pytest.mark.full
@given(archive=ARCHIVES)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bucket_gives_the_rows_and_pixels_of_the_folder_it_was_filled_from(
    make_twice: Callable[[], Twice],
    tmp_path_factory: pytest.TempPathFactory,
    bucket: Bucket,
    archive: list[tuple[str, str, bool]],
) -> None:
    folder = tmp_path_factory.mktemp("world")
    for number, (kind, below, odd) in enumerate(archive):
        _lay_down(folder / below, kind, number, odd=odd)
    check_same(make_twice(), bucket, folder, f"in{secrets.token_hex(4)}")


def test_a_bucket_with_a_file_of_each_form_gives_the_rows_and_pixels_of_the_folder(
    make_twice: Callable[[], Twice], bucket: Bucket, tmp_path: Path
) -> None:
    for number, kind in enumerate(FORMS):
        _lay_down(tmp_path / "ä b+c/%41", kind, number, odd=kind == "nii.gz")
    twice = make_twice()
    check_same(twice, bucket, tmp_path, "in")
    assert len(twice[1].volumes()) == 4  # one looks as if it were cut


def _lay_down(folder: Path, kind: str, number: int, *, odd: bool) -> None:
    """A series or volume, an odd one with a fault or with what lies beside it."""
    if kind == "dicom":
        datasets = Series(
            series_uid=f"1.2.3.{number}", study_uid=f"1.2.{number}", seed=number
        ).datasets()
        write(datasets[:2] + datasets[3:] if odd else datasets, folder / f"s{number}")
    elif kind.startswith("nii"):
        nifti(folder, f"v{number}.{kind}", number, "PAT-7" if odd else "")
    elif kind in ("mha", "mhd"):
        import SimpleITK as sitk  # noqa: N813

        folder.mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray(Series(seed=number).image_hu())
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((1.0, 2.0, 3.0))
        sitk.WriteImage(image, str(folder / f"v{number}.{kind}"), useCompression=odd)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"notes{number}.txt").write_text("" if odd else "nothing of interest\n" * 9)


def test_discovery_reads_headers_and_ingest_each_object_once(
    ingested: Ingested, bucket: Bucket, tmp_path: Path
) -> None:
    large = Series(rows=400, columns=300)
    write(large.datasets(), tmp_path / "in")
    bucket.fill(tmp_path / "in")
    sizes = {f"in/{one.name}": one.stat().st_size for one in (tmp_path / "in").iterdir()}
    discover(ingested.context, [bucket.source()], "plain")
    seen = bucket.bytes_of(bucket.proxy.since())
    assert seen.keys() == sizes.keys()
    assert max(seen.values()) <= 2 * PART_BYTES < min(sizes.values())
    ingested.settle(bucket.source())
    assert bucket.bytes_of(bucket.proxy.since()) == sizes
    np.testing.assert_array_equal(ingested.image(ingested.volume()).T, large.image_hu())


def test_what_is_unchanged_is_not_asked_for_and_what_changed_is(
    ingested: Ingested, bucket: Bucket, tmp_path: Path
) -> None:
    datasets = Series().datasets()
    paths = write(datasets, tmp_path / "in")
    bucket.fill(tmp_path / "in")
    ingested.run(bucket.source())
    first = ingested.volume()["content_sha256"]
    bucket.proxy.since()
    assert ingested.run(bucket.source()) == {"files": 6, "unchanged": 6}
    assert bucket.bytes_of(bucket.proxy.since()) == {}
    key = f"in/{paths[2].name}"
    bucket.put(key, paths[2].read_bytes(), BEFORE + dt.timedelta(days=1))
    counts = discover(ingested.context, [bucket.source()], ingested.naming)
    assert counts == {"files": 6, "unchanged": 5, "accepted": 1}
    assert ingested.settle(bucket.source()) == {}  # it was read, and is as it was
    assert set(bucket.bytes_of(bucket.proxy.since())) == {key}
    assert ingested.volume()["content_sha256"] == first
    # of one size and one second: the ETag alone tells
    hu = Series().image_hu()[2]
    set_hu(datasets[2], hu + 1)
    stream = io.BytesIO()
    datasets[2].save_as(stream, enforce_file_format=True)
    bucket.put(key, stream.getvalue(), BEFORE + dt.timedelta(days=1))
    ingested.run(bucket.source())
    np.testing.assert_array_equal(ingested.image(ingested.volume()).T[2], hu + 1)


@pytest.mark.parametrize("wrong", [pytest.param("500", marks=FULL), pytest.param("503", marks=FULL),
                                   "cut", pytest.param("silence", marks=FULL)])  # fmt: skip
def test_a_server_that_errs_now_and_then_changes_nothing(
    ingested: Ingested,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    if wrong == "silence":
        monkeypatch.setattr(S3FileSystem, "read_timeout", 1.0)
    write(Series(rows=300, columns=200).datasets(), tmp_path / "in")
    bucket.fill(tmp_path / "in")
    seen: dict[tuple[str, str, str], int] = {}

    def trouble(one: Asked) -> str:
        asked = (one.method, one.path, one.ranged)
        seen[asked] = seen.get(asked, 0) + 1
        return wrong if seen[asked] == 1 and len(seen) % 2 else ""

    bucket.proxy.trouble = trouble
    ingested.run(bucket.source())
    assert ingested.reasons() == {}
    np.testing.assert_array_equal(
        ingested.image(ingested.volume()).T, Series(rows=300, columns=200).image_hu()
    )


@pytest.mark.parametrize(
    ("stage", "wrong"),
    [
        pytest.param(stage, wrong, marks=() if (stage, wrong) in OFTEN else FULL)
        for stage in ("listing", "discovery", "ingest")
        for wrong in ("500", "cut", "silence", "403")
    ],
)
def test_a_server_that_stays_away_stops_in_one_sentence_and_settles_nothing(
    ingested: Ingested,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    stage: str,
) -> None:
    if wrong == "silence":
        monkeypatch.setattr(S3FileSystem, "read_timeout", 1.0)
    write(Series().datasets(), tmp_path / "in")
    nifti(tmp_path / "in" / "v", "one.nii.gz", 2)
    bucket.fill(tmp_path / "in")
    if stage == "ingest":
        discover(ingested.context, [bucket.source()], ingested.naming)

    def trouble(one: Asked) -> str:
        if stage == "listing":
            return wrong if "list-type" in one.query else ""
        return wrong if "/in/" in f"/{one.path}" else ""

    bucket.proxy.trouble = trouble
    expected = InputError if (stage, wrong) == ("listing", "403") else MachineError
    run = ingested.settle if stage == "ingest" else ingested.run
    with pytest.raises(expected, match=r"bucket ward-[0-9a-f]+") as found:
        run(bucket.source())
    assert "in/" not in str(found.value)
    assert ingested.rows("quarantine") == ingested.rows("volumes") == []
    assert [row for row in ingested.rows("ledger") if row["stage"] == "ingest"] == []
    bucket.proxy.trouble = lambda one: ""
    ingested.run(bucket.source())
    assert len(ingested.volumes()) == 2
    ingested.check_conserved()


def growing(ingested: Ingested, bucket: Bucket, **told: Any) -> Counter[str]:
    source = bucket.source(**({"keys_grow": True} | told))
    return discover(ingested.context, [source], "token", full_listing_days=30)


def listed_after(asked: list[Asked]) -> list[str]:
    """Where each listing began, those that only look whether there is anything left out."""
    return [one.query.get("start-after", "") for one in asked if "list-type" in one.query][1:]


def day(bucket: Bucket, when: dt.datetime, number: int, slices: slice = slice(None)) -> None:
    """A series whose files lie in the folder of a day."""
    datasets = Series(series_uid=f"1.2.3.{number}", study_uid=f"1.2.{number}").datasets()
    for place, one in list(enumerate(datasets))[slices]:
        stream = io.BytesIO()
        one.preamble = bytes(128)
        one.save_as(stream, enforce_file_format=True)
        bucket.put(f"in/{when:%Y/%m/%d}/{number}/{place}.dcm", stream.getvalue(), when)


def now(clock: Clock) -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.now_s(), dt.UTC)


def test_where_keys_grow_only_what_comes_behind_a_quiet_day_is_listed(
    ingested: Ingested, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    day(bucket, now(clock), 1, slice(5))
    assert growing(ingested, bucket)["accepted"] == 5
    # nothing was a day old yet: a late slice, and a study before it by its key, are found
    clock.minutes += DAY / 2
    day(bucket, now(clock) - dt.timedelta(days=0.5), 0)
    day(bucket, now(clock) - dt.timedelta(days=0.5), 1, slice(5, None))
    bucket.proxy.since()
    assert growing(ingested, bucket)["accepted"] == 7
    clock.minutes += 2 * DAY
    assert growing(ingested, bucket)["unchanged"] == 12
    last = f"in/{now(clock) - dt.timedelta(days=2.5):%Y/%m/%d}/1/5.dcm"
    clock.minutes += DAY
    day(bucket, now(clock), 2)
    bucket.proxy.since()
    counts = growing(ingested, bucket)
    asked = bucket.proxy.since()
    assert (counts["files"], counts["accepted"], counts["passed over"]) == (6, 6, 1)
    assert listed_after(asked) == [last]
    # an object that was put under an old key waits for the listing of everything
    old = now(clock) - dt.timedelta(days=30)
    day(bucket, old, 3)
    assert growing(ingested, bucket)["files"] == 6
    clock.minutes += 30 * DAY
    assert growing(ingested, bucket)["accepted"] == 6
    assert len(ingested.rows("inputs")) == 24


def test_what_could_not_be_read_is_listed_again_where_keys_grow(
    ingested: Ingested, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    day(bucket, now(clock) - dt.timedelta(days=3), 1)
    day(bucket, now(clock) - dt.timedelta(days=2), 2)
    gone = next(iter(s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket.name].keys))

    def trouble(one: Asked) -> str:
        return "404" if one.path.endswith(gone) else ""

    bucket.proxy.trouble = trouble
    assert growing(ingested, bucket)["fault:unreadable_file"] == 1
    bucket.proxy.trouble = lambda one: ""
    assert growing(ingested, bucket)["accepted"] == 1
    bucket.proxy.since()
    assert growing(ingested, bucket) == {"passed over": 1}


def test_the_key_to_go_on_from_is_never_that_of_a_file_which_was_forgotten(
    ingested: Ingested, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    day(bucket, now(clock) - dt.timedelta(days=3), 1)
    growing(ingested, bucket)
    context = ingested.context
    last = max(
        (row["token"] for row in ingested.rows("inputs")),
        key=lambda token: context.vault.file_paths([token])[token],
    )
    (source,) = {row["source"] for row in ingested.rows("inputs")}
    path = listing_path(context, source)
    assert last.encode() in context.store.read_bytes(path)
    context.vault.erase([last])
    forget_listings(context)
    growing(ingested, bucket)
    assert last.encode() not in context.store.read_bytes(path)
    bucket.proxy.since()
    assert growing(ingested, bucket) == {"files": 1, "unchanged": 1, "passed over": 1}


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_an_inventory_stands_in_place_of_a_listing(
    ingested: Ingested, bucket: Bucket, tmp_path: Path, form: str
) -> None:
    write(Series().datasets(), tmp_path / "in" / "ä b+c")
    nifti(tmp_path / "in", "v.nii.gz", 2, "PAT-7")
    bucket.fill(tmp_path / "in")
    bucket.put("other/one", b"x")
    inventory(bucket, "inv/2026-03-01T01-00Z", form)
    bucket.remove("in/v.nii.gz")
    inventory(bucket, "inv/2026-03-02T01-00Z", form)
    source = bucket.source(inventory=f"s3://{bucket.name}/inv")

    def found() -> Counter[str]:
        return discover(ingested.context, [source], "token", full_listing_days=30)

    assert found()["files"] == 7
    by_inventory = told(ingested, "inputs")
    assert all("prefix" not in one.query or one.query["prefix"].startswith("inv")
               for one in bucket.proxy.since())  # fmt: skip
    assert found() == {"passed over": 1}
    inventory(bucket, "inv/2026-03-03T01-00Z", form)
    assert found() == {"files": 7, "unchanged": 7}
    # the bucket's own list tells the same of each object
    listing = discover(ingested.context, [bucket.source()], "token")
    assert listing == {"files": 7, "unchanged": 7}
    assert told(ingested, "inputs") == by_inventory


def inventory(bucket: Bucket, folder: str, form: str) -> None:
    """An inventory of all that the bucket holds but for inventories, in Amazon's form."""
    keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket.name].keys
    rows = [
        (bucket.name, name, one.size, one.last_modified.replace(tzinfo=dt.UTC), one.etag.strip('"'))
        for name, one in keys.items()
        if not name.startswith("inv/")
    ]
    if form == "CSV":
        stream = io.StringIO()
        for name, key, size, when, tag in rows:
            stamp = f"{when:%Y-%m-%dT%H:%M:%S}.000Z"
            csv.writer(stream).writerow([name, quote_plus(key), "true", "false", size, stamp, tag])
        content = gzip.compress(stream.getvalue().encode())
    else:
        names = ("bucket", "key", "size", "last_modified_date", "e_tag")
        columns = {name: list(column) for name, column in zip(names, zip(*rows, strict=True),
                                                               strict=True)}  # fmt: skip
        buffer = io.BytesIO()
        pq.write_table(pa.table({**columns, "is_latest": [True] * len(rows)}), buffer)
        content = buffer.getvalue()
    bucket.put(f"inv/data/{form}", content)
    manifest = {
        "sourceBucket": bucket.name,
        "destinationBucket": f"arn:aws:s3:::{bucket.name}",
        "fileFormat": form,
        "fileSchema": "Bucket, Key, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag",
        "files": [{"key": f"inv/data/{form}", "MD5checksum": md5(content).hexdigest()}],
        "creationTimestamp": folder,
    }
    bucket.put(f"{folder}/manifest.json", json.dumps(manifest).encode())


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"sourceBucket": "another"}, InputError, "is of bucket another, expected ward-"),
        ({"fileFormat": "ORC"}, InputError, "format ORC, expected CSV or PARQUET"),
        ({"fileSchema": "Bucket, Key"}, InputError, "lacks size, lastmodifieddate, etag"),
        ({"files": [{"key": "inv/data/CSV", "MD5checksum": "0"}]}, MachineError, "another content"),
        (None, InputError, r"cannot be read, expected a manifest\.json"),
    ],
)
def test_an_inventory_of_another_form_stops_in_one_sentence(
    bucket: Bucket, change: dict[str, Any] | None, error: type[Exception], text: str
) -> None:
    from fvlm_data.ingest.sources.bucket import find

    bucket.put("in/one.dcm", b"x")
    inventory(bucket, "inv", "CSV")
    if change is None:
        bucket.put("inv/manifest.json", b"[1")
    else:
        keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket.name].keys
        whole = json.loads(keys["inv/manifest.json"].value)
        bucket.put("inv/manifest.json", json.dumps({**whole, **change}).encode())
    source = bucket.source(inventory=f"s3://{bucket.name}/inv/manifest.json")
    with pytest.raises(error, match=text):
        list(find(source))


def test_a_bucket_that_is_empty_or_not_there_and_archives_are_told(
    ingested: Ingested, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"nothing lies below s3://ward-.*check bucket and prefix"):
        ingested.run(bucket.source())
    with pytest.raises(InputError, match="there is no bucket nowhere"):
        ingested.run(SourceConfig(kind="bucket", url="s3://nowhere/in"))
    bucket.put("in/", b"")
    bucket.put("in/export.zip", b"PK")
    ingested.run(bucket.source())
    assert ingested.reasons() == {"fault:archive_in_bucket": 1}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    S3FileSystem.clear_instance_cache()
    objects._filesystem.cache_clear()
    with pytest.raises(InputError, match=r"NoCredentialsError.*AWS_ACCESS_KEY_ID"):
        ingested.run(bucket.source())


def test_a_bucket_is_asked_with_the_keys_of_its_profile_at_the_address_that_it_names(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("in/one.dcm", b"x")
    (tmp_path / "credentials").write_text(
        "[archive]\naws_access_key_id = theirs\naws_secret_access_key = secret\n"
    )
    (tmp_path / "config").write_text(f"[profile archive]\nendpoint_url = {bucket.proxy.url}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    from fvlm_data.ingest.sources.bucket import find

    (found,) = find(bucket.source(profile="archive"))
    assert found.place.profile == "archive"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"kind": "bucket", "url": "https://a/b"}, "begins with s3://"),
        ({"kind": "dicomweb", "url": "s3://a/b"}, "begins with https:// or http://"),
        ({"kind": "bucket", "url": "s3://a", "query": {"a": "b"}}, "query is for DICOMweb"),
        ({"kind": "dicom", "path": "/a", "keys_grow": True}, "for buckets only, found kind dicom"),
        ({"kind": "bucket", "url": "s3://a", "inventory": "/a"}, "inventory: expected an address"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path, told: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        load_config(None, (), {"store": str(tmp_path / "s"), "sources": [told]})


def commanded(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_a_bucket_by_its_commands_and_what_the_store_tells_of_it(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vault_folder: Path
) -> None:
    """From init over a dry run and a night to an event; keys stand nowhere in the store."""
    monkeypatch.setenv("FVLM_VAULT", str(vault_folder))
    monkeypatch.chdir(tmp_path)
    write(Series().datasets(), tmp_path / "in")
    bucket.fill(tmp_path / "in", "Mustermann")
    url = f"s3://{bucket.name}/Mustermann"
    assert f"bucket: {url} (6 files seen)" in commanded("init", url)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["sources"] == [{"kind": "bucket", "url": url}]
    within = ["config.yaml", "--set", "execution.workers=1"]
    read = load_config(tmp_path / "config.yaml")
    checks = {check.name: check for check in place_checks(read)}
    assert checks["stage ingest can begin"].passed
    # of a server's port nothing is said: a first page was asked for
    assert service_checks(read) == []
    bucket.proxy.since()
    dry = commanded("curate", *within, "--dry-run")
    assert "6 image files of sources[0]" in dry
    assert bucket.bytes_of(bucket.proxy.since()) == {}
    curate(read, ["ingest"])
    store = tmp_path / "store"
    written = b"".join(one.read_bytes() for one in store.rglob("*") if one.is_file())
    assert b"Mustermann" not in written
    assert bucket.name.encode() not in written
    revealed = commanded("vault", "places", "--store", str(store))
    assert url in revealed


@pytest.mark.full
def test_processes_of_a_run_tell_of_a_server_that_stays_away(
    bucket: Bucket, tmp_path: Path, vault_folder: Path
) -> None:
    write(Series().datasets(), tmp_path / "in")
    bucket.fill(tmp_path / "in")
    values = {
        "store": str(tmp_path / "store"),
        "sources": [{"kind": "bucket", "url": f"s3://{bucket.name}/in"}],
        "execution": {"workers": 2, "pauses_s": [0.1]},
    }
    read = load_config(None, (), values)
    bucket.proxy.trouble = lambda one: "403" if "/in/" in one.path else ""
    with pytest.raises(MachineError, match="may not be read"):
        curate(read, ["ingest"], isolate=True)
    assert Store.open(tmp_path / "store").read("inputs").num_rows == 0
    bucket.proxy.trouble = lambda one: ""
    assert curate(read, ["ingest"], isolate=True).stages["ingest"]["accepted"] == 1
