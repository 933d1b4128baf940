"""What a person corrects by single names on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.review.decisions import read_decisions
from fvlm_data.store.declared import Context

CYST = "r_st_a:27:31:liver_cyst:liver:present"
SENTENCE = "r_st_a:10:40"


def mark(context: Context, kind: str, subject: str, *told: str) -> str:
    done = CliRunner().invoke(
        app,
        ["review", "mark", kind, subject, *told, "--reviewer", "reader",
         "--store", context.store.url],
    )  # fmt: skip
    return done.stderr if done.exit_code else ""


@pytest.mark.parametrize(
    ("kind", "flags", "correction"),
    [
        ("finding", ["--finding", "liver_hemangioma"], {"finding": "liver_hemangioma"}),
        # another organ's finding is of that organ, unless the organ is told
        ("finding", ["--finding", "kidney_cyst"], {"finding": "kidney_cyst", "anatomy": "kidney"}),
        (
            "finding",
            ["--finding", "kidney_cyst", "--anatomy", "adrenal_gland"],
            {"finding": "kidney_cyst", "anatomy": "adrenal_gland"},
        ),
        ("finding", ["--finding", "ascites"], {"finding": "ascites"}),
        (
            "finding",
            ["--status", "absent", "--side", "none"],
            {"status": "absent", "laterality": None},
        ),
        ("sentence", ["--section", "other"], {"section": "other"}),
        (
            "sentence",
            ["--anatomy", "liver", "--anatomy", "spleen"],
            {"anatomies": ["liver", "spleen"]},
        ),
    ],
)
def test_a_name_is_corrected(small: Context, kind: str, flags: list[str], correction: object):
    assert mark(small, kind, CYST if kind == "finding" else SENTENCE, "wrong", *flags) == ""
    (one,) = read_decisions(small)
    told = json.loads(one.correction or "")
    if kind == "sentence":  # all findings of it stay as they are read
        read = {"finding": "liver_cyst", "anatomy": "liver", "status": "present"}
        assert told.pop("findings") == [{**read, "start": 27, "end": 31}]
    assert told == correction


@pytest.mark.parametrize(
    ("kind", "subject", "told", "sentence"),
    [
        ("finding", CYST, ["wrong", "--finding", "liver_cists"], "did you mean liver_cyst"),
        ("finding", CYST, ["wrong", "--section", "other"], "--section corrects a sentence"),
        ("finding", CYST, ["wrong", "--status", "maybe"], "'present', 'absent'"),
        ("finding", CYST, ["wrong", "--side", "up"], "'left', 'right' or 'bilateral'"),
        ("finding", CYST, ["right", "--status", "absent"], "takes no correction"),
        ("finding", CYST, ["wrong", "--anatomy", "liver", "--anatomy", "spleen"], "expected one"),
        ("finding", CYST, ["wrong", "--side", "left", "--correction", "{}"], "leave the other"),
        ("sentence", SENTENCE, ["wrong", "--finding", "ascites"], "--finding corrects a finding"),
        ("sentence", SENTENCE, ["wrong", "--section", "finding"], "'findings', 'impression'"),
        ("sentence", "r_st_a:9:40", ["wrong", "--section", "other"], "not in the store"),
        ("study", "st_a", ["wrong", "--section", "other"], "no name to correct"),
    ],
)
def test_what_is_no_name_of_it_is_told(
    small: Context, kind: str, subject: str, told: list[str], sentence: str
):
    assert sentence in mark(small, kind, subject, *told).replace("\n", " ")
    assert read_decisions(small) == []


def listed(context: Context, *told: str) -> str:
    done = CliRunner().invoke(app, ["review", "list", *told, "--store", context.store.url])
    return done.stdout if done.exit_code == 0 else done.stderr


def test_what_can_be_judged_of_a_study_is_listed(small: Context, tmp_path: Path):
    lines = listed(small, "st_a").splitlines()
    assert f"finding  {CYST}: “cyst”: liver cyst (liver), present" in lines
    assert f"sentence {SENTENCE} [findings]: There is a liver cyst of 12 mm" in lines
    assert "pair     st_a:st_b:liver: says the same of liver as st_b" in lines
    told = json.loads(listed(small, "st_a", "--kind", "finding", "--json"))
    assert {one["kind"] for one in told["decisions"]} == {"finding"}
    for one in told["decisions"]:
        one |= {"verdict": "right", "reviewer": "reader"}
    file = tmp_path / "filled.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    done = CliRunner().invoke(app, ["review", "import", str(file), "--store", small.store.url])
    assert f"{len(told['decisions'])} decisions taken in" in done.stdout
    assert "no study with a volume" in listed(small, "st_zz")
