"""Names in every form that headers and reports give them: none survives, and no word is lost.

Bytes of headers are written and read as DICOM; the people are invented.
"""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from fvlm_data.ingest.dicom import header
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.reports.scrubbing.normal_form import normal_form
from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    place = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return place + vr + len(value).to_bytes(2, "little") + value


def header_names(raw: bytes, declared: str | None) -> list[str]:
    """What goes to the vault of a header with this PatientName under this character set."""
    told = element(8, 5, b"CS", declared.encode()) if declared else b""
    with quiet_pydicom():
        dataset = read_dataset(io.BytesIO(told + element(16, 16, b"PN", raw)), False, True)
        return sorted(header.identities(dataset))


def left(text: str, known: list[str], *words: str) -> list[str]:
    """Those of the words that are still in the scrubbed text."""
    scrubbed = scrub(text, known, EN).text
    return [word for word in words if word in scrubbed]


HEADERS = [
    ("utf-8", "M\u00fcller^J\u00fcrgen", "Herr M\u00fcller, MUELLER, J\u00fcrgen, Muller"),
    ("utf-8", "N\u00fa\u00f1ez^Jos\u00e9", "N\u00fa\u00f1ez Jos\u00e9; NUNEZ JOSE"),
    ("utf-8", "\u00c7elik^G\u00f6k\u00e7e", "G\u00d6K\u00c7E \u00c7EL\u0130K, Celik"),
    ("utf-8", "\u0141ukasiewicz^\u017baneta", "\u0141ukasiewicz, Lukasiewicz \u017baneta"),
    ("utf-8", "\u0418\u0432\u0430\u043d\u043e\u0432^\u0421\u0435\u0440\u0433\u0435\u0439",
     "\u0418\u0412\u0410\u041d\u041e\u0412, \u0421\u0435\u0440\u0433\u0435\u0439"),
    ("utf-8", "\u03a0\u03b1\u03c0\u03ac\u03c2^\u039d\u03af\u03ba\u03bf\u03c2",
     "\u03a0\u0391\u03a0\u0391\u03a3 \u039d\u0399\u039a\u039f\u03a3, "
     "\u03a0\u03b1\u03c0\u03ac\u03c3"),
    ("utf-8", "\u738b^\u4f1f", "\u60a3\u8005\u738b\u4f1f\uff0c\u738b \u4f1f"),
    ("utf-8", "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9",
     "\ud64d\uae38\ub3d9\ub2d8, \uae38\ub3d9, \u6d2a\u5409\u6d1e, Hong Gildong"),
    ("latin-1", "M\u00fcller^J\u00fcrgen", "M\u00fcller, J\u00fcrgen, MUELLER"),
    ("iso8859-9", "\u015eahin^\u0130brahim", "\u0130brahim \u015eahin, SAHIN"),
    ("iso8859-2", "Dvo\u0159\u00e1k^Ji\u0159\u00ed", "Dvo\u0159\u00e1k Ji\u0159\u00ed"),
    ("cp1251", "\u0418\u0432\u0430\u043d\u043e\u0432^\u0421\u0435\u0440\u0433\u0435\u0439",
     "\u0418\u0432\u0430\u043d\u043e\u0432 \u0421\u0435\u0440\u0433\u0435\u0439"),
    ("koi8-r", "\u041a\u043e\u0432\u0430\u043b\u0435\u0432^\u041f\u0435\u0442\u0440",
     "\u041a\u041e\u0412\u0410\u041b\u0415\u0412"),
    ("iso8859-7", "\u03a0\u03b1\u03c0\u03ac\u03c2^\u039d\u03af\u03ba\u03bf\u03c2",
     "\u03a0\u03b1\u03c0\u03ac\u03c2"),
    ("gb18030", "\u5f20^\u4f1f", "patient \u5f20\u4f1f seen"),
    ("euc_kr", "\ud64d^\uae38\ub3d9", "\ud64d\uae38\ub3d9"),
    ("shift_jis", "\u5c71\u7530^\u592a\u90ce", "\u5c71\u7530\u592a\u90ce"),
    ("big5", "\u9673^\u5927\u6587", "\u9673\u5927\u6587"),
]  # fmt: skip


