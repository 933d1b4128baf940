"""The pages in headless Chromium, opened from disk as a user opens them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.identity.vault import Vault
from fvlm_data.qc import QcConfig, write_qc
from fvlm_data.reports.corrections.reviewed import check_correction
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import Waiting
from tests.lacking import lacking
from tests.qc.small_store import hashed_store, small_store

NO_SERVICES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""What keeps the browser to itself: no look-up of hosts, no update."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright, which never loads a browser of its own here."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        lacking("the package playwright is not installed", "browser")
    place = shutil.which("chromium")
    if place is None:
        lacking("no chromium on PATH (Debian package chromium)", "browser")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=place, args=NO_SERVICES)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages of a small store, with nothing of the store beside it."""
    folder = tmp_path_factory.mktemp("pages")
    context = small_store(folder)
    write_qc(context, Vocabulary.load(), QcConfig(studies=2))
    alone = folder / "handed_on"
    shutil.copytree(folder / "store" / "qc", alone)
    return alone


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page; nothing may be said on its console, and nothing asked of a network."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda asked: asked.url.startswith(("file:", "data:")) or said.append(asked.url)
    )
    yield page
    assert said == []
    context.close()


def opened(page: Any, pages: Path, name: str = "index.html") -> Any:
    page.goto((pages / name).as_uri())
    return page


def studies(page: Any) -> list[str]:
    """Studies in the list, in its order."""
    return page.locator("#study-list .row .cell:first-child").all_inner_texts()


def counted(page: Any) -> str:
    return page.locator("#study-tools .count").inner_text()


def chosen(page: Any, facet: str, name: str) -> None:
    card = page.locator("article.facet", has=page.get_by_role("heading", name=facet, exact=True))
    card.get_by_role("button", name=name).click()


def test_a_bar_filters_every_list_and_chart(page: Any, pages: Path):
    opened(page, pages)
    assert counted(page) == "3 of 3 studies"
    chosen(page, "manufacturer", "GE")
    assert studies(page) == ["st_b", "st_c"]
    chosen(page, "sex", "F")
    assert studies(page) == ["st_c"]
    assert page.locator(".chosen").inner_text().startswith("1 of 3 studies")
    page.get_by_role("button", name="show all").click()
    assert counted(page) == "3 of 3 studies"
    page.get_by_role("button", name="30 to 35 years").click()
    assert studies(page) == ["st_a"]


@pytest.mark.full
def test_a_finding_of_the_matrix_filters_studies(page: Any, pages: Path):
    opened(page, pages)
    page.get_by_role("button", name="liver cyst, liver: 2 of 3").click()
    assert studies(page) == ["st_a", "st_b"]
    cell = page.get_by_role("button", name="liver cyst, liver: 2 of 2")
    assert cell.get_attribute("aria-pressed") == "true"
    assert "studies\t2" in page.locator("#split-table").inner_text()


def test_studies_are_sorted_and_searched(page: Any, pages: Path):
    opened(page, pages)
    head = page.locator("#study-list").get_by_role("columnheader", name="age")
    head.get_by_role("button").click()
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert studies(page) == ["st_c", "st_b", "st_a"]
    page.get_by_label("Search studies").fill("siemens B30f")
    assert studies(page) == ["st_a"]
    page.get_by_label("Search studies").fill("nothing like it")
    assert "Nothing is left" in page.locator("#study-list").inner_text()


def test_a_reason_opens_what_was_set_aside_for_it(page: Any, pages: Path):
    opened(page, pages)
    rows = page.locator("#set-aside-list .row")
    assert page.locator("#set-aside-list .count").inner_text() == "202 of 202"
    assert 10 < rows.count() < 60, "rows out of view are not drawn"
    page.locator("#overview summary").first.click()
    page.locator("#overview").get_by_role("link", name="fault gap").click()
    assert page.locator("#set-aside-list .count").inner_text() == "2 of 202"
    rows.nth(1).click()
    assert "onerror=alert(1)" in page.locator("#set-aside-list .full").inner_text()
    assert page.title() == "Curation quality"


