"""A configuration that `init` wrote runs as it is, and makes what one written by hand makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.store.tables import Store


@pytest.mark.full
def test_what_init_writes_runs(phantom: Path, undisturbed: Path, tmp_path: Path):
    config = tmp_path / "config.yaml"
    runner = CliRunner()
    written = runner.invoke(app, ["init", str(phantom), "--out", str(config)])
    assert written.exit_code == 0, written.output
    small = {"spacing_mm": [6.0, 6.0, 6.0], "dtype": "uint8", "samples_per_shard": 3}
    split = {"train": 0.5, "validation": 0.0, "test": 0.5}
    changes = [f"shard={json.dumps(small)}", f"pair.split={json.dumps(split)}"]
    options = [word for change in changes for word in ("--set", change)]
    ran = runner.invoke(app, ["curate", str(config), "--json", *options])
    assert ran.exit_code == 0, ran.output
    made, by_hand = Store.open(tmp_path / "store"), Store.open(undisturbed)
    for table in ("volumes", "masks", "reports", "findings", "anatomy_texts", "samples"):
        assert made.count(table) == by_hand.count(table) > 0, table
    checked = runner.invoke(app, ["verify", "--store", str(tmp_path / "store")])
    assert checked.exit_code == 0, checked.output
