from __future__ import annotations

import pytest

from fvlm_data.clinical.analytes import analyte, analytes, ucum


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("creatinine", 1.0, "mg/dL", 88.4),  # 1 mg/dL = 88.4 umol/L
        ("creatinine", 1.0, "mg/dl", 88.4),
        ("glucose", 180.16, "mg/dL", 10.0),
        ("urea", 60.06, "mg/dL", 10.0),
        ("urea_nitrogen", 28.01, "mg/dL", 10.0),  # of the nitrogen, not of the molecule
        ("bilirubin", 1.0, "mg/dL", 17.1),
        ("lactate", 9.008, "mg/dL", 1.0),
        ("crp", 12.3, "mg/dL", 123.0),
        ("haemoglobin", 14.2, "g/dl", 142.0),
        ("leukocytes", 7.5, "10^3/µl", 7.5),
        ("platelets", 250_000, "/uL", 250.0),
        ("lactate_dehydrogenase", 4.0, "µkat/L", 240.0),
        ("d_dimer_feu", 500, "ng/mL{FEU}", 0.5),
        ("temperature", 98.6, "°F", 37.0),
        ("temperature", 310.15, "K", 37.0),
        ("weight", 220.462, "[lb_av]", 100.0),
        ("oxygen_saturation", 0.93, "1", 93.0),
        ("arterial_oxygen_pressure", 10.0, "kPa", 75.0),
        ("2160-0", 1.0, "mg/dL", 88.4),
    ],
)
def test_units_are_those_of_rows(name: str, value: float, unit: str, expected: float):
    found = analyte(name)
    assert found is not None
    assert found.converted(value, ucum(unit)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("d_dimer_feu", "mg/L{DDU}"),  # another unit, about half of it
        ("d_dimer_feu", "mg/L"),  # which of the two is not told
        ("creatinine", "mg/L/h"),
        ("haemoglobin", "mmol/L"),  # of the monomer or of the tetramer
        ("crp", "MG/L"),  # case counts in UCUM
        ("crp", ""),
    ],
)
def test_a_unit_that_is_not_known_of_an_analyte_is_none(name: str, unit: str):
    found = analyte(name)
    assert found is not None
    assert found.converted(1.0, ucum(unit)) is None


def test_the_file_agrees_with_itself():
    codes = [code for one in analytes().values() for code in one.loinc]
    assert len(codes) == len(set(codes))
    assert all(one.range[0] < one.range[1] for one in analytes().values())
    assert all(ucum(one.unit) == one.unit for one in analytes().values())
    assert analyte("outcome:death").yes_or_no  # type: ignore[union-attr]
    assert analyte("Outcome:Death") is analyte("medication:") is analyte("mood") is None
