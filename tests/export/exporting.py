"""Exports as a user runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from fvlm_data.cli.main import app

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def export(form: str, folder: Path, store: str, *more: str) -> Result:
    """Run `fvlm-data export`."""
    return CliRunner().invoke(app, ["export", form, str(folder), "--store", store, *more])


def exported(form: str, folder: Path, store: str, *more: str) -> Path:
    """The folder of an export that must succeed."""
    result = export(form, folder, store, *more)
    assert result.exit_code == 0, result.output
    return folder


def refused(form: str, folder: Path, store: str, *more: str) -> str:
    """The one sentence of an export that cannot run."""
    result = export(form, folder, store, *more)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith("error: ")
    return sentence
