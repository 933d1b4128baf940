"""Image files that a run is told of, as by the events of a bucket, in place of looking for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from series import Series, write
from test_nifti import body, save

from fvlm_data.cli.options import run_command
from fvlm_data.errors import InputError
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery import walk
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.discovery.named_files import names_below, read_addresses

if TYPE_CHECKING:
    from collections import Counter

    from conftest import Ingested

S3 = {"bucket": {"name": "ward"}, "object": {"key": "in/a+b%2Bc.dcm", "size": 3}}
RECORD = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": S3}
BRIDGE = {
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "ward"}, "object": {"key": "in/a b+c.dcm"}},
}


def read(tmp_path: Path, text: str) -> tuple[str, ...]:
    (tmp_path / "events").write_text(text)
    return read_addresses(str(tmp_path / "events"))


@pytest.mark.parametrize(
    "message",
    [
        {"Records": [RECORD]},
        {"EventName": "s3:ObjectCreated:Put", "Key": "ward/in/x", "Records": [RECORD]},
        BRIDGE,
        {"Type": "Notification", "Message": json.dumps({"Records": [RECORD]})},
        {"Messages": [{"Body": json.dumps({"Records": [RECORD]})}, {"Body": json.dumps(BRIDGE)}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_an_event_names_its_object(
    tmp_path: Path, message: dict[str, Any], indent: int | None
) -> None:
    assert read(tmp_path, json.dumps(message, indent=indent)) == ("s3://ward/in/a b+c.dcm",)


def test_lines_are_addresses_and_messages_and_each_is_taken_once(tmp_path: Path) -> None:
    lines = ["s3://ward/in/x", "", json.dumps(BRIDGE), "/data/one.dcm", json.dumps(BRIDGE)]
    found = read(tmp_path, "\n".join(lines))
    assert found == ("s3://ward/in/x", "s3://ward/in/a b+c.dcm", "/data/one.dcm")


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "ward"},
        {"Records": [{**RECORD, "eventName": "ObjectRemoved:Delete"}]},
        {**BRIDGE, "detail-type": "Object Deleted"},
    ],
)
def test_what_tells_of_no_new_object_names_none(tmp_path: Path, message: dict[str, Any]) -> None:
    assert read(tmp_path, json.dumps(message)) == ()


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '["x", {"Records": [{"eventName": "ObjectCreated:Put"}]}]', "{"]
)
def test_what_is_no_event_stops_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="line 1 is no address and no event message"):
        read(tmp_path, text)


def test_a_file_that_is_not_there_and_a_dry_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_addresses(str(tmp_path / "nowhere"))
    (tmp_path / "events").write_text("s3://a/b\n")
    (tmp_path / "config.yaml").write_text("store: store\n")
    with pytest.raises(InputError, match="leave --keys out"):
        run_command(
            "curate", None, tmp_path / "config.yaml", [], {},
            as_json=False, dry_run=True, keys=str(tmp_path / "events"),
        )  # fmt: skip


def test_addresses_lie_in_a_source_by_its_place_and_never_above_it(tmp_path: Path) -> None:
    bucket = SourceConfig(kind="bucket", url="s3://ward/in/")
    told = ["s3://ward/in/a/b", "s3://ward/inner/x", "s3://ward/in/", "s3://other/in/x", "/ward/in"]
    assert names_below(bucket, told) == ["a/b"]
    folder = SourceConfig(kind="dicom", path=tmp_path / "in")
    told = [str(tmp_path / "in" / "a" / ".." / "b"), f"{tmp_path}/in/../x", f"{tmp_path}/inner/x"]
    assert names_below(folder, told) == ["b"]


def looked(ingested: Ingested, source: SourceConfig, *named: Path) -> Counter[str]:
    context = replace(ingested.context, named=tuple(map(str, named)))
    return discover(context, [source], "plain")


def test_only_what_is_named_is_looked_at_and_ends_as_in_a_whole_look(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    write(Series(series_uid="1.2.3.8", study_uid="1.2.8").datasets(), folder / "old")
    source = SourceConfig(kind="images", path=folder, name="hospital")
    ingested.run(source)
    new = write(Series().datasets(), folder / "new")
    write(Series(series_uid="1.2.3.9", study_uid="1.2.9").datasets(), folder / "unnamed")
    save(folder / "volumes" / "v.nii.gz", body())
    sidecar = folder / "volumes" / "v.json"
    sidecar.write_text('{"PatientID": "PAT-7"}')
    asked: list[str] = []
    real = walk._file
    monkeypatch.setattr(walk, "_file", lambda path, below: asked.append(below) or real(path, below))
    # a folder, a sidecar that brings its volume, what is gone, and what is elsewhere
    counts = looked(
        ingested, source, new[0].parent, sidecar, folder / "gone.dcm", tmp_path / "other.dcm"
    )
    assert sorted(asked) == sorted(
        [*(f"new/{one.name}" for one in new), "volumes/v.json", "volumes/v.nii.gz"]
    )
    assert (counts["files"], counts["named elsewhere"]) == (8, 1)
    ingested.settle(source)
    assert len(ingested.volumes()) == 3
    by_events = ingested.rows("inputs")
    assert ingested.run(source)["files"] == 6 + 6 + 6 + 2
    assert all(row in ingested.rows("inputs") for row in by_events)


def test_nothing_is_looked_at_where_no_event_came(ingested: Ingested, tmp_path: Path) -> None:
    write(Series().datasets(), tmp_path / "in")
    source = SourceConfig(kind="dicom", path=tmp_path / "in", name="hospital")
    assert looked(ingested, source) == {}
    assert ingested.rows("inputs") == []


def test_files_of_a_server_cannot_be_named(ingested: Ingested) -> None:
    source = SourceConfig(kind="dicomweb", url="http://127.0.0.1:9/dicom-web")
    context = replace(ingested.context, named=("http://127.0.0.1:9/dicom-web/studies/1",))
    with pytest.raises(InputError, match="kind dicomweb cannot look at alone"):
        discover(context, [source], "plain")
