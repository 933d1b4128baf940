"""People whose names headers and reports give in other forms, each with a report that names them.

Bytes of the header are in one character set and declared in another; the people are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.ingest.series import Series, write


@dataclass(frozen=True)
class Person:
    """A name in a header, as `encoding` writes and `declared` reads it, and a report about it.

    `left` is all that scrubbing leaves of the report; `told` are words long enough to be searched
    for in every byte.
    """

    name: str
    encoding: str
    declared: str
    report: str
    left: str
    told: tuple[str, ...] = ()


PEOPLE = (
    Person(
        "Br\u00fcckenh\u00e4user^J\u00fcrgen", "utf-8", "",
        "Br\u00fcckenh\u00e4user, BRUECKENHAEUSER and Bruckenhauser: no nodule.",
        "[NAME], [NAME] and [NAME]: no nodule.",
        ("Br\u00fcckenh\u00e4user", "Brueckenhaeuser", "Bruckenhauser"),
    ),
    Person(
        "N\u00fa\u00f1ezbarri^Jos\u00e9", "utf-8", "ISO_IR 100",
        "N\u00fa\u00f1ezbarri Jos\u00e9 (NUNEZBARRI): no nodule.", "[NAME] ([NAME]): no nodule.",
        ("N\u00fa\u00f1ezbarri", "Nunezbarri"),
    ),
    Person(
        "Lef\u00e8vrier^Chlo\u00e9", "latin-1", "ISO_IR 192",
        "Mme Lefevrier, LEF\u00c8VRIER: no nodule.", "Mme [NAME], [NAME]: no nodule.",
        ("Lef\u00e8vrier", "Lefevrier"),
    ),
    Person(
        "\u0412\u044b\u0448\u0435\u0433\u0440\u0430\u0434\u043e\u0432^\u0410\u043d\u043d\u0430",
        "cp1251", "ISO_IR 100",
        "\u0412\u042b\u0428\u0415\u0413\u0420\u0410\u0414\u041e\u0412: no nodule.",
        "[NAME]: no nodule.",
        ("\u0412\u044b\u0448\u0435\u0433\u0440\u0430\u0434\u043e\u0432",),
    ),
    Person(
        "\u03a0\u03b1\u03c0\u03b1\u03b4\u03ac\u03ba\u03b7\u03c2^\u039d\u03af\u03ba\u03bf\u03c2",
        "utf-8", "ISO_IR 192",
        "\u03a0\u0391\u03a0\u0391\u0394\u0391\u039a\u0397\u03a3: no nodule.", "[NAME]: no nodule.",
        ("\u03a0\u03b1\u03c0\u03b1\u03b4\u03ac\u03ba\u03b7\u03c2",
         "\u03a0\u03b1\u03c0\u03b1\u03b4\u03b1\u03ba\u03b7\u03c3"),
    ),
    Person(
        "\u738b^\u4f1f", "gb18030", "ISO_IR 100",
        "\u60a3\u8005\u738b\u4f1f\uff0c\u738b \u4f1f: no nodule.",
        "\u60a3\u8005[NAME]\uff0c[NAME]: no nodule.", ("\u738b\u4f1f",),
    ),
    Person(
        "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9", "utf-8", "",
        "\ud64d\uae38\ub3d9\ub2d8, \uae38\ub3d9 (\u6d2a\u5409\u6d1e): no nodule.",
        "[NAME]\ub2d8, [NAME] ([NAME]): no nodule.",
        ("\ud64d\uae38\ub3d9", "\u6d2a\u5409\u6d1e"),
    ),
    Person(
        "D'Angelotti^Maria", "ascii", "",
        "DANGELOTTI, D\u2019Angelotti, D Angelotti: no nodule.",
        "[NAME], [NAME], [NAME]: no nodule.", ("Dangelotti", "Angelotti"),
    ),
    Person(
        "MCALLISTAIRE^ANN", "ascii", "",
        "Mac Allistaire, MacAllistaire, McAllistaire: no nodule.",
        "[NAME], [NAME], [NAME]: no nodule.", ("Allistaire",),
    ),
    Person(
        "Ng^Mei", "ascii", "", "Patient Ng has no nodule. NG, MEI; Ms. Ng. An NG tube.",
        "Patient [NAME] has no nodule. [NAME]; Ms. [NAME]. An NG tube.",
    ),
    Person(
        "Stone^Grace", "ascii", "",
        "Mrs. Stone has a kidney stone. Stone, Grace. No nodule.",
        "Mrs. [NAME] has a kidney stone. [NAME]. No nodule.",
    ),
    Person(
        "Doe^Jo", "ascii", "",
        "No nodule.\nATTENDING: Ivana Nowotnybeck, MD\nDictated by ivana nowotnybeck\n"
        "Electronically signed on 3/4/2021 10:22 by NOWOTNYBECK, IVANA\nNowotnybeck, Radiologist",
        "No nodule.\nATTENDING: [NAME], MD\nDictated by [NAME]\n"
        "Electronically signed on [DATE] 10:22 by [NAME]\n[NAME], Radiologist",
        ("Nowotnybeck",),
    ),
)  # fmt: skip

TOLD = tuple(word for person in PEOPLE for word in person.told)


def study_of(number: int) -> str:
    """The study of a person by number."""
    return f"1.2.826.4242424242.20.{number}"


def write_people(archive: Path) -> Iterator[tuple[str, str]]:
    """Write a series of each, too short to be accepted; yields study UIDs and reports.

    The bytes of the name are put in place of as many letters, so that nothing reads them before.
    """
    for number, person in enumerate(PEOPLE):
        raw = person.name.encode(person.encoding)
        stand_in = b"Q" * len(raw)
        study = study_of(number)
        series = Series(
            slices=3,
            patient_name=stand_in.decode(),
            patient_id=f"PAT-4242{number:02d}",
            study_uid=study,
            series_uid=f"{study}.1",
            tags={"SpecificCharacterSet": person.declared} if person.declared else {},
        )
        for path in write(series.datasets(), archive / f"{number}"):
            path.write_bytes(path.read_bytes().replace(stand_in, raw))
        yield study, person.report
