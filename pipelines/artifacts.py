"""What a run leaves on Prefect's page: counts, reasons, rates, and where the pages lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from pipelines.names import slug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.inspect.verify import Check
    from fvlm_data.run.records import Summary

FOUND = dict.fromkeys(("files", "masks", "rows"), "found")
"""What each kind of discovery calls what it looked at; one column of the table."""
COLUMNS = ("stage", "found", "accepted", "set_aside", "already settled")
TIMES = ("seconds", "items a minute")
"""Columns from the left, rare ones after them: Prefect's page cuts a table that is too wide."""


def of_summary(flow: str, summary: Summary, pages: str | None) -> None:
    """Table by stage; as text what was set aside, what waits, and where to look.

    `pages` is the web address of the store's pages, where they have one.
    """
    key = _key(flow, summary.store)
    create_table_artifact(stage_rows(summary), key=f"{key}-stages", description="by stage")
    text = summary_text(summary, pages)
    create_markdown_artifact(text, key=key, description=f"run {summary.run_id}")


def stage_rows(summary: Summary) -> list[dict[str, Any]]:
    """One row a stage: what it found, counts, seconds, and items a minute of what it settled.

    A count that a stage does not make is empty; a column that counts nothing is left out.
    """
    rows = []
    for stage, counts in summary.stages.items():
        seconds = summary.stage_seconds.get(stage, 0.0)
        settled = counts.get("accepted", 0) + counts.get("set_aside", 0)
        # counts by reason have a colon
        told = {FOUND.get(name, name): n for name, n in counts.items() if ":" not in name}
        rate = round(60 * settled / seconds, 1) if seconds and settled else None
        rows.append({"stage": stage, **told, "seconds": seconds, "items a minute": rate})
    counted = dict.fromkeys(name for row in rows for name, told in row.items() if told)
    columns = dict.fromkeys((*(name for name in COLUMNS if name in counted), *TIMES, *counted))
    return [{name: row.get(name) for name in columns} for row in rows]


def summary_text(summary: Summary, pages: str | None = None) -> str:
    """The summary as Markdown: counts and codes, no item."""
    parts = [f"Run `{summary.run_id}`, {summary.seconds:.0f} s."]
    for title, counts in (
        ("Set aside", summary.set_aside),
        ("Waiting", summary.waiting),
        ("Cross-checks", summary.cross_checks),
        ("Review", summary.review),
        ("In the tables", summary.tables),
    ):
        parts.append(f"## {title}\n\n{_table(counts)}")
    if summary.set_aside or summary.waiting:
        parts.append(
            f"What was set aside or waits, and what to do: "
            f"`fvlm-data status --set-aside --store {summary.store}`"
        )
    if pages is not None:
        parts.append(f"[Pages of the store]({pages})")
    elif summary.qc_page:
        # Browsers do not follow a link from a server's page to a file; the address can be copied.
        parts.append(
            f"Pages of the store: `fvlm-data open --store {summary.store}`, or in the browser "
            f"`{_location(summary.store, summary.qc_page)}`"
        )
    if summary.next_step:
        parts.append(f"Next: {summary.next_step}")
    return "\n\n".join(parts)


def of_checks(flow: str, store: str, checks: Sequence[Check]) -> None:
    """The statements of `verify`, broken ones first; items that break them are not named."""
    rows = [
        {"holds": "yes" if one.passed else "NO", "statement": one.name, "counted": one.counted}
        for one in sorted(checks, key=lambda one: one.passed)
    ]
    create_table_artifact(rows, key=_key(flow, store), description="statements")


def of_counts(flow: str, store: str, counts: Mapping[str, Any]) -> None:
    """Numbers by what they count."""
    rows = [{"what": name, "number": number} for name, number in counts.items()]
    create_table_artifact(rows, key=_key(flow, store), description="counts")


def _key(flow: str, store: str) -> str:
    return f"{flow}-{slug(Path(store).name)}"


def _table(counts: Mapping[str, int]) -> str:
    if not counts:
        return "nothing"
    rows = "\n".join(f"| {name} | {number} |" for name, number in sorted(counts.items()))
    return f"| what | number |\n|---|---|\n{rows}"


def _location(store: str, path: str) -> str:
    return f"{store}/{path}" if "://" in store else Path(store, path).as_uri()
