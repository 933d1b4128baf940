"""How much of planted identities is gone, and how much that research needs is kept, as MIDI-B asks.

Makes an archive of invented people with an answer key, runs the stages over it, and scores each
required action (arXiv 2507.23608): a value of a header, private tag, sequence, file name or report
is gone from every byte of the store; a fact or a sentence is kept; an image that is marked as
annotated, or shows a name, is refused; a name drawn in an overlay does not reach the volume.

    python bench/identities.py --patients 40 --seed 1
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from identities_elsewhere import write_elsewhere
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.store.tables import Store

STAGES = ("ingest", "select", "segment", "clinical", "versions", "match", "reports")
SYLLABLES = ("zor", "vin", "kap", "tel", "mur", "dax", "quo", "rix", "ban", "fel", "gyn", "hul")
FORMS = (
    ("{f}^{g}", "utf-8", "ISO_IR 192"), ("{f}^{g}", "utf-8", ""),
    ("{f}^{g}", "utf-8", "ISO_IR 100"),
    ("{f}^{g}", "latin-1", "ISO_IR 100"), ("{f}^{g}", "latin-1", "ISO_IR 192"),
    ("{f}^{g}", "ascii", ""), ("Mc{f}^{g}", "ascii", ""), ("D'{f}^{g}", "ascii", ""),
)  # fmt: skip
MENTIONS = (
    ("report name", "{f} was compared with the last scan."),
    ("report name", "Patient {F}, {G} returned."),
    ("report name", "Mrs. {f}'s prior film is at hand."),
    ("report id", "Record {mrn}, accession {accession}."),
    ("report date", "Born {born:%d.%m.%Y}; seen on {day:%B} {day.day}, {day.year}."),
    ("report date", "Compared with {day:%Y-%m-%d}."),
    ("report signature", "Dictated by: {s}, MD"),
    ("report signature", "ATTENDING: {S}"),
    ("report signature", "Electronically signed on {day:%m/%d/%Y} by {s}"),
    ("report misspelt", "The film of {typo} was shown."),
    ("report misspelt", "Mr. {swapped} returned."),
    ("report words", "Born on the eleventh of {born:%B} nineteen {years}."),
    ("report initials", "Mr. {initials} returned."),
    ("report reader", "{reader} read the scan, {nested} asked for it."),
    ("report contact", "Call 617-555-{number:04d} or mail {s_lower}@clinic.example.org."),
)
YEARS = ("forty", "forty-two", "fifty-one", "sixty", "sixty six")
KEPT = (
    "There is a nodule of 8 mm in the right upper lobe.", "No pleural effusion.",
    "Small kidney stone on the left.", "The heart is not enlarged.", "Mild emphysema.",
)  # fmt: skip
SHOWN = {9: "marked", 7: "pixels", 5: "overlay", 3: "pixels"}
REASONS = {"marked": "burned_in_annotation", "pixels": "text_in_pixels"}
SMALL = 16
"""Voxels along the rows of an image that shows no name."""
GREATEST_HU = 200
"""Above what the noise of the images holds, below what writing in them would."""


@dataclass(slots=True)
class Person:
    """An invented person; `gone` are class and value of what may be found nowhere."""

    number: int
    header: bytes
    declared: str
    study: str
    report: str
    kept: tuple[str, ...]
    facts: dict[str, Any]
    shown: str
    """How an image shows the name: "marked" in its header, in "pixels", in an "overlay"; or not."""
    doctors: dict[str, str]
    """Whom a private attribute, and a sequence within one, name."""
    gone: list[tuple[str, str]] = field(default_factory=list)


def people(count: int, seed: int) -> Iterator[Person]:
    """Invented people, the same for the same seed."""
    import datetime as dt

    drawn = random.Random(seed)
    for number in range(count):
        shape, encoding, declared = FORMS[number % len(FORMS)]
        family, given, signer, reader, nested = (_name(drawn) for _ in range(5))
        if encoding != "ascii":
            family = family[:-2] + "\u00fc" + family[-2:]
        family = shape.partition("{f}")[0] + family
        words = {
            "f": family, "g": given, "F": family.upper(), "G": given.upper(), "s": signer,
            "S": signer.upper(), "s_lower": signer.lower(),
            "mrn": f"MRN{drawn.randrange(10**7, 10**8)}",
            "accession": f"AC{drawn.randrange(10**7, 10**8)}",
            "born": dt.date(1930 + drawn.randrange(60), 1 + drawn.randrange(12), 11),
            "typo": family[:-4] + family[-3:], "reader": reader, "nested": nested,
            "swapped": family[:-3] + family[-2] + family[-3] + family[-1],
            "initials": f"{given[0]}.{signer[0]}.", "years": drawn.choice(YEARS),
            "day": dt.date(2020, 1 + drawn.randrange(12), 13), "number": drawn.randrange(10**4),
        }  # fmt: skip
        told = drawn.sample(MENTIONS, 7)
        kept = tuple(drawn.sample(KEPT, 3))
        lines = [line.format(**words) for _, line in told]
        report = "FINDINGS: " + " ".join(kept) + "\n" + "\n".join(lines)
        person = Person(
            number, f"{family}^{given}".encode(encoding), declared, f"1.2.826.77.{number}.1",
            report, kept,
            {"sex": drawn.choice("FM"), "manufacturer": "SIEMENS", "kernel": "B30f"},
            SHOWN.get(number % 10, ""), {"reader": reader, "nested": nested},
        )  # fmt: skip
        person.gone = list(_gone(words, told))
        yield person


def _name(drawn: random.Random) -> str:
    return "".join(drawn.sample(SYLLABLES, 3)).capitalize()


def _gone(words: dict[str, Any], told: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for place in ("header", "private tag", "sequence", "file name"):
        yield place, words["f"]
        yield place, words["mrn"]
    yield "header", words["accession"]
    yield "header", f"{words['born']:%Y%m%d}"
    for kind, line in told:
        values = {
            "report name": [words["f"]],
            "report id": [words["mrn"], words["accession"]],
            "report date": [f"{words['day']:%Y-%m-%d}", f"{words['born']:%d.%m.%Y}",
                            f"{words['day']:%B} {words['day'].day}, "],
            "report signature": [words["s"]],
            "report misspelt": [words["typo"], words["swapped"]],
            "report words": [f"{words['born']:%B} nineteen {words['years']}"],
            "report initials": [f"mr. {words['initials']}"],
            "report reader": [words["reader"], words["nested"]],
            "report contact": [f"617-555-{words['number']:04d}", "@clinic.example.org"],
        }[kind]  # fmt: skip
        written = line.format(**words).lower()
        yield from ((kind, value) for value in values if value.lower() in written)


def write_archive(folder: Path, persons: list[Person]) -> None:
    """Write a folder of slices for each person, and the reports of all."""
    for person in persons:
        name = person.gone[0][1]
        place = folder / "archive" / f"{name} {person.gone[1][1]}"
        place.mkdir(parents=True)
        for number in range(6):
            path = place / f"{name}_{number}.dcm"
            one = _slice(person, number)
            one.save_as(path, enforce_file_format=True)
            raw = path.read_bytes().replace(b"Q" * len(person.header), person.header)
            path.write_bytes(raw)
    with (folder / "reports.csv").open("w", encoding="utf-8", newline="") as handle:
        rows = [(person.study, person.report) for person in persons]
        csv.writer(handle).writerows([("study_uid", "report"), *rows])


def _slice(person: Person, number: int) -> Dataset:
    family, mrn = person.gone[0][1], person.gone[1][1]
    values = dict(person.gone)
    one = Dataset()
    one.ensure_file_meta()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{person.study}.1.{number}"
    one.StudyInstanceUID, one.SeriesInstanceUID = person.study, f"{person.study}.1"
    one.FrameOfReferenceUID = f"{person.study}.2"
    if person.declared:
        one.SpecificCharacterSet = person.declared
    one.PatientName, one.PatientID = "Q" * len(person.header), mrn
    accession = next(value for _, value in person.gone if value.startswith("AC"))
    one.AccessionNumber, one.PatientBirthDate = accession, _born(person)
    one.StudyDate = one.AcquisitionDate = "20200113"
    one.PatientSex, one.Manufacturer = person.facts["sex"], person.facts["manufacturer"]
    one.ConvolutionKernel, one.Modality = person.facts["kernel"], "CT"
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.ReferringPhysicianName = values.get("report signature", "Nemo")
    nested = Dataset()
    nested.PatientID, nested.CodeMeaning = mrn, family.encode("ascii", "ignore").decode()
    step = Dataset()
    step.RequestingPhysician, step.RequestAttributesSequence = person.doctors["nested"], [nested]
    one.RequestAttributesSequence = [step]
    block = one.private_block(0x0019, "BENCH", create=True)
    block.add_new(2, "PN", f"{person.doctors['reader']}^Al")
    block.add_new(1, "LO", f"{mrn} {family.encode('ascii', 'ignore').decode()}")
    one.BurnedInAnnotation = "YES" if person.shown == "marked" else "NO"
    one.InstanceNumber, one.ImageOrientationPatient = number + 1, [1, 0, 0, 0, 1, 0]
    one.ImagePositionPatient, one.PixelSpacing = [0, 0, 2.5 * number], [0.8, 0.8]
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PhotometricInterpretation, one.SamplesPerPixel = "MONOCHROME2", 1
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    side = 128 if person.shown in ("pixels", "overlay") else 16
    image = np.random.default_rng(person.number * 10 + number).integers(900, 1100, (side, side))
    if person.shown == "pixels":
        image[_drawn(person, side)] = 4000 if person.number % 4 == 1 else 0
    if person.shown == "overlay":
        _add_overlay(one, _drawn(person, side), family)
    one.Rows, one.Columns = image.shape
    one.PixelData = image.astype("<i2").tobytes()
    return one


def _drawn(person: Person, side: int) -> np.ndarray[Any, Any]:
    """The person's name and number as writing, bool (rows, columns); size and place vary."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("L", (side, side))
    family, mrn = (value.encode("ascii", "ignore").decode() for _, value in person.gone[:2])
    place = (2 + person.number % 5, 5 + 7 * (person.number % 9))
    font = ImageFont.load_default(10 + person.number % 7)
    ImageDraw.Draw(canvas).text(place, f"{family} {mrn}", fill=255, font=font)
    return np.asarray(canvas) > 100


