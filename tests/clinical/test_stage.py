from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.clinical.config import ClinicalConfig
from fvlm_data.clinical.discovery import discover_clinical, foresee_clinical
from fvlm_data.clinical.stage import clinical_stage
from fvlm_data.identity.ids import link_key, shifted_date
from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import read_run_config
from fvlm_data.run.stages import stage_names
from fvlm_data.store.declared import Context
from fvlm_data.store.discovered import changed_sources
from tests.clinical.conftest import patient_of, put_patients, run
from tests.core import hand_store

HEAD = "patient_id,time,name,value,unit\n"


def rows(context: Context) -> list[dict[str, Any]]:
    found = context.store.read("clinical").to_pylist()
    return sorted(found, key=lambda row: (row["patient_id"], row["number"]))


def aside(context: Context) -> Counter[str]:
    found = context.store.read("quarantine").to_pylist()
    return Counter(row["reason"] for row in found)


def lab(tmp_path: Path, *lines: str, name: str = "lab.csv") -> dict[str, Any]:
    file = tmp_path / name
    file.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return {"path": file}


def test_values_stand_under_the_pseudonym_with_shifted_times(context: Context, tmp_path: Path):
    put_patients(context, "0042")
    told = lab(
        tmp_path,
        "0042,2021-03-04 07:30,creatinine,1.0,mg/dl",
        "0042,2021-03-04,crp,<5,mg/L",
        "0042,,sex_male,F,",
        "0042,2021-03-09,outcome:death,1,",
        "0042,,outcome:icu,0,",
        "0042,2021-03-04,medication:steroid,6 ,",
    )
    assert run(context, told) == 1
    patient = patient_of(context, "0042")
    day, last = (shifted_date(context.vault.key, patient, dt.date(2021, 3, d)) for d in (4, 9))
    found = {row["name"]: row for row in rows(context)}
    assert {row["patient_id"] for row in found.values()} == {patient}
    told_of = {
        name: (row["kind"], row["value"], row["bound"], row["unit"], row["observed_on"])
        for name, row in found.items()
    }
    assert told_of == {
        "creatinine": ("laboratory", 88.402, "", "umol/L", f"{day}T07:30"),
        "crp": ("laboratory", 5.0, "<", "mg/L", day),
        "sex_male": ("demographic", 0.0, "", "1", None),
        "death": ("outcome", 1.0, "", "1", last),
        "icu": ("outcome", 0.0, "", "1", None),
        "steroid": ("medication", 1.0, "", "1", day),
    }
    assert aside(context) == {}