@pytest.mark.parametrize("declared", [None, "ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize(("encoding", "name", "text"), HEADERS, ids=lambda v: ascii(v)[:30])
def test_a_name_is_found_whatever_its_header_declares(
    encoding: str, name: str, text: str, declared: str | None
) -> None:
    known = header_names(name.encode(encoding), declared)
    scrubbed = scrub(text, known, EN).text
    for plain in ("Herr", "patient", "seen", "\u60a3\u8005", "\ub2d8", "[NAME]"):
        scrubbed = scrubbed.replace(plain, "")
    assert not any(map(str.isalpha, scrubbed)), ascii(scrubbed)


def test_a_plain_header_is_told_once():
    assert header_names(b"DOE^JANE", None) == ["DOE", "DOE JANE", "JANE"]
    assert header_names("M\u00fcller".encode("latin-1"), "ISO_IR 100") == ["M\u00fcller"]


FORMS = [
    ("D'Angelo^Maria", "DANGELO; D\u2019Angelo; D`Angelo; D Angelo; D\u02bcANGELO; D'Angelo's"),
    ("DANGELO^MARIA", "D'Angelo; D\u2019Angelo; D Angelo"),
    ("OBRIEN^PAT", "O'Brien; O\u2019Brien; O Brien; O'BRIEN'S"),
    ("O'Hara^Jo", "OHARA; O\u2018Hara"),
    ("McAllister^Ann", "Mac Allister; MacAllister; Mc Allister; MCALLISTER; M'Allister"),
    ("MAC ALLISTER^ANN", "McAllister; MacAllister"),
    ("Mc Donald^Jo", "MacDonald; McDonald"),
    ("St. John^Amy", "StJohn; St John; Saint John"),
    ("de la Cruz^Ana", "DELACRUZ; De La Cruz; Delacruz"),
    ("VANDERBERG^Jo", "van der Berg"),
    ("van Gogh^Vincent", "Vincent van Gogh; VANGOGH; Gogh"),
    ("Wong^Li Na", "Wong Li Na; LiNa Wong; Li-Na Wong; Wong, L"),
    ("Picard^Jean-Luc", "Jean Luc; JeanLuc; JEAN-LUC PICARD"),
    ("Ibrahim^Abd al-Rahman", "Abd al-Rahman; Abdalrahman; ABD AL RAHMAN"),
    ("\u00d3 S\u00failleabh\u00e1in^Se\u00e1n", "O'Suilleabhain; O Suilleabhain; Sean"),
    ("Garc\u00eda M\u00e1rquez^Gabriel", "GARCIA-MARQUEZ; Garcia Marquez"),
    ("Gross^A", "Gross, A.; A. Gross; Dr. Gross. A. Gross"),
    ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e; \u5c0f\u660e"),
    ("Smith-Jones^Al", "Smith Jones; SMITHJONES; Smith\u2010Jones; Smith\u2013Jones"),
    ("\uff39\uff41\uff4d\uff41\uff44\uff41^Taro", "Yamada; \uff34\uff21\uff32\uff2f"),
    ("\u00c5str\u00f6m^P\u00e4r", "Aastroem; Astrom; ASTROEM"),
    ("Wei\u00df^Hans", "WEISS; Weiss; Wei\u00df"),
    ("Mustermann^Erika", "Mustermann_Erika; ErikaMustermann; Mustermann2; E. Mustermann"),
    ("M\u00fcller^Jo", "Mu\u0308ller; Mueller"),
    ("\uae40^\ubbfc\uc218", "\uae40\ubbfc\uc218; \uae40 \ubbfc\uc218; \ubbfc\uc218"),
    ("\uae40^\ubbfc\uc218", "\u1100\u1175\u11b7\u1106\u1175\u11ab\u1109\u116e"),
]


@pytest.mark.parametrize(("name", "spellings"), FORMS, ids=lambda v: ascii(v)[:30])
def test_spellings_of_a_name(name: str, spellings: str):
    for spelling in spellings.split("; "):
        scrubbed = scrub(f"2 {spelling}: 3", [name], EN).text
        rest = scrubbed.replace("Saint", "").replace("Dr", "").replace("[NAME]", "")
        assert rest.strip("2 :3.'s") == "", spelling


SHORT = [
    ("Ng^Mei", "Mr. Ng; Ms Ng; Ng Mei; Mei Ng; NG, MEI; Ng, M.; M. Ng; Patient: Ng; Ng has; Ng's"),
    ("Li^Wei", "Mrs. Li; LI, WEI; Wei Li; Patient Li; Li was; Li presents"),
    ("Le^Thi", "Dr. Le; LE, THI; Le, T."),
]


@pytest.mark.parametrize(("name", "stands"), SHORT)
def test_a_short_name_goes_where_it_stands_as_one(name: str, stands: str):
    family = name.split("^")[0]
    for phrase in stands.split("; "):
        for spelt in (family, family.upper()):
            assert left(f"Seen today: {phrase} here.", [name], f"{spelt} ", f"{spelt}.") == []


def test_a_short_name_elsewhere_is_in_doubt():
    assert scrub("A level of 5 ng/mL", ["Ng^Mei"], EN, remove_doubtful=True).doubtful == ()
    for text in ("an NG tube", "Ng enhancement"):
        scrubbed = scrub(text, ["Ng^Mei"], EN)
        assert scrubbed.text == text
        (place,) = scrubbed.doubtful
        assert text[slice(*place)].lower() == "ng"
        assert "[NAME]" in scrub(text, ["Ng^Mei"], EN, remove_doubtful=True).text


WORDS = [
    ("Stone^Mary", "A kidney stone. Kidney Stone. STONE IN URETER. Stones.", ""),
    ("Stone^Mary", "", "Mrs. Stone; Mary Stone; Stone, Mary; MARY STONE; M. Stone; Stone, M."),
    ("Grace^Ann", "a grace period", "Ann Grace; Patient: Grace; Dr. Grace"),
    ("Field^Ann", "visual field; Lung Field clear; LUNG FIELDS CLEAR; Field of view", "Ms. Field"),
    ("Gross^Otto", "Gross hematuria. No gross abnormality.", "Mr Gross; Otto Gross"),
    ("Long^Ai", "Long segment stenosis", "Mr. Long"),
    ("Small^Jo", "Small effusion. SMALL EFFUSION.", "Mrs Small; Small, Jo"),
    ("White^Jo", "White matter disease", "Dr. White"),
    ("Mass^Hilar", "A hilar mass.", "Mr. Mass"),
    ("Child^May", "May represent a cyst; child", "Mrs. Child"),
    ("Low^Dose", "low dose CT; Low dose CT", "Mr. Low"),
]


@pytest.mark.parametrize(("name", "plain", "stands"), WORDS)
def test_a_name_that_is_a_word(name: str, plain: str, stands: str):
    scrubbed = scrub(plain, [name], EN)
    assert scrubbed.text == plain
    assert bool(scrubbed.doubtful) == bool(plain)
    family = name.split("^")[0]
    for phrase in filter(None, stands.split("; ")):
        assert left(f"Seen: {phrase} here.", [name], family, family.upper()) == [], phrase


CUES = [
    "Reported by", "Dictated by", "Signed", "Signed by", "Electronically signed", "Attending",
    "Attending physician", "Radiologist", "Resident", "Transcribed by", "Verified by", "Read by",
    "Interpreted by", "Approved by", "Finalized by", "Reviewed and approved by", "Consultant",
    "Referring physician", "Ordering provider", "Report by", "Technologist", "Dictated",
    "Dictating radiologist", "Signature", "Electronic signature",
]  # fmt: skip
PEOPLE = [
    "A. Novak, MD", "Novak, A.", "Anna Novak", "ANNA NOVAK", "anna novak", "Novak", "Dr. A. Novak",
    "NOVAK, ANNA", "\n  Anna Novak", "Anna Novak-Petrov MD", "Anna N\u00fa\u00f1ez", "dr. novak",
    "\u738b\u4f1f", "Resident Anna Novak",
]  # fmt: skip
PARTS = ("novak", "anna", "petrov", "n\u00fa\u00f1ez", "\u738b\u4f1f")


@pytest.mark.parametrize("person", PEOPLE, ids=ascii)
@pytest.mark.parametrize("cue", CUES)
def test_who_signed(cue: str, person: str):
    for written in (cue, cue.upper(), cue.lower(), cue.title()):
        scrubbed = scrub(f"IMPRESSION: No nodule.\n{written}: {person}\n", [], EN).text.lower()
        assert "impression: no nodule." in scrubbed
        assert not [part for part in PARTS if part in scrubbed]


@pytest.mark.parametrize(
    "line",
    [
        "A. Novak, MD (reported)",
        "Anna Novak, MD\nAttending radiologist",
        "Novak, Anna, M.D. - Radiologist",
        "Anna Novak, Radiologist",
        "Anna Novak (radiologist)",
        "Anna Novak - Attending",
        "This report was electronically signed on 1/2/2020 by Anna Novak",
        "Signed on 2020-01-02 at 10:30 by Anna Novak MD",
        "Electronically signed: 3/4/2021 10:22 Anna Novak",
        "Signed on 3/4/2021 10:22 AM: Anna Novak",
        "Signed electronically by Anna Novak",
        "Reported by Anna Novak",
        "reported by anna novak",
        "Reported by - Anna Novak",
        "Signed\nAnna Novak",
        "ATTENDING ANNA NOVAK",
        "*** Electronically Signed by Anna Novak ***",
        "I, Anna Novak, MD, have reviewed the images",
        "Findings were discussed with Anna Novak, NP by telephone",
        "Results called to Anna Novak at 10:30",
        "Dictated by: Resident Anna Novak / Attending: Petrov",
        "I have personally reviewed the images. Anna Novak",
        "Sincerely,\nAnna Novak",
        "dr novak",
        "SIGNED BY:NOVAK",
    ],
)
def test_names_around_a_cue_in_any_order(line: str):
    scrubbed = scrub(f"IMPRESSION: No nodule.\n{line}", [], EN).text.lower()
    assert not [part for part in PARTS if part in scrubbed]
    assert "no nodule" in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "The radiologist reviewed the images. Attending agreed.",
        "Reported by the patient. Reviewed with the prior CT. Read as normal.",
        "Attending: Agree with above. Technologist: none. Patient: 65 year old male.",
        "The main PA is dilated. A volume of 5 cc: normal.",
        "Findings reported to be increased by 5 mm. NO EFFUSION, DO NOT REPEAT.",
        "INTERPRETATION:\nNormal chest CT.",
        "Interpretation: Normal Chest CT. Report: Chest CT With Contrast",
        "Attending\nIMPRESSION: stable",
        "Impression:\nPulmonary Nodule",
        "IMPRESSION: Fleischner Society",
        "Technique: Siemens Somatom",
        "Dr \u2013 nodule. Signed by \u2013 see above.",
        "Informed Consent was obtained. Reviewed with Radiology. Performed by ultrasound.",
        "Patient: known case of HCC. Author: none. Prepared Bowel.",
        "Reviewed and compared with the study of 3 months ago by visual comparison.",
    ],
)
def test_words_near_a_cue_stay(text: str):
    assert scrub(text, [], EN).text == text


