"""Neighbours by embeddings: a small file as `fvlm-eval embed` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.opened.embeddings import Embeddings
from fvlm_data.qc.config import QcConfig
from fvlm_data.serve.app import application
from fvlm_data.serve.live import Live
from fvlm_data.serve.map import principal_map
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from tests.serve.conftest import ACCESS, client_of

WIDTH = 8


def embedded(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Liver embeddings of six studies, two of the first patient's; each twice, as of two scans."""
    drawn = np.random.default_rng(3).normal(size=(6, WIDTH)).astype(np.float32)
    vectors = {f"st_{name}": one / np.linalg.norm(one) for name, one in zip("abcdef", drawn)}  # noqa: B905
    rows = [
        {
            "sample_id": f"sa_{study}_{scan}",
            "patient_id": "p_1" if study in ("st_a", "st_f") else f"p_{study}",
            "study_id": study,
            "volume_id": f"v_{study}",
            "source": None,
            "anatomy": anatomy,
            # the second scan shows something else
            "embedding": (vector if scan == 0 else -vector).tolist(),
        }
        for study, vector in vectors.items()
        for scan in (0, 1)
        for anatomy in ("liver", "kidney")
    ]
    names = [name for name in rows[0] if name != "embedding"]
    fields = [
        *((name, pa.string()) for name in names),
        ("embedding", pa.list_(pa.float32(), WIDTH)),
    ]
    file = folder / "embeddings.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), file)
    return file, vectors


def test_neighbours_are_those_by_cosine_of_other_patients(context: Context, tmp_path: Path):
    file, vectors = embedded(tmp_path)
    known = Embeddings(file, context.store.connect())
    found = known.nearest("st_a", "liver", 3)
    # of a study's scans the one that is more alike counts
    cosines = {
        study: abs(float(one @ vectors["st_a"]))
        for study, one in vectors.items()
        if study not in ("st_a", "st_f")
    }
    expected = sorted(cosines.items(), key=lambda pair: -pair[1])[:3]
    assert [one.study_id for one in found] == [study for study, _ in expected]
    np.testing.assert_allclose(
        [one.cosine for one in found], [cos for _, cos in expected], atol=1e-6
    )
    assert known.anatomies("st_a") == ["kidney", "liver"]
    assert known.nearest("st_z", "liver", 3) == []


def test_a_page_leads_to_the_neighbours_and_names_no_patient(context: Context, tmp_path: Path):
    file, _ = embedded(tmp_path)
    live = Live(context.store, Vocabulary.load(), QcConfig())
    client = client_of(application(live, ACCESS, None, Embeddings(file, context.store.connect())))
    text = client.get("/studies/st_a.html").text
    (address,) = re.findall(r'href="\.\./(neighbours\.html\?[^"]*liver)"', text)
    page = client.get("/" + address.replace("&amp;", "&")).text
    assert page.count("compare.html#st_a,") == 4
    # what the reports say stands beside it
    assert page.count("liver cyst") == 2
    assert "p_" not in re.sub(r"<[^>]*>", "", page)
    nothing = client.get("/neighbours.html?study=st_z&anatomy=%3Cb%3E").text
    assert "No anatomy of this study" in nothing
    assert "<b>" not in nothing


def test_the_map_has_a_point_a_study(context: Context, tmp_path: Path):
    file, _ = embedded(tmp_path)
    live = Live(context.store, Vocabulary.load(), QcConfig())
    client = client_of(application(live, ACCESS, None, Embeddings(file, context.store.connect())))
    page = client.get("/map.html?anatomy=liver").text
    assert re.findall(r'<a href="studies/(\w+)\.html" tabindex="-1">', page) == [
        "st_a", "st_b", "st_c", "st_d", "st_e", "st_f",
    ]  # fmt: skip
    assert page.count('class="abnormal"') == 2 + 1, "two with a cyst, and the key"
    assert "needs at least 3 studies" in client.get("/map.html?anatomy=nothing").text


class Said:
    """A text side that knows three texts by heart."""

    step = 7
    anatomies = ("kidney", "liver")

    def __init__(self, texts: dict[str, np.ndarray]) -> None:
        self.texts = texts

    def vector(self, text: str) -> list[float]:
        return self.texts.get(text, np.ones(WIDTH)).tolist()


def test_a_text_finds_what_lies_where_it_lies(context: Context, tmp_path: Path):
    file, vectors = embedded(tmp_path)
    known = Embeddings(file, context.store.connect())
    for study, vector in vectors.items():
        liver = known.nearest_to(vector.tolist(), "liver", 3)
        assert (liver[0].study_id, liver[0].cosine) == (study, pytest.approx(1, abs=1e-6))
        assert {one.anatomy for one in liver} == {"liver"}
        both = known.nearest_to((-vector).tolist(), None, 20)
        # the second scan of a study lies opposite to its first
        assert {(one.study_id, one.anatomy) for one in both[:2]} == {
            (study, "liver"), (study, "kidney"),
        }  # fmt: skip
        assert len(both) == 12
        assert [one.cosine for one in both] == sorted((one.cosine for one in both), reverse=True)


