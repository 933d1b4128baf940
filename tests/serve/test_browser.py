"""The command `fvlm-data serve` and its pages in headless Chromium."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.review.decisions import read_decisions
from fvlm_data.store.declared import Context
from tests.qc.small_store import hashed_store
from tests.qc.test_browser import browser, expect  # noqa: F401
from tests.serve.test_neighbours import embedded

COMMAND = "from fvlm_data.cli.main import main; main()"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Context, str]]:
    """A store and the address that the command prints; stopped as a person stops it."""
    folder = tmp_path_factory.mktemp("served")
    context = hashed_store(folder)
    environment = {**os.environ, "FVLM_VAULT": str(folder / "vault")}
    environment.pop("FVLM_SERVE_TOKEN", None)
    command = [sys.executable, "-c", COMMAND, "serve", "--store", context.store.url]
    with subprocess.Popen(
        [*command, "--port", "0", "--review", "--embeddings", str(embedded(folder)[0])],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield context, process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    # no line of any request, whatever was searched for
    assert (process.returncode, out, told) == (0, "", "")


@pytest.fixture
def page(browser: Any, served: tuple[Context, str]) -> Iterator[Any]:  # noqa: F811
    """A page that was given the token; nothing may be said on its console."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    here = served[1].partition("?")[0]
    page.on(
        "request", lambda asked: asked.url.startswith((here, "data:")) or said.append(asked.url)
    )
    page.goto(served[1])
    page.get_by_role("heading", name="Curation quality").wait_for()
    yield page
    assert said == []
    context.close()


@pytest.mark.full
def test_a_search_leads_to_a_study_and_its_stored_slices(page: Any):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", page.url), "the token stays in no address"
    page.get_by_role("link", name="Search").click()
    box = page.get_by_role("searchbox")
    expect(box).to_be_focused()
    box.fill("liver cists")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("did you mean liver cyst")
    page.get_by_role("searchbox").fill("liver cyst, no kidney stone")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#counts")).to_have_text("1 study of 1 patient, 2 sentences")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    told = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert told["study_ids"] == ["st_a"]
    page.get_by_role("rowheader").get_by_role("link", name="st_a").click()
    page.locator(".pane.axial canvas").wait_for()
    page.get_by_role("button", name="Show slices").click()
    slices = page.locator("#slices")
    expect(slices.locator("output")).to_have_text("6 / 10")
    slider = slices.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(slices.get_by_role("img")).to_have_attribute(
        "alt", "axial slice 1 of 10, counted from the head"
    )
    slices.get_by_label("plane").select_option("coronal")
    expect(slices.locator("output")).to_have_text("11 / 20")
    loaded = "one => one.decode().then(() => [one.naturalWidth, one.naturalHeight])"
    assert slices.get_by_role("img").evaluate(loaded) == [24, 10]


@pytest.mark.full
def test_decisions_are_sent_to_the_store(page: Any, served: tuple[Context, str]):
    page.goto(served[1].partition("?")[0] + "studies/st_b.html")
    review = page.locator("#review")
    review.get_by_role("button", name="wrong, the whole study").click()
    review.get_by_label("Reviewer, by role").fill("radiologist_1")
    review.get_by_role("button", name="Send decisions").click()
    expect(review.locator("output")).to_have_text("1 decisions taken in")
    assert [one.subject for one in read_decisions(served[0])] == ["st_b"]


@pytest.mark.full
def test_the_queue_is_judged_by_keys_alone(page: Any, served: tuple[Context, str]):
    page.get_by_role("link", name="To be reviewed").click()
    items = page.locator(".queue > li")
    items.first.locator("button").first.wait_for()
    page.keyboard.press("j")
    expect(items.first).to_be_focused()
    subjects = [one.get_attribute("data-subject") for one in items.all()]
    page.keyboard.press("w")
    page.keyboard.press("e")
    page.keyboard.type("row j")  # letters of a reason are no commands
    page.keyboard.press("Enter")
    expect(items.first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("#review output")).to_have_text("1 judged, 1 of them wrong")
    page.get_by_label("Reviewer, by role").fill("radiologist_2")
    page.get_by_role("button", name="Send decisions").press("Enter")
    expect(page.locator("#review output")).to_have_text("1 decisions taken in")
    expect(items.first).to_be_hidden()
    told = [one for one in read_decisions(served[0]) if one.reviewer == "radiologist_2"]
    assert [(one.subject, one.verdict, one.reason) for one in told] == [
        (subjects[0], "wrong", "row_j")
    ]
    page.reload()
    assert subjects[0] not in [one.get_attribute("data-subject") for one in items.all()]


@pytest.mark.full
def test_two_studies_are_compared(page: Any, served: tuple[Context, str]):
    page.goto(served[1].partition("?")[0] + "compare.html#st_a,st_b")
    for study in ("st_a", "st_b"):
        page.frame_locator(f"iframe[title='Study {study}']").locator(
            ".pane.axial canvas"
        ).wait_for()


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [
        "search.html?q=liver+cyst",
        "search.html?q=cist",
        "studies/st_a.html",
        "queue.html",
        "map.html?anatomy=liver",
        "neighbours.html?study=st_a&anatomy=liver",
    ],
)
def test_served_pages_are_accessible_and_fit(
    browser: Any,  # noqa: F811
    served: tuple[Context, str],
    scheme: str,
    path: str,
):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    shown = context.new_page()
    shown.goto(served[1])
    shown.get_by_role("heading", name="Curation quality").wait_for()
    shown.goto(served[1].partition("?")[0] + path)
    if path.startswith("studies"):
        shown.get_by_role("button", name="Show slices").click()
        shown.locator("#slices img").wait_for()
        shown.locator("#report .judge").first.click()
        shown.locator(".panel .say.wrong").first.click()
    found = Axe().run(shown)
    assert found.violations_count == 0, found.generate_report()
    shown.set_viewport_size({"width": 380, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 380
    context.close()
