"""The pages that a server makes: those that `fvlm-data qc` writes, of the tables as they are."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from fvlm_data.qc import QcConfig, write_qc
from fvlm_data.qc.study_volume import as_shown
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from schemas import Volume
from tests.qc.small_store import AFFINE, HOSTILE, SHAPE, hashed_store, image_of, volume
from tests.serve.conftest import app_of, client_of

SERVED_ONLY = re.compile(
    r"<meta http-equiv=.*?>\n|<a href=\"(\.\./)?search.html\">Search</a>\n"
    r"|<span class=\"pages\">.*?</span>\n"
    r"|<link rel=\"icon\".*?>\n"
    r"|<section id=\"slices\">.*?</section>\n"
    r"|<script src=\"../assets/(?:send|slices).js\"></script>\n"
    r"|^\n|(?<=last changed by run )<span>[^<]*</span>|<!-- made of .*?-->\n",
    re.DOTALL | re.MULTILINE,
)


def test_pages_are_those_that_qc_writes(tmp_path: Path):
    context = hashed_store(tmp_path)
    client = client_of(app_of(context))
    served = {name: client.get(f"/{name}").text for name in ("index.html", "studies/st_a.html")}
    assert not context.store.files("qc"), "a reader has written"
    write_qc(context, Vocabulary.load(), QcConfig(studies="all"))
    for name, page in served.items():
        written = context.store.read_bytes(f"qc/{name}").decode()
        assert SERVED_ONLY.sub("", page) == SERVED_ONLY.sub("", written)
        assert len(SERVED_ONLY.sub("", page)) > 0.9 * len(written)
    for name in sorted({*re.findall(r'"(?:\.\./)?(assets/[^"]+)"', "".join(served.values()))}):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        if not name.endswith(("send.js", "slices.js")):
            assert answer.content == context.store.read_bytes(f"qc/{name}")


@pytest.mark.full
def test_a_volume_of_a_page_is_the_script_that_qc_writes(tmp_path: Path):
    context = hashed_store(tmp_path)
    client = client_of(app_of(context))
    (name,) = re.findall(r'"script":"([0-9a-f]{64})"', client.get("/studies/st_a.html").text)
    script = client.get(f"/volumes/{name}.js")
    write_qc(context, Vocabulary.load(), QcConfig(studies=1))
    assert script.content == context.store.read_bytes(f"qc/volumes/{name}.js")
    assert client.get(f"/volumes/{'0' * 64}.js").status_code == 404


def test_a_page_follows_the_tables(tmp_path: Path):
    context = hashed_store(tmp_path)
    client = client_of(app_of(context))
    assert client.get("/studies/st_new.html").status_code == 404
    assert "st_new" not in client.get("/").text
    rows = [Volume(**row) for row in context.store.read("volumes").to_pylist()]
    rows.append(replace(volume("st_new", 2, context.store), volume_id="v_9"))
    context.store.replace_all("volumes", rows)
    assert "st_new" in client.get("/").text
    assert client.get("/studies/st_new.html").status_code == 200


def test_many_ask_at_once(context: Context, client: TestClient):
    paths = [
        "/", "/studies/st_a.html", "/studies/st_b.html", "/search.html?q=liver%20cyst",
        "/api/search?q=%22kidney%22", "/planes/v_0/axial/3.hu", "/planes/v_1/coronal/3.png",
    ]  # fmt: skip
    expected = {path: client.get(path).content for path in paths}
    app = app_of(context)  # nothing is made yet

    def asked(number: int) -> dict[str, bytes]:
        one = client_of(app)
        turned = paths[number:] + paths[:number]
        return {path: one.get(path).content for path in turned}

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(asked, range(4)):
            assert found == expected


def test_no_identity_and_no_script_of_the_data_is_in_a_page(client: TestClient):
    for path in (
        "/",
        "/studies/st_a.html",
        "/search.html?q=%22cyst%22",
        "/api/search?q=%22cyst%22",
    ):
        text = client.get(path).text
        assert "p_secret" not in text
        assert "secret/" not in text
        if path != "/api/search?q=%22cyst%22":  # JSON, which no browser reads as HTML
            assert HOSTILE not in text
            assert not re.search(r"<script(?! src=| type=\"application/json\")", text)


@pytest.mark.parametrize(
    "path",
    [
        "/studies/st_z.html", "/studies/st_a'--.html", "/assets/../page.py", "/assets/page.html",
        "/planes/v_z.json", "/planes/v_z/axial/1.png", "/neighbours.html", "/qc/index.html",
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(client: TestClient, path: str):
    assert client.get(path).status_code == 404


def shown() -> np.ndarray:
    return np.asarray(as_shown(image_of(0), AFFINE))


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
def test_planes_are_those_of_the_whole_volume(client: TestClient, plane: str, axis: int):
    whole = shown()
    told = client.get("/planes/v_0.json").json()
    of = told["planes"][plane]
    assert of["count"] == whole.shape[axis]
    liver = next(one["label"] for one in told["anatomies"] if one["name"] == "liver")
    found = 0
    for index in (0, of["count"] // 4, of["count"] - 1):
        answer = client.get(f"/planes/v_0/{plane}/{index}.hu")
        rows, columns = map(int, answer.headers["x-shape"].split(","))
        assert (rows, columns) == (of["rows"], of["columns"])
        image = np.frombuffer(answer.content, "<i2").reshape(rows, columns)
        np.testing.assert_array_equal(image, np.take(whole, index, axis))
        labels = client.get(f"/planes/v_0/{plane}/{index}.labels").content
        mask = np.frombuffer(labels, np.uint8).reshape(rows, columns) == liver
        np.testing.assert_array_equal(mask, image == 100)
        found += mask.sum()
    assert found


def test_a_plane_as_a_picture(client: TestClient):
    import io

    from PIL import Image

    def picture(asked: str) -> np.ndarray:
        answer = client.get(f"/planes/v_0/axial/3.png?{asked}")
        assert answer.headers["content-type"] == "image/png"
        return np.asarray(Image.open(io.BytesIO(answer.content)))

    plain = picture("window=100,400&outlines=0")
    assert plain.shape == (SHAPE[1], SHAPE[0], 3)
    # level 100 is the middle grey; the patient's right, where the liver is, on the left
    assert 127 in plain[:, :12]
    assert 127 not in plain[:, 12:]
    assert (plain == plain[:, :, :1]).all()
    outlined = picture("window=100,400")
    assert (outlined != outlined[:, :, :1]).any()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("axial/10.png", "axial plane 10: expected 0 to 9"),
        ("oblique/1.png", "plane oblique: expected one of axial"),
        ("axial/1.jpg", "expected png, hu or labels"),
        ("axial/1.png?window=x", "expected level and width"),
        ("axial/1.png?window=40,0", "expected level and width"),
    ],
)
def test_a_plane_that_cannot_be_is_refused(client: TestClient, asked: str, told: str):
    answer = client.get(f"/planes/v_0/{asked}")
    assert answer.status_code == 400
    assert told in answer.text


def test_what_may_show_a_face_is_not_shown(tmp_path: Path):
    context = hashed_store(tmp_path)
    context.store.replace_all("masks", [])
    client = client_of(app_of(context))
    answer = client.get("/planes/v_0/axial/1.png")
    assert answer.status_code == 400
    assert "qc.faces" in answer.text
    kept = client_of(app_of(context, faces="keep"))
    image = np.frombuffer(kept.get("/planes/v_0/axial/1.hu").content, "<i2")
    np.testing.assert_array_equal(image, shown()[1].ravel())


@pytest.mark.full
def test_a_damaged_volume_is_told_and_the_rest_served(tmp_path: Path):
    context = hashed_store(tmp_path)
    content = context.store.read_bytes("volumes/00/v_1.nii.gz")
    context.store.write_bytes("volumes/00/v_1.nii.gz", content[: len(content) // 2])
    client = client_of(app_of(context))
    answer = client.get("/planes/v_1/axial/1.png")
    assert answer.status_code == 503
    assert "fvlm-data verify" in answer.text
    assert client.get("/planes/v_0/axial/1.png").status_code == 200
    assert client.get("/studies/st_b.html").status_code == 200


def test_the_page_of_a_search_tells_counts_sentences_and_faults(client: TestClient):
    def page(text: str, **more: str) -> str:
        return client.get("/search.html", params={"q": text, **more}).text

    found = page("Liver  cysts")
    assert "2 studies of 2 patients, 2 sentences" in found
    assert "<code>liver cyst</code>" in found
    assert 'href="studies/st_a.html"' in found
    assert 'href="export/studies.csv?q=Liver++cysts"' in found
    assert "did you mean liver cyst" in page("liver cist")
    assert page("no kidney stone").count("<tr><th scope") == 1 + page("").count("<tr><th scope")
    assert "No study is like that" in page("age > 500")
    assert client.get("/search.html", params={"q": "cyst", "from": "-1"}).status_code == 400
    hostile = page('"<script>alert(1)</script>"')
    assert "<script>alert" not in hostile


def test_searches_for_programs_and_exports(client: TestClient):
    told = client.get("/api/search", params={"q": "liver cyst", "limit": 1, "offset": 1}).json()
    assert (told["studies"], told["offset"], [one["study_id"] for one in told["hits"]]) == (
        2, 1, ["st_b"],
    )  # fmt: skip
    assert client.get("/api/search?q=cyst&limit=5000").status_code == 400
    wrong = client.get("/api/search?q=plural%20effusion")
    assert wrong.status_code == 400
    assert "did you mean pleural effusion" in wrong.text
    csv = client.get("/export/studies.csv?q=liver%20cyst")
    assert csv.text == "study_id,query\nst_a,liver cyst\nst_b,liver cyst\n"
    assert csv.headers["content-disposition"] == 'attachment; filename="studies.csv"'
    assert client.get("/export/studies.xls?q=cyst").status_code == 400