def test_what_is_refused_is_listed_without_a_word_of_the_file(
    context: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    put_patients(context, "0042")
    told = lab(
        tmp_path,
        "0042,2021-03-04,crp,5,Mustermann",
        "0042,2021-03-04,crp,5,mmol/L",
        "0042,2021-03-04,crp,5000,mg/L",
        "0042,2021-03-04,crp,5000,mg/dL",
        "0042,2021-03-04,crp,Mustermann,mg/L",
        "0042,2021-03-04,crp,,mg/L",
        "0042,2021-03-04,crp,inf,mg/L",
        "0042,,crp,5,mg/L",
        "0042,gestern 2021,crp,5,mg/L",
        "0042,2021-03-04,Frau Mustermann,5,",
        "0042,2021-03-04,outcome:death,2,",
        "0042,2021-03-05,crp,7,mg/L",
        "0042,2021-03-05,crp,7.0,mg/L",
        ",2021-03-05,crp,7,mg/L",
        "0042,2021-03-05",
    )
    run(context, told)
    assert [row["value"] for row in rows(context)] == [7.0]
    found = context.store.read("quarantine").to_pylist()
    details = {(row["reason"], row["detail"].split(": ", 1)[0]) for row in found}
    assert details == {
        ("unit_not_known", "1 values of crp"),
        ("implausible_value", "2 values of crp"),
        ("unreadable_value", "2 values of crp"),
        ("unreadable_value", "1 values of outcome:death"),
        ("no_value", "1 values of crp"),
        ("no_time", "1 values of crp"),
        ("unreadable_time", "1 values of crp"),
        ("not_an_analyte", "1 values"),
        ("same_value", "1 values of crp"),
        ("no_patient", "1 values of a file"),
        ("broken_row", "1 values of a file"),
    }
    named = " ".join(row["detail"] for row in found if row["reason"] == "unit_not_known")
    assert "unit mmol/L; expected one of" in named
    assert "a unit that no analyte has; expected" in named
    # 15 lines, each in one place
    assert len(rows(context)) + sum(int(row["detail"].split()[0]) for row in found) == 15
    written = [*map(str, found), *map(str, rows(context)), caplog.text]
    written += map(str, context.store.read("inputs").to_pylist())
    written += map(str, context.store.read("ledger").to_pylist())
    for secret in ("Mustermann", "gestern", "0042", "2021-03", "202103"):
        assert [text for text in written if secret in text] == []


def test_a_change_remakes_its_patient_and_no_other(context: Context, tmp_path: Path):
    put_patients(context, "1", "2")
    lines = ["1,2021-03-04,crp,5,mg/L", "2,2021-03-04,crp,6,mg/L", "1,2021-03-05,crp,7,mg/L"]
    assert run(context, lab(tmp_path, *lines)) == 2
    before = rows(context)
    assert run(context, lab(tmp_path, *reversed(lines))) == 0
    assert rows(context) == before
    assert run(context, lab(tmp_path, *lines[:2])) == 1
    assert len(rows(context)) == 2
    assert run(context, lab(tmp_path, lines[0])) == 0  # patient 2 is gone: nothing is made
    assert [row["value"] for row in rows(context)] == [5.0]


def test_values_of_patients_without_images_wait_and_nothing_of_them_is_kept(
    context: Context, tmp_path: Path
):
    put_patients(context, "1")
    told = lab(tmp_path, "1,2021-03-04,crp,5,mg/L", "2,2021-03-04,crp,6,mg/L")
    assert run(context, told) == 1
    assert [row["value"] for row in rows(context)] == [5.0]
    put_patients(context, "1", "2")
    assert run(context, told) == 1
    assert sorted(row["value"] for row in rows(context)) == [5.0, 6.0]


def test_a_number_of_two_patients_needs_its_issuer(context: Context, tmp_path: Path):
    key = context.vault.key
    plain = link_key("patient_id", "7", key=key)
    links = []
    for place, issuer in enumerate(("north", "south")):
        for value in (plain, link_key("patient_id", "7", issuer, key=key)):
            links.append(hand_store.link("patient", f"p_{place}", "patient_id", value, "se"))
    context.store.replace_all("links", links)
    volumes = [hand_store.volume(n, f"st_{n}", f"p_{n}") for n in range(2)]
    context.store.replace_all("volumes", volumes)
    assert run(context, lab(tmp_path, "7,2021-03-04,crp,5,mg/L")) == 2
    assert rows(context) == []
    assert aside(context) == {"ambiguous_patient": 2}
    file = tmp_path / "lab.csv"
    file.write_text(
        "patient_id,issuer,time,name,value,unit\n"
        "7,north,2021-03-04,crp,5,mg/L\n7,south,2021-03-04,crp,6,mg/L\n"
    )
    run(context, {"path": file})
    assert [(row["patient_id"], row["value"]) for row in rows(context)] == [
        ("p_0", 5.0),
        ("p_1", 6.0),
    ]
    assert aside(context) == {}


def test_forgotten_patients_are_not_taken_in_again(context: Context, tmp_path: Path):
    put_patients(context, "1", "2")
    told = lab(tmp_path, "1,2021-03-04,crp,5,mg/L", "2,2021-03-04,crp,6,mg/L")
    gone = link_key("patient_id", "1", key=context.vault.key)
    context.vault.remember_forgotten([gone], "refuse", "record")
    run(context, told)
    assert [row["value"] for row in rows(context)] == [6.0]
    assert aside(context) == {"forgotten": 1}
    assert gone not in str(context.store.read("inputs").to_pylist())


def test_damage_is_seen_and_mended(context: Context, tmp_path: Path):
    put_patients(context, "1")
    told = lab(tmp_path, "1,2021-03-04,crp,5,mg/L", ",2021-03-04,crp,6,mg/L")
    run(context, told)
    before = context.store.read("inputs").to_pylist(), aside(context)
    context.store.replace_all("quarantine", [])
    assert len(changed_sources(context, "discover_clinical", "clinical")) == 1
    assert run(context, told) == 0
    assert (context.store.read("inputs").to_pylist(), aside(context)) == before
    context.store.replace_all("clinical", [])
    stage = clinical_stage(ClinicalConfig.model_validate({"sources": [told]}), "token")
    failed = [one for one in verify(context.store, [stage]) if not one.passed]
    assert any("clinical" in str(one) for one in failed)
    config = ClinicalConfig.model_validate({"sources": [told]})
    assert discover_clinical(context, config, "token") == {
        "values": 2,
        "patients": 1,
        "values without a patient": 1,
    }
    (seen,) = foresee_clinical(context, config, "token")
    assert (seen.found, seen.new) == (2, 0)


def test_the_stage_runs_where_the_configuration_has_its_section(context: Context, tmp_path: Path):
    put_patients(context, "1")
    told = lab(tmp_path, "1,2021-03-04,crp,5,mg/L")
    values = {"store": context.store.url, "clinical": {"sources": [{"path": str(told["path"])}]}}
    config = load_config(None, (), values)
    assert "clinical" in stage_names(config)
    assert "clinical" not in stage_names(load_config(None, (), {"store": "s"}))
    announced: list[str] = []
    summary = curate(config, ["clinical"], announce=announced.extend)
    assert summary.stages["clinical"]["accepted"] == 1
    assert announced == [
        "clinical.sources[0], csv: patient_id from patient_id, time from time, name from name, "
        "value from value, unit from unit; not used: none"
    ]
    assert [row["value"] for row in rows(context)] == [5.0]
    # a file may be called after a patient: its place is the vault's alone
    record = context.store.read_bytes(f"runs/{summary.run_id}.json").decode()
    assert "lab.csv" not in record
    assert read_run_config(context.store.url, summary.run_id).clinical == config.clinical
