from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fvlm_data.clinical.config import ClinicalSourceConfig
from fvlm_data.clinical.sources import ClinicalSourceError, Told, read_values, told_columns
from fvlm_data.clinical.sources.times import local_time
from fvlm_data.clinical.sources.told import Aside

LONG = """\
mrn;charttime;label;valuenum;valueuom
0042;2021-03-04 07:30;CRP;<5;mg/L
0042;04.03.2021;CRP;7;mg/L
"0043";2021-03-04;2160-0;1,1;mg/dL
0044;2021-03-04;Mood;7;
"""


def source(path: Path, **values: Any) -> ClinicalSourceConfig:
    return ClinicalSourceConfig.model_validate({"path": path, **values})


def read(path: Path, **values: Any) -> list[Told]:
    return [told for _, told in read_values(source(path, **values))]


def faults(told: list[Told]) -> list[str]:
    return [one.fault.reason if one.fault else "" for one in told]


def test_a_row_a_value(tmp_path: Path):
    file = tmp_path / "lab.csv"
    file.write_text(LONG)
    told = read(file, names={"CRP": "crp"}, decimal=",")
    assert [(one.patient, one.name, one.value, one.unit, one.time) for one in told] == [
        ("0042", "crp", "<5", "mg/L", "202103040730"),
        ("0042", "crp", "7", "mg/L", ""),
        ("0043", "2160-0", "1.1", "mg/dL", "20210304"),
        ("0044", "", "7", "", "20210304"),
    ]
    assert faults(told) == ["", "unreadable_time", "", "not_an_analyte"]


def test_a_column_a_name_each_with_its_time(tmp_path: Path):
    file = tmp_path / "cohort.csv"
    file.write_text(
        "patient_id,admitted,crp_mg_dl,steroids,died,died_on,note\n"
        "A1,2021-03-04,1.2,1,1,2021-03-20,Anna came by car\n"
        "A2,2021-03-05,,0,0,,\n"
    )
    values = {
        "crp_mg_dl": {"name": "crp", "unit": "mg/dL"},
        "steroids": {"name": "medication:steroid"},
        "died": {"name": "outcome:death", "time": "died_on"},
    }
    told = read(file, columns={"time": "admitted"}, values=values)
    assert [(one.patient, one.name, one.value, one.time) for one in told] == [
        ("A1", "crp", "1.2", "20210304"),
        ("A1", "medication:steroid", "1", "20210304"),
        ("A1", "outcome:death", "1", "20210320"),
        ("A2", "medication:steroid", "0", "20210305"),
        ("A2", "outcome:death", "0", ""),
    ]
    (sentence,) = told_columns(source(file, columns={"time": "admitted"}, values=values))
    assert sentence == (
        "csv: patient_id from patient_id, time from admitted, crp from crp_mg_dl in mg/dL, "
        "medication:steroid from steroids, outcome:death from died (time: died_on); "
        "not used: note"
    )


def test_a_form_of_time_and_numbers_that_a_spreadsheet_cut(tmp_path: Path):
    file = tmp_path / "lab.csv"
    file.write_text(
        "patient_id,time,name,value,unit\n"
        "1.67683E+15,04.03.2021 07:30,crp,1,mg/L\n"
        "12345.0,04.03.2021 07:30,crp,1,mg/L\n"
        "12,34,56\n"
    )
    told = read(file, time_format="%d.%m.%Y %H:%M")
    assert faults(told) == ["mangled_number", "", "broken_row"]
    assert (told[1].patient, told[1].time) == ("12345", "20210304073000")


