"""What queries find in a store: five studies with a report each, and one without."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import fvlm_data
from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.opened.search.results import Found, exported, search
from fvlm_data.opened.store import OpenedStore
from fvlm_data.store.relations import Relations
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import Finding, VolumeCheck
from tests.opened.test_studies import finding, place  # noqa: F401

EN = Vocabulary.load()


@pytest.fixture(scope="module")
def store(place: Path) -> Store:  # noqa: F811
    """The store of tests/opened, with what its images show and two mentions more."""
    opened = Store.open(place)
    rows = [Finding(**row) for row in opened.read("findings").to_pylist()]
    # denied on one side, and told on the other; denied of a study, and told nevertheless
    more = [
        finding("left", "pneumothorax", "absent"),
        finding("both", "pneumothorax", "absent", laterality="left"),
        finding("both", "pneumothorax", laterality="right"),
        finding("each", "abdominal_aortic_aneurysm", anatomy="aorta", severity="mild"),
        finding("denied", "liver_cyst", "uncertain", anatomy="liver"),
    ]
    moved = [replace(one, start=24 + place) for place, one in enumerate(more)]
    opened.replace_all("findings", [*rows, *moved])
    check = VolumeCheck(
        volume_id="v_left0", body_region="chest+abdomen", contrast="unknown", flags=(),
        phase="portal_venous",
    )  # fmt: skip
    opened.replace_all("volume_checks", [check])
    return opened


def found(store: Store, text: str, **where: int) -> Found:
    return search(Relations(store), EN, text, **where)


@pytest.mark.parametrize(
    ("text", "studies"),
    [
        ("pleural effusion", "both each left"),
        ("left pleural effusion", "both each left"),
        ("right pleural effusion", "both each"),
        ("bilateral pleural effusion", "both each"),
        ("pleural effusion > 12 mm", "both each"),
        ("pleural effusion >= 1.2 cm", "both each left"),
        # one mention must be both: the left one of "each" has no size
        ("left pleural effusion > 20 mm", "both"),
        ("pleural effusion 12-25 mm", "each left"),
        # stated to be absent, not merely silent
        ("no pleural effusion", "denied"),
        ("no left pleural effusion", "denied"),
        ("no right pleural effusion", ""),
        # what is denied without a side is denied on each; what is also told is not denied
        ("no pneumothorax", "left"),
        ("no left pneumothorax", "both left"),
        ("not pneumothorax", "bare denied each history left"),
        # told in the clinical information only: nothing that this examination shows
        ("pneumothorax", "both"),
        ('"pneumothorax"', "both denied each history left"),
        # who has an abdominal one has one
        ("aortic aneurysm", "each"),
        ("mild aortic aneurysm", "each"),
        ("severe aortic aneurysm", ""),
        ("possible cyst", "denied"),
        ("pneumothorax or liver cyst", "both"),
        ("pleural effusion, no pneumothorax, age > 60", "left"),
        ("age > 60", "both denied each history left"),
        ("age > 61", ""),
        ("sex m", "bare"),
        ("not female", "bare"),
        ("split test", "bare left"),
        ("region chest", "left"),
        ("region chest+pelvis", ""),
        ("region pelvis or abdomen", "left"),
        ("phase portal venous", "left"),
        ("manufacturer o'neill, men", "bare"),
        ('"& CYST"', "both denied each history left"),
        ('"cys"', ""),
        ('"effusion</b>  &"', "both denied each history left"),
        ('"effusion.*cyst"', ""),
    ],
)
def test_a_query_finds(store: Store, text: str, studies: str):
    hits = found(store, text)
    assert [one.study_id for one in hits.hits] == studies.split()
    assert hits.studies == len(studies.split())


def test_studies_patients_and_sentences_are_counted_and_shown(store: Store):
    hits = found(store, '"cyst"')
    assert (hits.studies, hits.patients, hits.sentences) == (5, 5, 5)
    assert hits.hits[0].said[0][0] == "findings"
    both = found(store, "split test")
    # two studies of one patient, and nothing that is said
    assert (both.studies, both.patients, both.sentences) == (2, 1, 0)
    assert both.hits[0].said == ()
    assert found(store, "pneumothorax, pleural effusion").sentences == 1


def test_pages_of_a_search_are_all_of_it(store: Store):
    pages = [found(store, '"cyst"', limit=2, offset=first) for first in (0, 2, 4, 6)]
    assert [one.study_id for page in pages for one in page.hits] == [
        "both", "denied", "each", "history", "left",
    ]  # fmt: skip
    assert {page.studies for page in pages} == {5}


def test_search_in_python_joins_other_conditions(store: Store):
    opened = OpenedStore(store, EN)
    chosen = opened.studies.search("pleural effusion").where(min_size_mm=20)
    assert chosen.search("no left pneumothorax").ids() == ("both",)
    with pytest.raises(InputError, match="did you mean pleural effusion"):
        opened.studies.search("plural effusion")


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_an_export_has_all_ids_and_the_query(store: Store, tmp_path: Path, suffix: str):
    asked = "Pleural effusion,  age >60"
    content = exported(Relations(store), EN, asked, suffix)
    ids, query = ["both", "each", "left"], "pleural effusion, age > 60"
    if suffix == "csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert [row["study_id"] for row in rows] == ids
        assert {row["query"] for row in rows} == {query}
    elif suffix == "json":
        told = json.loads(content)
        assert (told["study_ids"], told["query"]) == (ids, query)
    else:
        table = pq.read_table(io.BytesIO(content))
        assert table["study_id"].to_pylist() == ids
        assert json.loads(table.schema.metadata[b"fvlm"])["query"] == query


def test_the_command_prints_counts_exports_and_refuses(store: Store, tmp_path: Path):
    run = CliRunner().invoke
    told = run(app, ["search", "left pleural effusion", "--store", store.url]).stdout
    assert told.startswith("3 studies of 3 patients, 3 sentences: left pleural effusion\n")
    assert "both" in told
    plain = json.loads(run(app, ["search", "men", "--store", store.url, "--json"]).stdout)
    assert plain["studies"] == 1
    assert plain["hits"][0]["study_id"] == "bare"
    out = tmp_path / "ids.csv"
    done = run(app, ["search", "men", "--store", store.url, "--out", str(out)])
    assert out.read_text(encoding="utf-8") == "study_id,query\nbare,sex m\n"
    assert str(out) in done.stdout
    wrong = run(app, ["search", "plural effusion", "--store", store.url])
    assert wrong.exit_code == 2
    assert "did you mean pleural effusion" in wrong.stderr
    assert fvlm_data.open_store(store.url).studies.search("men").ids() == ("bare",)
