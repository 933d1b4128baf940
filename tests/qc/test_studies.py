from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.qc import QcConfig, write_qc
from fvlm_data.qc.catalogue import read_catalogue
from fvlm_data.qc.heads import UNSEGMENTED
from fvlm_data.qc.lineage import times
from fvlm_data.qc.studies import UNREADABLE
from fvlm_data.qc.study_page import _said
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from schemas import Volume
from tests.qc.html_page import Page
from tests.qc.small_store import HOSTILE, STUDIES, TEXTS, report, small_store, volume

EN = Vocabulary.load()
ALL = QcConfig(studies="all")


@pytest.fixture
def small(tmp_path: Path) -> Context:
    return small_store(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A store with its pages, for tests that only look."""
    context = small_store(tmp_path_factory.mktemp("made"))
    write_qc(context, EN, ALL)
    return context


def written(context: Context, config: QcConfig = ALL) -> dict[str, bytes]:
    """All files of the pages."""
    write_qc(context, EN, config)
    return {path: context.store.read_bytes(path) for path in context.store.files("qc")}


def page_of(context: Context, study: str) -> Page:
    return Page(context.store.read_bytes(f"qc/studies/{study}.html").decode())


def changed(one: dict[str, bytes], other: dict[str, bytes]) -> set[str]:
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def test_a_page_tells_what_is_known_of_a_study(made: Context):
    page = page_of(made, "st_a")
    assert TEXTS["st_a"] in page.shown
    for told in ("liver cyst, present", "1,500.0", "phase portal venous", "absent organ is shown"):
        assert told in page.shown
    for told in ("sa_v_0", "ingest", "segment:total", "run_1", "2 classes of task total"):
        assert told in page.shown
    assert page.data["viewer-data"]["volumes"][0]["id"] == "v_0"
    assert page.data["viewer-data"]["first"] == ["liver"]


def test_partners_say_the_same_and_are_linked(made: Context):
    page = page_of(made, "st_a")
    assert "st_b.html" in page.linked
    assert "st_c.html" not in page.linked
    assert "1 other study" in page.shown


def test_texts_and_reasons_stay_texts(made: Context):
    files = written(made)
    for path in ("qc/index.html", *(f"qc/studies/{study}.html" for study in STUDIES)):
        page = Page(files[path].decode())
        assert HOSTILE.encode() not in files[path]
        assert page.handlers == []
        assert "x" not in page.loaded
        # the page's own data, and scripts that it loads
        loaded = sum(url.endswith(".js") for url in page.loaded)
        assert page.tags.count("script") == len(page.data) + loaded
    assert f"gap number 1 {HOSTILE}" in files_data(files)["set_aside"]["columns"][4]["values"]
    assert f"look at the liver {HOSTILE}" in page_of(made, "st_a").shown


def files_data(files: dict[str, bytes]) -> Any:
    return Page(files["qc/index.html"].decode()).data["page-data"]


def test_nothing_is_loaded_from_elsewhere_and_all_that_is_loaded_is_there(made: Context):
    files = written(made)
    for path, content in files.items():
        if path.endswith(".html"):
            page = Page(content.decode())
            policy = (
                "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src data:"
            )
            assert policy in content.decode()
            folder = Path("/store", path).parent
            for url in (*page.loaded, *(link.partition("#")[0] for link in page.linked)):
                if url and not url.startswith("data:image/png;base64,"):
                    place = (folder / url).resolve().relative_to("/store")
                    assert str(place) in files, f"{path} names {url}"
        for marker in (b"http://", b"https://", b"//www", b"import(", b"fetch(", b"XMLHttpRequest"):
            assert marker not in content, f"{marker!r} in {path}"


def test_pages_hold_no_identity(made: Context):
    for path, content in written(made).items():
        assert b"secret" not in content, path


def test_a_run_that_changed_nothing_looks_at_no_table(
    small: Context, monkeypatch: pytest.MonkeyPatch
):
    before = written(small)

    def refused(*_: Any) -> Any:
        pytest.fail("read or written")

    for name in ("read", "scan", "write_bytes", "remove"):
        monkeypatch.setattr(small.store, name, refused)
    assert written(Context(small.store, small.vault, "run_8")) == before


def test_a_changed_report_changes_its_page_alone_and_no_volume_is_read(
    small: Context, monkeypatch: pytest.MonkeyPatch
):
    before = written(small)
    whole, _, _ = report("st_b")
    small.store.replace(
        "reports", [whole.report_id], [dataclasses.replace(whole, text=whole.text + " Clear.")]
    )
    read: list[str] = []
    own = small.store.read_bytes

    def watched(path: str) -> bytes:
        read.append(path)
        return own(path)

    monkeypatch.setattr(small.store, "read_bytes", watched)
    after = written(small)
    assert changed(before, after) == {"qc/studies/st_b.html", "qc/index.html"}
    assert not [path for path in read if path.startswith(("volumes/", "masks/"))]


@pytest.mark.full
def test_a_changed_table_that_no_page_shows_otherwise_leaves_pages_and_their_run(small: Context):
    before = written(small)
    small.store.replace_all("measures", [])
    after = written(Context(small.store, small.vault, "run_8"))
    assert changed(before, after) <= {"qc/index.html"}
    assert b"last changed by run <span>run_7</span>" in after["qc/index.html"]


@pytest.mark.full
def test_the_same_store_gives_the_same_files_from_scratch(small: Context):
    before = written(small)
    small.store.remove("qc")
    assert written(small) == before


@pytest.mark.full
def test_a_page_that_is_lost_or_cut_is_made_anew(small: Context):
    before = written(small)
    page, script = "qc/studies/st_a.html", next(p for p in before if p.startswith("qc/volumes/"))
    small.store.write_bytes(page, before[page][:-30])
    small.store.remove(script)
    small.store.remove("qc/assets/pane.js")
    assert written(small) == before


def test_as_many_pages_as_the_settings_say(small: Context):
    assert len(page_paths(written(small))) == 3
    one = written(small, QcConfig(studies=1))
    assert page_paths(one) == ["qc/studies/st_a.html"]
    assert sum(path.startswith("qc/volumes/") for path in one) == 1
    assert files_data(one)["paged"] == [0]
    assert page_of(small, "st_a").linked.count("st_b.html") == 0
    assert page_paths(written(small, QcConfig(studies=0))) == []


def page_paths(files: dict[str, bytes]) -> list[str]:
    return sorted(path for path in files if path.startswith("qc/studies/"))


@pytest.mark.full
def test_a_study_that_leaves_takes_its_page_along(small: Context):
    written(small)
    small.store.replace("volumes", ["st_c"], [])
    files = written(small)
    assert page_paths(files) == ["qc/studies/st_a.html", "qc/studies/st_b.html"]
    assert sum(path.startswith("qc/volumes/") for path in files) == 2


def test_a_damaged_volume_costs_its_planes_only_and_is_tried_again(small: Context):
    small.store.write_bytes("volumes/00/v_1.nii.gz", b"junk")
    written(small)
    scripts = page_of(small, "st_b").data["viewer-data"]["volumes"]
    assert (scripts[0]["script"], scripts[0]["why"]) == ("", UNREADABLE)
    assert TEXTS["st_b"] in page_of(small, "st_b").shown
    volume("st_b", 1, small.store)
    written(small)
    assert page_of(small, "st_b").data["viewer-data"]["volumes"][0]["script"]


def test_a_study_without_report_or_masks_has_a_page(small: Context):
    small.store.replace("masks", ["v_2"], [])
    small.store.replace("volume_checks", ["v_2"], [])
    written(small)
    page = page_of(small, "st_c")
    assert "waits for one" in page.shown
    assert "not segmented yet" in page.shown
    (shown,) = page.data["viewer-data"]["volumes"]
    assert (shown["script"], shown["why"]) == ("", UNSEGMENTED)
    written(small, QcConfig(studies="all", faces="keep"))
    assert page_of(small, "st_c").data["viewer-data"]["volumes"][0]["script"]


def test_lists_tell_studies_by_column(made: Context):
    columns = {
        column["name"]: column
        for column in read_catalogue(made.store, EN, ["st_b"]).studies.columns
    }
    assert columns["study"]["values"] == list(STUDIES)
    assert columns["age"]["values"] == [30, 50, 70]
    assert columns["slices"]["values"] == [10, 10, 10]
    assert columns["ingested"]["names"] == ["2026-03-01", "2026-03-02"]
    assert columns["ingested"]["values"] == [0, 1, -1]
    assert columns["slice distance"]["values"] == [5, 5, 5]
    assert columns["pixel"]["values"] == [3, 3, 3]
    assert columns["liver size"]["values"] == [1500, 1500, 1500]
    assert columns["findings"]["names"] == ["liver|liver_cyst"]
    assert columns["findings"]["values"] == [[0], [0], []]
    assert columns["samples"]["values"] == [1, 0, 0]
    assert read_catalogue(made.store, EN, ["st_b"]).paged == [1]


def test_slices_are_counted_towards_the_head_whatever_the_order_of_axes(small: Context):
    (row,) = small.store.read_items("volumes", "volume_id", ["v_0"])
    turned = {**row, "orientation": "SLP", "shape": [10, 24, 20], "spacing_mm": [5.0, 3.0, 3.0]}
    small.store.replace("volumes", ["st_a"], [Volume(**turned)])
    columns = {c["name"]: c["values"] for c in read_catalogue(small.store, EN, []).studies.columns}
    assert (columns["slices"][0], columns["slice distance"][0], columns["pixel"][0]) == (10, 5, 3)


def test_what_a_check_is_about_is_told_in_words_and_ids_stay_ids():
    told = {"check": "unclear_versions", "said": "r_0ab r_1cd"}
    assert _said(told) == "r_0ab r_1cd"
    assert _said({"check": "no_mask", "said": "liver_cyst|present|left"}) == (
        "liver cyst, present, left"
    )
    assert times([0.9765625, 2.0]) == "0.977 × 2"  # noqa: RUF001 the sign is meant