@pytest.mark.full
def test_a_long_list_scrolls_to_its_end(page: Any, pages: Path):
    opened(page, pages)
    window = page.locator("#set-aside-list .window")
    window.evaluate("one => { one.scrollTop = one.scrollHeight; }")
    page.locator("#set-aside-list [aria-rowindex='203']").wait_for()


def viewed(page: Any, pages: Path, study: str = "st_a") -> Any:
    opened(page, pages, f"studies/{study}.html")
    page.locator(".pane.axial canvas").wait_for()
    return page


def places(page: Any) -> list[str]:
    return page.locator(".pane output").all_inner_texts()


def test_a_study_is_opened_from_the_list(page: Any, pages: Path):
    opened(page, pages)
    assert page.locator("#study-list a").all_inner_texts() == ["st_a", "st_b"], "two have pages"
    page.locator("#study-list").get_by_role("link", name="st_a").click()
    page.locator(".pane.axial canvas").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == "st_a"
    page.get_by_role("link", name="Next").click()
    page.locator(".pane.axial canvas").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == "st_b"


def expect(locator: Any) -> Any:
    """Waits for a text of a locator; `wait_for_function` needs eval, which the page forbids."""
    from playwright.sync_api import expect as expected

    return expected(locator)


def test_planes_scroll_by_keys_wheel_slider_and_click(page: Any, pages: Path):
    viewed(page, pages)
    # it begins in the middle of the liver, the first abnormal anatomy
    assert [place.split(" / ")[1] for place in places(page)] == ["10", "20", "24"]
    axial = page.locator(".pane.axial canvas")
    axial.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    shown = page.locator(".pane output")
    expect(shown.first).to_have_text("2 / 10")
    axial.hover()
    page.mouse.wheel(0, 120)
    expect(shown.first).to_have_text("5 / 10")
    page.get_by_role("slider", name="axial slice").fill("9")
    expect(shown.first).to_have_text("10 / 10")
    before = places(page)[1:]
    axial.click(position={"x": 60, "y": 150})
    expect(shown.nth(2)).not_to_have_text(before[1])
    assert "R on the left, A on top" in axial.get_attribute("aria-label")


def colours(page: Any) -> int:
    """Pixels of the axial picture that are not grey: outlines and what is lit up."""
    return page.locator(".pane.axial canvas").evaluate(
        """canvas => {
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          let found = 0;
          for (let at = 0; at < data.length; at += 4) found += data[at] !== data[at + 2];
          return found;
        }"""
    )


