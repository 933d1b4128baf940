"""Neighbours by embeddings: a small file as `fvlm-eval embed` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fvlm_data.errors import InputError
from fvlm_data.qc.config import QcConfig
from fvlm_data.serve.app import application
from fvlm_data.serve.live import Live
from fvlm_data.serve.map import principal_map
from fvlm_data.serve.neighbours import Embeddings
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


VECTORS = st.integers(3, 12).flatmap(
    lambda rows: arrays(np.float64, (rows, 4), elements=st.floats(-1, 1, width=32))
)


@settings(max_examples=40)
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
    other.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        Embeddings(other, context.store.connect())
