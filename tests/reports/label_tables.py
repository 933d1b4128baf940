"""The tables of docs/labels.md: `python -m tests.reports.label_tables` writes them anew."""

from __future__ import annotations

from pathlib import Path

from fvlm_data.vocabulary import Vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "labels.md"
TITLES = {"ct_rate": "CT-RATE", "merlin": "Merlin", "rad_chest_ct": "Rad-ChestCT"}
_MARK = "<!-- tables: python -m tests.reports.label_tables -->\n"


def tables() -> str:
    """All label sets as Markdown."""
    made = []
    for name, one in Vocabulary.load().label_sets.items():
        made += [f"## {TITLES[name]}", "", f"`{name}`. Source: {one.source}.", ""]
        made += ["| label | findings | convention |", "|---|---|---|"]
        for label, rule in one.labels.items():
            above = f", above {rule.over_mm:g} mm" if rule.over_mm is not None else ""
            made.append(f"| {label} | {', '.join(rule.any)}{above} | {rule.why} |")
        if one.not_told:
            made += ["", "Not told by any finding:", "", "| label | why |", "|---|---|"]
            made += [f"| {label} | {why} |" for label, why in one.not_told.items()]
        made.append("")
    return "\n".join(made)


def page(text: str) -> str:
    """The page with its tables made anew."""
    return text.split(_MARK)[0] + _MARK + "\n" + tables()


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