def test_what_cannot_be_used_says_which_column(tmp_path: Path):
    file = tmp_path / "lab.csv"
    file.write_text("patient_id,time,value\n1,2020-01-01,2\n")
    with pytest.raises(ClinicalSourceError, match=r"no column for name; its columns are patient"):
        read(file)
    with pytest.raises(ClinicalSourceError, match="no column 'CRP'"):
        read(file, values={"CRP": {"name": "crp", "unit": "mg/L"}})
    with pytest.raises(ClinicalSourceError, match="no such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValidationError, match="expected an analyte"):
        source(file, names={"CRP": "c-reactive"})
    with pytest.raises(ValidationError, match="Europe/Berlin"):
        source(file, timezone="Europe/Nowhere")


def observation(**told: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1988-5"}]},
        "subject": {"reference": "Patient/7"},
        "effectiveDateTime": "2021-03-04T23:30:00+01:00",
        "valueQuantity": {"value": 7.5, "unit": "mg/l", "code": "mg/L"},
        **told,
    }


PATIENT = {
    "resourceType": "Patient",
    "id": "7",
    "identifier": [
        {"value": "SSN-1"},
        {"value": "0042", "type": {"coding": [{"code": "MR"}]}},
    ],
    "name": [{"family": "Mustermann"}],
    "gender": "female",
    "deceasedDateTime": "2021-04-01",
}


def test_observations_find_their_patient_in_another_file(tmp_path: Path):
    (tmp_path / "Patient.ndjson").write_text(json.dumps(PATIENT) + "\nno json\n")
    panel = observation(
        code={"text": "pressure"},
        component=[
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
                "valueQuantity": {"value": 120, "code": "mm[Hg]", "comparator": ">"},
            },
            {"code": {"text": "position"}, "valueString": "Mustermann lies"},
        ],
    )
    del panel["valueQuantity"]
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": observation()},
            {"resource": panel},
            {"resource": observation(status="entered-in-error")},
            {"resource": observation(status="preliminary")},
            {"resource": observation(subject={"reference": "Patient/8"})},
            {"resource": observation(effectiveDateTime="2021-03-04T23:30:00Z")},
            {"resource": observation(valueQuantity="7 mg/L")},
        ],
    }
    (tmp_path / "observations.json").write_text(json.dumps(bundle))
    (tmp_path / "readme.txt").write_text("hello")
    told = read(tmp_path)
    assert [(one.patient, one.name, one.value, one.unit, one.time) for one in told[:5]] == [
        ("0042", "sex_male", "0", "", ""),
        ("0042", "outcome:death", "1", "", "20210401"),
        ("", "", "", "", ""),
        ("0042", "crp", "7.5", "mg/L", "20210304233000"),
        ("0042", "systolic_pressure", ">120", "mm[Hg]", "20210304233000"),
    ]
    assert faults(told[2:]) == [
        "broken_row", "", "", "not_an_analyte", "withdrawn_value", "preliminary_value", "",
        "time_in_utc", "", "not_clinical",
    ]  # fmt: skip
    assert told[8].patient == ""
    # a broken value is no value, which the stage says
    assert (told[10].value, told[10].patient) == ("", "0042")


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("2021-03-04", "", "20210304"),
        ("20210304", "", "20210304"),
        ("2021-03-04T07:30", "", "202103040730"),
        ("2021-03-04 07:30:59.123", "", "20210304073059"),
        ("2021-03-04T23:30:00Z", "Europe/Berlin", "20210305003000"),
        ("2021-07-04T23:30:00+00:00", "America/New_York", "20210704193000"),
        ("2021-03-04T23:30:00-05:00", "", "20210304233000"),
        ("", "", ""),
    ],
)
def test_times_are_local(text: str, place: str, expected: str):
    assert local_time(text, place=place) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2021-03-04T23:30:00Z", "time_in_utc"),
        ("2021-03-04T23:30:00+00:00", "time_in_utc"),
        ("2021-02-30", "unreadable_time"),
        ("2021-03", "unreadable_time"),
        ("04.03.2021", "unreadable_time"),
        ("2021-03-04T25:00", "unreadable_time"),
        ("3/4/21", "unreadable_time"),
    ],
)
def test_times_that_are_refused(text: str, reason: str):
    found = local_time(text)
    assert isinstance(found, Aside)
    assert found.reason == reason


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_times(text: str):
    found = local_time(text)
    assert isinstance(found, Aside) or found == "" or found.isdecimal()