def _add_overlay(one: Dataset, drawn: np.ndarray[Any, Any], family: str) -> None:
    """A plane of group 6000 (PS3.3 C.9.2) with the writing, and a comment."""
    plain = family.encode("ascii", "ignore").decode()
    for element, kind, value in (
        (0x0010, "US", drawn.shape[0]), (0x0011, "US", drawn.shape[1]), (0x0022, "LO", plain),
        (0x0040, "CS", "G"), (0x0050, "SS", [1, 1]), (0x0100, "US", 1), (0x0102, "US", 0),
        (0x1500, "LO", plain),
        (0x3000, "OW", np.packbits(drawn.ravel(), bitorder="little").tobytes()),
    ):  # fmt: skip
        one.add_new((0x6000, element), kind, value)


def _born(person: Person) -> str:
    return next(value for _, value in person.gone if len(value) == 8 and value.isdigit())


def score(
    config: Config, persons: list[Person], elsewhere: Iterable[tuple[str, str]]
) -> tuple[Counter[str], Counter[str]]:
    """Actions done right and required, by class; `elsewhere` are people of other files."""
    right: Counter[str] = Counter()
    required: Counter[str] = Counter()
    store = Store.open(config.store)
    told = _everything(Path(config.store))
    for kind, value in elsewhere:
        required[kind] += 1
        right[kind] += value.lower() not in told
    texts = store.read("reports", ["text"])["text"].to_pylist()
    series = {row["volume_id"] for row in store.read("candidates").to_pylist() if row["kernel"]}
    rows = store.read("volumes").to_pylist()
    volumes = {row["study_id"]: row for row in rows if row["volume_id"] in series}
    for person in persons:
        for kind, value in person.gone:
            required[kind] += 1
            right[kind] += value.lower() not in told
        for sentence in person.kept:
            required["kept sentence"] += 1
            right["kept sentence"] += any(
                sentence in text and _only(person, text) for text in texts
            )
    reasons = Counter(store.read("quarantine", ["reason"])["reason"].to_pylist())
    for how, reason in REASONS.items():
        required[f"name {how}"] = sum(person.shown == how for person in persons)
        right[f"name {how}"] = min(required[f"name {how}"], reasons[reason])
    required["name overlay"] = sum(person.shown == "overlay" for person in persons)
    plain = [row for row in volumes.values() if row["shape"][0] > SMALL]
    right["name overlay"] = sum(row["hu_max"] < GREATEST_HU for row in plain)
    for name in ("sex", "manufacturer", "kernel"):
        wanted = Counter(p.facts[name].lower() for p in persons if p.shown not in REASONS)
        found = Counter(str(row[name]).lower() for row in volumes.values())
        required[f"kept {name}"] = wanted.total()
        right[f"kept {name}"] = (wanted & found).total()
    return right, required


