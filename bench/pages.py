"""Pages of a store of many studies: seconds of CPU and peak memory, and what a browser does then.

Each figure comes from a process of its own. The rows are synthetic (`synthetic_store.py`) and no
image stands behind them, so that pages are made without volumes, whose cost is that of each alone.
`first` makes the first page, `studies` those of all studies; `browser` opens the first page in
Debian's Chromium (without it: left out): seconds that its main thread worked until the page was
drawn, and from the click on a bar until all was filtered.

    python bench/pages.py --studies 10000
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("first", "studies", "browser")


def main() -> None:
    """Make the store, then its pages in turn."""
    arguments = _arguments()
    if arguments.way == "make":
        from synthetic_store import make_store

        make_store(arguments.folder, arguments.studies)
        return
    if arguments.way:
        told = _browser if arguments.way == "browser" else _written
        print(json.dumps(told(arguments.way, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch) / "made"
        _started("make", folder, arguments.studies)
        for way in WAYS:
            told = json.loads(_started(way, folder, arguments.studies))
            figures = ", ".join(f"{name} {value}" for name, value in told.items())
            print(f"{way:8} {arguments.studies} studies: {figures}", flush=True)


def _written(way: str, folder: Path) -> dict[str, Any]:
    from fvlm_data.identity.vault import Vault
    from fvlm_data.qc import QcConfig, write_qc
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

    context = Context(Store.open(folder / "store"), Vault.open(folder / "vault"), "bench")
    vocabulary = Vocabulary.load()
    began = time.process_time()
    write_qc(context, vocabulary, QcConfig(studies=0 if way == "first" else "all"))
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    files = list((folder / "store" / "qc").rglob("*.html"))
    index = (folder / "store" / "qc" / "index.html").stat().st_size
    return {
        "CPU s": round(spent, 2),
        "peak MB": round(peak),
        "pages": len(files),
        "MB": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "first page MB": round(index / 1e6, 2),
    }


def _browser(way: str, folder: Path) -> dict[str, Any]:
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        chromium = None
    if chromium is None:
        return {"left out": "no chromium, or no playwright"}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=("--no-sandbox", "--disable-gpu")
        )
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.goto((folder / "store" / "qc" / "index.html").as_uri())
        page.locator("#study-list .row").first.wait_for()
        opened = _worked(session)
        page.get_by_role("button", name=re.compile(r"to \d+ years")).first.click()
        page.locator(".chosen").wait_for()
        filtered = _worked(session)
        heap = page.evaluate("performance.memory.usedJSHeapSize")
        browser.close()
    return {
        "worked s": round(opened, 2),
        "a filter s": round(filtered - opened, 2),
        "heap MB": round(heap / 1e6),
    }


def _worked(session: Any) -> float:
    """Seconds that the page's main thread was at work so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    told = {one["name"]: one["value"] for one in metrics}
    return float(told["TaskDuration"])


def _started(way: str, folder: Path, studies: int) -> str:
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    command += ["--studies", str(studies)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the store is made")
    parser.add_argument("--way", choices=("make", *WAYS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