def drawn(page: Any) -> int:
    """The same after all that was asked for is drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return colours(page)


@pytest.mark.full
def test_outlines_switch_by_anatomy_and_windows_change_greys(page: Any, pages: Path):
    viewed(page, pages)
    page.get_by_label("cross").uncheck()
    with_liver = drawn(page)
    page.get_by_role("group", name="Outlines").get_by_role("button", name="liver").click()
    page.mouse.move(5, 5)
    assert drawn(page) < with_liver
    page.get_by_role("group", name="Outlines").get_by_role("button", name="none").click()
    page.mouse.move(5, 5)
    assert drawn(page) == 0
    page.keyboard.press("1")
    assert page.get_by_role("button", name="lung").get_attribute("aria-pressed") == "true"
    assert page.get_by_label("level of the window in HU").input_value() == "-600"


def test_a_finding_lights_up_its_anatomy_and_the_image_its_sentences(page: Any, pages: Path):
    viewed(page, pages)
    page.get_by_label("cross").uncheck()
    page.mouse.move(5, 5)
    dark = drawn(page)
    page.locator("mark", has_text="cyst").hover()
    assert drawn(page) > 5 * dark
    assert page.locator("#organs tr.lit th").inner_text() == "liver"
    page.mouse.move(5, 5)
    box = page.locator(".pane.axial canvas").bounding_box()
    # the liver lies on the left of the picture
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.45 * box["height"])
    told = page.locator(".pane.axial .readout").inner_text()
    assert re.fullmatch(r"liver, about (99|10[01]) HU", told)
    assert page.locator(".sentence.lit").inner_text().startswith("There is a liver cyst")


@pytest.mark.full
def test_a_mention_brings_its_anatomy_into_the_planes(page: Any, pages: Path):
    viewed(page, pages)
    liver = places(page)
    page.locator("mark", has_text="stone").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".pane output").first).not_to_have_text(liver[0])
    page.locator("mark", has_text="cyst").click()
    expect(page.locator(".pane output").first).to_have_text(liver[0])


@pytest.mark.full
def test_decisions_are_made_by_keys_kept_and_saved_as_a_file(
    page: Any, pages: Path, tmp_path: Path
):
    from fvlm_data.review.decisions import read_file

    opened(page, pages, "studies/st_a.html")
    review = page.locator("#review")
    save = review.get_by_role("button", name="Save decisions")
    expect(save).to_be_disabled()
    wrong = review.get_by_role("button", name="wrong, mask of liver in v_0")
    wrong.focus()
    page.keyboard.press("Enter")
    expect(wrong).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    page.keyboard.type("holds 2 organs")  # and no window of the planes is switched by the 2
    review.get_by_role("button", name="right, the whole study").click()
    taken_back = review.get_by_role("button", name="wrong, mask of kidney in v_0")
    taken_back.click()
    taken_back.click()
    role = review.get_by_label("Reviewer, by role")
    role.fill("Dr. Who")
    expect(save).to_be_disabled()
    role.fill("radiologist_1")
    expect(review.locator("output")).to_have_text("2 judged, 1 of them wrong")
    page.reload()
    expect(review.locator("output")).to_have_text("2 judged, 1 of them wrong")
    expect(wrong).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == "review-st_a.json"
    path = tmp_path / "decisions.json"
    download.value.save_as(path)
    told = {one.subject: one for one in read_file(path)}
    assert {name: one.verdict for name, one in told.items()} == {
        "v_0:liver": "wrong",
        "st_a": "right",
    }
    assert told["v_0:liver"].reason == "holds 2 organs"
    assert {one.reviewer for one in told.values()} == {"radiologist_1"}
    row = review.locator('[data-subject="v_0:liver"]')
    assert told["v_0:liver"].version == row.get_attribute("data-version")
    review.get_by_role("button", name="Clear").click()
    expect(review.locator("output")).to_have_text("0 judged, 0 of them wrong")
    page.reload()
    expect(review.locator("output")).to_have_text("0 judged, 0 of them wrong")


def test_sentences_and_findings_are_judged_in_the_report(page: Any, tmp_path: Path):
    """Opened, judged and left by keys, corrected, taken back; `import` takes what is saved."""
    from fvlm_data.review.decisions import read_decisions, read_file, take_in

    context = hashed_store(tmp_path)
    write_qc(context, Vocabulary.load(), QcConfig(studies=1))
    viewed(page, tmp_path / "store" / "qc")
    report = page.locator("#report")
    opener = report.get_by_role("button", name="judge: There is a liver cyst")
    opener.focus()
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    panel = report.get_by_role("group", name="Review of: There is a liver cyst")
    cyst = panel.locator(".line", has_text="liver cyst (liver), present")
    expect(cyst.get_by_label("right status")).to_be_hidden()
    cyst.get_by_role("button", name="wrong").focus()
    page.keyboard.press("Space")
    expect(report.locator("mark", has_text="cyst")).to_have_class(re.compile("refused"))
    cyst.get_by_label("reason").focus()
    page.keyboard.type("far 2")
    cyst.get_by_label("right status").select_option("uncertain")
    cyst.get_by_label("right side").select_option("left")
    cyst.get_by_label("right anatomy").select_option("spleen")
    # another name brings its own organ along; one that lies anywhere does not
    named = cyst.get_by_label("right finding")
    named.select_option("ascites")
    expect(cyst.get_by_label("right anatomy")).to_have_value("spleen")
    named.select_option("kidney_cyst")
    expect(cyst.get_by_label("right anatomy")).to_have_value("kidney")
    cyst.get_by_label("right anatomy").select_option("adrenal_gland")
    named.select_option("liver_hemangioma")
    expect(cyst.get_by_label("right anatomy")).to_have_value("liver")
    cyst.get_by_label("reason").focus()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(opener).to_be_focused()
    # a mention that has the keyboard is judged by one letter
    stone = report.locator("mark", has_text="stone")
    stone.focus()
    page.keyboard.press("r")
    page.keyboard.press("r")
    page.keyboard.press("w")
    told = report.locator(".line", has_text="kidney stone (kidney), absent")
    expect(told.get_by_role("button", name="wrong")).to_have_attribute("aria-pressed", "true")
    opener.click()
    whole = panel.locator(".line[data-kind=sentence]")
    whole.get_by_role("button", name="wrong").click()
    whole.get_by_role("button", name="not of liver").click()
    for anatomy in ("liver", "spleen"):
        whole.get_by_label("add an anatomy").select_option(anatomy)
    expect(whole.get_by_label("right section")).to_have_value("findings")
    whole.get_by_label("right section").select_option("clinical_information")
    page.reload()
    review = page.locator("#review")
    expect(review.locator("output")).to_have_text("3 judged, 3 of them wrong")
    opener.click()
    expect(whole.get_by_label("right section")).to_have_value("clinical_information")
    expect(cyst.get_by_label("right finding")).to_have_value("liver_hemangioma")
    expect(cyst.get_by_label("right status")).to_have_value("uncertain")
    expect(cyst.get_by_label("right side")).to_have_value("left")
    expect(cyst.get_by_label("reason")).to_have_value("far 2")
    review.get_by_label("Reviewer, by role").fill("radiologist_1")
    with page.expect_download() as download:
        review.get_by_role("button", name="Save decisions").click()
    path = tmp_path / "saved.json"
    download.value.save_as(path)
    entries = {one.kind: one for one in read_file(path) if "kidney_stone" not in one.subject}
    corrected = {"finding": "liver_hemangioma", "status": "uncertain", "laterality": "left"}
    assert entries["finding"].correction == corrected
    cyst_read = {"finding": "liver_cyst", "anatomy": "liver", "start": 27, "end": 31}
    # the correction of a sentence tells all of it: what is corrected, and not what is wrong
    assert entries["sentence"].correction == {
        "anatomies": ["liver", "spleen"],
        "section": "clinical_information",
        "findings": [{**cyst_read, **corrected}],
    }
    known = Vocabulary.load()
    counts = take_in(
        context, read_file(path), known, lambda one, told: check_correction(one, told, known)
    )
    assert counts == {"taken": 3}
    assert {one.kind for one in read_decisions(context)} == {"sentence", "finding"}


@pytest.mark.full
def test_an_address_leads_to_what_is_to_be_judged(page: Any, tmp_path: Path):
    write_qc(hashed_store(tmp_path), Vocabulary.load(), QcConfig(studies=1))
    place = (tmp_path / "store" / "qc" / "studies" / "st_a.html").as_uri()
    for subject, label in (
        ("r_st_a:27:31:liver_cyst:liver:present", "right, “cyst”: liver cyst (liver), present"),
        ("r_st_a:10:40", "right, There is a liver cyst of 12 mm"),
        ("v_0:kidney", "right, mask of kidney in v_0"),
    ):
        page.goto("about:blank")
        page.goto(f"{place}#judge={subject}")
        expect(page.get_by_role("button", name=label, exact=True)).to_be_focused()
    page.goto("about:blank")
    page.goto(f"{place}#judge=r_zz:1:2")
    page.locator(".pane.axial canvas").wait_for()


def test_partners_are_compared_side_by_side(page: Any, pages: Path):
    viewed(page, pages)
    page.get_by_role("link", name="compare with st_b").click()
    for study in ("st_a", "st_b"):
        frame = page.frame_locator(f"iframe[title='Study {study}']")
        frame.locator(".pane.axial canvas").wait_for()
        assert frame.get_by_role("heading", level=1).inner_text() == study
    page.goto("about:blank")  # from the same page it would be a jump within, which loads it anew
    page.goto((pages / "compare.html").as_uri() + "#javascript:alert(1),st_a")
    assert page.locator("iframe").count() == 0


@pytest.mark.full
@pytest.mark.parametrize("waiting", [False, True])
def test_a_store_without_studies_has_a_page(page: Any, tmp_path: Path, waiting: bool):
    context = Context(Store.create(tmp_path / "store"), Vault.open(tmp_path / "vault"), "run")
    if waiting:
        row = Waiting(owner_kind="report", owner_id="r_1", waits_for="study", since_run="r")
        context.store.replace_all("waiting", [row])
    write_qc(context, Vocabulary.load())
    opened(page, tmp_path / "store" / "qc")
    assert "No study has a volume yet" in page.locator("#studies").inner_text()
    assert page.locator("#waiting .row").count() == waiting


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "studies/st_a.html"])
def test_pages_are_accessible(browser: Any, pages: Path, scheme: str, name: str):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    shown = opened(context.new_page(), pages, name)
    if name != "index.html":
        shown.get_by_role("button", name="none").wait_for()
    found = Axe().run(shown)
    assert found.violations_count == 0, found.generate_report()
    context.close()


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1400])
def test_no_page_is_wider_than_the_window(browser: Any, pages: Path, scheme: str, width: int):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown = context.new_page()
    for name in ("index.html", "studies/st_a.html"):
        opened(shown, pages, name)
        wide = shown.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, name
    context.close()


@pytest.mark.full
def test_paper_shows_what_is_said_and_no_buttons(browser: Any, tmp_path: Path):
    write_qc(hashed_store(tmp_path), Vocabulary.load(), QcConfig(studies=1))
    context = browser.new_context(viewport={"width": 794, "height": 1123}, color_scheme="dark")
    shown = opened(context.new_page(), tmp_path / "store" / "qc", "studies/st_a.html")
    shown.locator("#report .judge").first.click()
    shown.locator("#report .say.wrong").nth(1).click()
    shown.emulate_media(media="print")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in (".panel", ".judge", ".controls", "#review", "nav"):
        assert not any(one.is_visible() for one in shown.locator(hidden).all()), hidden
    expect(shown.locator("mark.refused", has_text="cyst")).to_be_visible()
    cut = "one => one.scrollWidth > one.clientWidth && one.closest('.scroll').clientHeight"
    assert not any(one.evaluate(cut) for one in shown.locator("#organs .scroll").all())
    context.close()


@pytest.mark.full
def test_a_volume_that_is_not_beside_the_page_is_told(browser: Any, pages: Path, tmp_path: Path):
    alone = tmp_path / "cut"
    shutil.copytree(pages, alone)
    shutil.rmtree(alone / "volumes")
    shown = opened(browser.new_page(), alone, "studies/st_a.html")
    shown.get_by_text("missing or damaged").wait_for()


@pytest.mark.full
def test_a_column_with_one_value_is_a_row_that_filters(page: Any, tmp_path: Path):
    write_qc(hashed_store(tmp_path), Vocabulary.load(), QcConfig(studies=1))
    opened(page, tmp_path / "store" / "qc")
    slices = page.locator(".facet", has=page.get_by_role("heading", name="slices", exact=True))
    assert slices.locator(".bin").count() == 0
    row = slices.get_by_role("button", name="10")
    row.click()
    expect(row).to_have_attribute("aria-pressed", "true")
    expect(slices.get_by_role("button", name="clear")).to_be_visible()