def test_the_page_of_a_text(context: Context, tmp_path: Path):
    file, vectors = embedded(tmp_path)
    live = Live(context.store, Vocabulary.load(), QcConfig())
    known = Embeddings(file, context.store.connect())
    side = Said({"a cyst": vectors["st_a"]})
    client = client_of(application(live, ACCESS, None, known, side))
    assert 'href="nearest.html"' in client.get("/").text
    assert 'href="../nearest.html"' in client.get("/studies/st_a.html").text
    empty = client.get("/nearest.html").text
    assert "<table>" not in empty
    assert 'href="nearest.html"' not in empty, "a page does not lead to itself"
    page = client.get("/nearest.html?text=a+cyst&anatomy=liver").text
    first, *_ = re.findall(r'<a href="studies/(\w+)\.html">.*?<td>(\w+)</td>.*?</tr>', page)
    assert first == ("st_a", "liver")
    assert page.count("liver cyst") == 2, "what the reports say stands beside it"
    assert '<option value="liver" selected>' in page
    strange = client.get("/nearest.html?text=%3Cb%3E&anatomy=%3Ci%3E").text
    assert "Nothing is embedded" in strange
    assert "<b>" not in strange
    assert "<i>" not in strange
    assert client.get(f"/nearest.html?text={'x' * 2001}").status_code == 400


def test_without_a_run_no_text_is_looked_for(context: Context, tmp_path: Path):
    known = Embeddings(embedded(tmp_path)[0], context.store.connect())
    live = Live(context.store, Vocabulary.load(), QcConfig())
    client = client_of(application(live, ACCESS, None, known))
    assert "nearest.html" not in client.get("/").text
    answer = client.get("/nearest.html?text=cyst")
    assert answer.status_code == 404
    assert answer.text == "There is no such model; serve with --run RUN.\n"


def test_embeddings_of_another_model_are_refused(context: Context, tmp_path: Path):
    file, _ = embedded(tmp_path)
    known = Embeddings(file, context.store.connect())
    known.check_of(Said({}), tmp_path)
    with pytest.raises(InputError, match=f"numbers {WIDTH}, expected 3 of run"):
        known.check_of(Said({"liver": np.ones(3)}), tmp_path)
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"fvlm": '{"step": 6}'}), file)
    with pytest.raises(InputError, match=r"step 6, expected 7 of run .*; make them anew"):
        Embeddings(file, context.store.connect()).check_of(Said({}), tmp_path)


def test_without_torch_one_sentence_says_what_lacks(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "lacking.py").write_text("import torch_that_lacks\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("fvlm_data.opened.embeddings.TEXT_SIDE", "lacking")
    command = ["serve", "--store", context.store.url, "--port", "0", "--run", str(tmp_path)]
    ended = CliRunner().invoke(app, [*command, "--embeddings", str(embedded(tmp_path)[0])])
    assert ended.exit_code == 2
    assert ended.stderr == (
        "error: fvlm-data serve --run: the package torch_that_lacks is not installed; it comes "
        "with the extra [train]: pip install 'fvlm[train]'\n"
    )


VECTORS = st.integers(3, 12).flatmap(
    lambda rows: arrays(np.float64, (rows, 4), elements=st.floats(-1, 1, width=32))
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(VECTORS)
def test_distances_on_a_map_are_not_longer_than_those_of_the_embeddings(vectors: np.ndarray):
    found = principal_map(vectors.tolist())
    points = np.array(found.points)
    assert (points >= 0).all()
    assert (points <= [found.width, found.height]).all()
    assert sum(found.shares) <= 1 + 1e-9
    centred = vectors - vectors.mean(axis=0)
    own, drawn = np.ptp(centred @ np.linalg.svd(centred)[2][0]), np.ptp(points[:, 0])
    if own < 1e-6:
        return
    lengths = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    shown = np.linalg.norm(points[:, None] - points[None], axis=2) * own / drawn
    # points are rounded to a tenth of a pixel
    assert (shown <= lengths + 0.3 * own / drawn).all()


def test_a_map_of_a_plane_is_that_plane():
    square = [[0.0, 0, 1], [4, 0, 1], [0, 2, 1], [4, 2, 1]]
    found = principal_map(square)
    assert found.shares == pytest.approx((0.8, 0.2))
    assert (found.width, found.height) == (900, 2 * 12 + 438)
    assert found.points == [(12.0, 450.0), (888.0, 450.0), (12.0, 12.0), (888.0, 12.0)]


def test_a_file_that_is_none_is_refused(context: Context, tmp_path: Path):
    other = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"sample_id": ["sa"]}), other)
    with pytest.raises(InputError, match="column anatomy, embedding, patient_id"):
        Embeddings(other, context.store.connect())
    with pytest.raises(InputError, match="no such file; make it with fvlm-eval embed RUN"):
        Embeddings(tmp_path / "nowhere.parquet", context.store.connect())
    other.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        Embeddings(other, context.store.connect())
