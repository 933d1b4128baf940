from __future__ import annotations

from pathlib import Path

from fvlm_data.config_docs import configuration_markdown
from fvlm_train.config_docs import training_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_configuration_page_is_up_to_date() -> None:
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert written == configuration_markdown(), (
        "run: python -m fvlm_data.config_docs > docs/configuration.md"
    )


def test_training_page_is_up_to_date() -> None:
    written = (DOCS / "training.md").read_text(encoding="utf-8")
    assert written == training_markdown(), (
        "run: python -m fvlm_train.config_docs > docs/training.md"
    )