def _only(person: Person, text: str) -> bool:
    """Whether a stored text is that person's report: it opens with the kept sentences."""
    return text.startswith("FINDINGS: " + " ".join(person.kept))


def _everything(store: Path) -> str:
    """All that stands in the store, in lower case: names of files, bytes, and rows of tables."""
    pieces = []
    for path in sorted(store.rglob("*")):
        pieces.append(str(path.relative_to(store)))
        if path.suffix == ".parquet":
            pieces.append(str(pq.read_table(path).to_pylist()))
        elif path.name.endswith(".nii.gz"):
            with gzip.open(path) as handle:  # the header, and what extends it
                pieces.append(handle.read(4096).decode("latin-1"))
        elif path.is_file():
            pieces.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(pieces).lower()


def run(patients: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Make the archive, curate it, and score it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        persons = list(people(patients, seed))
        write_archive(folder, persons)
        others, gone = write_elsewhere(folder, max(2, patients // 5), Random(seed + 1), _name)
        values = {
            **others,
            "store": str(folder / "store"),
            "identity": {"vault": str(folder / "vault")},
        }
        values["sources"].append({"kind": "dicom", "path": str(folder / "archive")})
        values["reports"].append({"path": str(folder / "reports.csv")})
        config = load_config(values=values)
        curate(config, STAGES)
        return score(config, persons, gone)


def main() -> None:
    """Print the share of actions done right, by class and in all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    right, required = run(options.patients, options.seed)
    rows = {kind: (right[kind], required[kind]) for kind in sorted(required)}
    rows["all"] = (right.total(), required.total())
    if options.json:
        print(json.dumps(rows))
        return
    for kind, (done, of) in rows.items():
        print(f"{kind:18} {done:6} of {of:6}  {done / of:8.3%}" if of else f"{kind}: none")
    print(f"{options.patients} patients, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