def test_a_name_misread_by_its_file_is_found():
    assert scrub("Herr M\u00fcller", ["M\u00c3\u00bcller^Jo"], EN).text == "Herr [NAME]"


def test_a_known_name_is_one_behind_a_signature():
    assert scrub("Stone of 5 mm.\nSigned by Stone", ["Stone"], EN).text.endswith("by [NAME]")


def test_an_address_goes_as_a_whole():
    text = "mail mustermann.erika@ward.example.org, see https://x.org/mustermann/1"
    assert scrub(text, ["Mustermann^Erika"], EN).text == "mail [MAIL], see [ID]"


@given(st.text(alphabet="aE\u0301\u00df\ufb01\u0130\u1112\u1161\u11ab \u00adN\u738b'", max_size=12))
def test_places_in_the_normal_form_lead_back(text: str):
    normal = normal_form(text)
    for start in range(len(normal.text)):
        begin, end = normal.span(start, start + 1)
        assert 0 <= begin < end <= len(text)
        assert normal.text[start] in normal_form(text[begin:end]).text


@pytest.mark.parametrize(
    "unit",
    ["-", "signed by ", "radiologist ", "name: ", "A. ", "SMITH ", "A, ", "\n", "dr ", "\u738b",
     "e\u0301", "'a'", "signed 1", "called to "],
)  # fmt: skip
def test_cost_is_linear(unit: str):
    import time

    def cost(characters: int) -> float:
        started = time.process_time()
        scrub(unit * (characters // len(unit)), ["O'Neill^A", "McAllister^S", "\u738b^\u4f1f"], EN)
        return time.process_time() - started

    cost(100)
    assert cost(10_000) < 0.5


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("her husband Balduin Zwirbelfeld was told", "her husband [NAME] [NAME] was told"),
        ("daughter Anna Maria Huber called", "daughter [NAME] called"),
        ("spoke with wife, Theresia.", "spoke with wife, [NAME]."),
        ("born 29. Februar 1944", "born [DATE]"),
        ("nacida el 29 de febrero de 1944", "nacida el [DATE]"),
        ("née le 29 février 1944", "née le [DATE]"),
        ("uid 1.2.840.10008.77.268078341366412130683040167", "uid [ID]"),
        ("uid 2.25.329800735698586629295641978511506172918", "uid [ID]"),
    ],
)
def test_relatives_foreign_months_and_uids_go(text: str, scrubbed: str):
    assert scrub(text, ["Zwirbelfeld^Orfeline", "19440229"], EN).text == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "sister Mary Joseph nodule", "mother Hodgkin lymphoma", "daughter cysts", "DAUGHTER CYST",
        "29 small nodules, 1944 HU", "series 3.1.2, image 44", "ratio 0.333333", "28 Februar 1945",
    ],
)  # fmt: skip
def test_what_only_looks_like_them_stays(text: str):
    assert scrub(text, ["Zwirbelfeld^Orfeline", "19440229"], EN).text == text
