from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import ConfigError
from fvlm_data.inspect.identity_audit import wilson
from fvlm_data.inspect.identity_detector import detector
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import Report

EN = Vocabulary.load()
FIND = detector(EN)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The scan of Kowalczyk was compared.", "person"),
        ("Ivan Petrov", "person"),
        ("No nodule.\nNowak, Zbigniew", "person"),
        ("seen by \u738b\u4f1f today", "person"),
        ("No. 4711234", "record_number"),
        ("AB-123456 was seen", "record_number"),
        ("MRN: 4711", "labelled_number"),
        ("uid 1.2.840.113619.2.55.3", "record_number"),
        ("on 3/4/2021", "date"),
        ("of 2021-03-04", "date"),
        ("lives at 12 Elm Street", "address"),
        ("Bahnhofstrasse 12", "address"),
        ("Boston, MA 02115", "address"),
        ("mail x.y@z.org", "contact"),
        ("call 617-555-0199", "contact"),
    ],
)
def test_what_may_be_an_identity(text: str, kind: str) -> None:
    assert kind in FIND.counts(text)


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: No pleural effusion. Liver and spleen are normal.",
        "Mrs. [NAME], born [DATE], [ID]: nodule of 8 mm in the right upper lobe.",
        "IMPRESSION:\n1. Emphysema.\n2. Nodule of 12 x 14 mm, series 3, image 145.",
        "MILD CARDIOMEGALY. NO PNEUMOTHORAX. HU 120-130.",
    ],
)
def test_what_is_none(text: str) -> None:
    assert FIND.counts(text) == {}


def test_interval() -> None:
    low, high = wilson(0, 100)
    assert low == 0
    assert high == pytest.approx(0.037, abs=0.001)
    low, high = wilson(50, 100)
    assert (low, high) == pytest.approx((0.404, 0.596), abs=0.001)


def test_command_gives_a_rate_and_no_text(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    texts = ["No effusion.", "The scan of Kowalczyk, MRN 4711.", "Normal liver.", "Clear lungs."]
    rows = [
        Report(report_id=f"r_{number}", text=text, sections=(), source_files=())
        for number, text in enumerate(texts)
    ]
    store.replace("reports", [row.report_id for row in rows], rows)
    command = ["audit", "identities", "--store", str(tmp_path / "store")]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert "4 of 4 reports looked at" in told.output
    assert "any: 25.00% of reports (95 %: 4.56% to 69.94%)" in told.output
    assert "person: 25.00%" in told.output
    assert "r_1" in told.output
    assert "Kowalczyk" not in told.output
    machine = json.loads(CliRunner().invoke(app, [*command, "--json", "--sample", "2"]).output)
    assert machine["sampled"] == 2
    assert machine["stored"] == 4


def test_an_empty_store_and_a_model_that_is_not_there(tmp_path: Path) -> None:
    Store.create(tmp_path / "store")
    told = CliRunner().invoke(app, ["audit", "identities", "--store", str(tmp_path / "store")])
    assert told.exit_code != 0
    assert "no report is stored" in told.output
    with pytest.raises(ConfigError, match="no_such_model: not installed here"):
        detector(EN, "no_such_model")
