"""False negatives on the first page: what a loop over all pairs counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from fvlm_data.qc.false_negatives import read_alike
from fvlm_data.review.standing import Chosen, set_applied
from fvlm_data.store.relations import Relations
from fvlm_data.vocabulary import Vocabulary
from schemas import AnatomyText, Sample
from tests.qc.small_store import anatomy_texts, hashed_store, sample, volume
from tests.review.made import entry, taken

CYST, UNNAMED = ("liver_cyst|present|",), ("other_abnormality|present|",)
SAID: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "a": ("normal_stated", 0, ()), "b": ("normal_stated", 0, ()), "c": ("normal_stated", 0, ()),
    "d": ("abnormal", 7, CYST), "e": ("abnormal", 7, CYST), "f": ("abnormal", 9, UNNAMED),
    "g": ("abnormal", 9, UNNAMED), "h": ("not_mentioned", 0, ()), "i": ("not_mentioned", 0, ()),
    "j": ("abnormal", 7, CYST), "k": ("abnormal", 7, CYST),
}  # fmt: skip
"""What a study says of the liver; j lies in another split, the image of k does not show it."""


def test_they_are_those_of_all_pairs(tmp_path: Path):
    context = hashed_store(tmp_path)
    store = context.store
    (kidney, liver) = anatomy_texts("st_a")
    texts = [
        replace(liver, study_id=f"s_{n}", state=state, signature=signature, findings=findings)
        for n, (state, signature, findings) in SAID.items()
    ]
    one = sample(volume("st_a", 0, store))
    samples = [
        replace(
            one,
            sample_id=f"sa_{n}",
            study_id=f"s_{n}",
            split="test" if n == "j" else "train",
            anatomies=("lung",) if n == "k" else ("liver",),
        )
        for n in SAID
    ]
    # a second volume of a study is no second study
    samples.append(replace(samples[0], sample_id="sa_a2"))
    store.replace_all("anatomy_texts", [kidney, *texts])
    store.replace_all("samples", samples)
    (found,) = read_alike(Relations(store))
    trained = [name for name in SAID if name not in "jk"]

    def pairs(alike: Callable[[str, str], bool]) -> int:
        return sum(alike(first, second) for first, second in combinations(trained, 2))

    every = len(trained) * (len(trained) - 1) // 2
    normal = pairs(lambda x, y: SAID[x][0] == SAID[y][0] == "normal_stated")
    same = pairs(lambda x, y: SAID[x][2] == SAID[y][2] == CYST)
    assert (normal, same, every) == (3, 1, 36)
    assert (found.anatomy, found.studies, found.apart) == ("liver", 9, 0)
    assert (found.both_normal, found.same_findings) == (3 / 36, 1 / 36)
    # a batch cannot hold more than there are
    assert round(found.in_batch, 9) == 4
    for pair in ("s_a:s_c:liver", "s_d:s_e:liver", "s_d:s_h:liver", "s_d:s_j:liver"):
        assert taken(context, entry("pair", pair))["taken"] == 1
    set_applied(context, Vocabulary.load(), Chosen(), applied=True)
    (held,) = read_alike(Relations(store))
    assert (held.both_normal, held.same_findings, held.apart) == (2 / 36, 0, 2)


def test_a_great_store_is_told_by_a_batch(tmp_path: Path):
    store = hashed_store(tmp_path).store
    (_, liver) = anatomy_texts("st_a")
    one: Sample = sample(volume("st_a", 0, store))
    names = [f"s_{n}" for n in range(200)]
    texts: list[AnatomyText] = [replace(liver, study_id=name) for name in names]
    store.replace_all("anatomy_texts", texts)
    store.replace_all("samples", [replace(one, sample_id=n, study_id=n) for n in names])
    (found,) = read_alike(Relations(store))
    assert (found.same_findings, found.in_batch) == (1, 64 * 63 / 2)
