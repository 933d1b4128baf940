from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fvlm_data.errors import ConfigError
from fvlm_train.config import ImageEncoderConfig, ModelConfig, TextEncoderConfig
from fvlm_train.model import FVLM, ImageEncoder, TextEncoder, WordPieces
from fvlm_train.model.pooling import AnatomyPooling
from fvlm_train.model.vit import HistogramStem, PatchEmbedding
from fvlm_train.model.wordpieces import learnt_pieces
from tests.train.reference_weights import reference_state

TEXTS = ["Gallstone in the gallbladder.", "No gallstone.", "The liver is normal."]
ANATOMIES = ["lung", "heart", "esophagus", "aorta"]


def small(**image: Any) -> ModelConfig:
    return ModelConfig(
        image=ImageEncoderConfig(
            **{"width": 8, "depth": 12, "heads": 2, "patch_zyx": (4, 4, 8),
               "window_zyx": (8, 16, 24)} | image
        ),
        text=TextEncoderConfig(
            kind="fresh", width=8, depth=2, heads=2, max_tokens=16,
            add_token_type_embeddings=False,
        ),
        projection_dim=6,
    )  # fmt: skip


def model(config: ModelConfig | None = None) -> FVLM:
    torch.manual_seed(0)
    return FVLM.for_training(config or small(), ANATOMIES, TEXTS).eval()


def reference_image_features(state: dict[str, Tensor], image_zyx: Tensor, tokens: Tensor) -> Tensor:
    """The public code's image path for one window and anatomy 1, written out from its facts."""

    def norm(x: Tensor, name: str) -> Tensor:
        name = f"visual_encoder.{name}"
        return functional.layer_norm(
            x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-5
        )

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    patch = "visual_encoder.patch_embedding.patch_embeddings"
    weight = state[f"{patch}.weight"]
    x = functional.conv3d(
        image_zyx[None, None], weight, state[f"{patch}.bias"], stride=weight.shape[2:]
    )
    x = x.flatten(2).transpose(1, 2)[0]
    x = x + state["visual_encoder.patch_embedding.position_embeddings"][0]
    levels, heads = [], 2
    for block in range(12):
        start = f"visual_encoder.blocks.{block}."
        q, k, v = linear(norm(x, f"blocks.{block}.norm1"), start + "attn.qkv").chunk(3, dim=-1)
        mixed = []
        for head in range(heads):
            part = slice(head * 4, head * 4 + 4)
            weights = (q[:, part] @ k[:, part].T * 4**-0.5).softmax(-1)
            mixed.append(weights @ v[:, part])
        x = x + linear(torch.cat(mixed, -1), start + "attn.out_proj")
        hidden = linear(norm(x, f"blocks.{block}.norm2"), start + "mlp.linear1")
        x = x + linear(functional.gelu(hidden), start + "mlp.linear2")
        if block in (3, 6, 9):
            levels.append(x[tokens])
    keys = torch.cat([*levels, norm(x, "norm")[tokens]])
    attention = torch.nn.MultiheadAttention(8, 4, batch_first=True)
    attention.load_state_dict(
        {
            name.removeprefix("attention."): w
            for name, w in state.items()
            if "attention." in name[:10]
        }
    )
    pooled = attention(state["query_tokens"][1][None], keys, keys)[0]
    return functional.normalize(linear(pooled, "vision_projs.1"), dim=-1)[0]


def test_reference_weights_compute_what_the_reference_computes() -> None:
    ours = model()
    state = reference_state(ours)
    unused = ours.load_reference(state)
    assert unused == [
        "text_encoder.cls.predictions.bias",
        "text_encoder.cls.predictions.decoder.weight",
        "text_encoder.embeddings.position_ids",
    ]
    image = torch.rand(1, 8, 16, 24)
    tokens = torch.zeros(1, 4, 24, dtype=torch.bool)
    tokens[0, 1, [3, 4, 17]] = True
    with torch.no_grad():
        feature = ours.encode_images(image, tokens)[0, 1]
        expected = reference_image_features(state, image[0], tokens[0, 1])
    torch.testing.assert_close(feature, expected, atol=2e-5, rtol=1e-4)
    assert ours.temperature.item() == state["temp"].item()


def test_reference_weights_come_without_token_types() -> None:
    config = small()
    text = config.text.model_copy(update={"add_token_type_embeddings": True})
    stock = model(config.model_copy(update={"text": text}))
    types = stock.text_encoder.bert.embeddings.token_type_embeddings.weight
    assert types.abs().sum() > 0
    stock.load_reference(reference_state(stock))
    assert types.abs().sum() == 0


def test_token_types_of_a_reference_file_add_nothing() -> None:
    """Its text encoder was trained without them, whether or not the file holds some."""
    ours = model()
    types = "text_encoder.embeddings.token_type_embeddings.weight"
    state = reference_state(ours)
    with torch.no_grad():
        ours.load_reference(state)
        expected = ours.encode_texts(TEXTS)
        ours.load_reference(state | {types: torch.ones(2, 8)})
        assert torch.equal(ours.encode_texts(TEXTS), expected)


def test_weights_of_another_shape_are_named() -> None:
    ours = model()
    state = reference_state(ours)
    state["vision_projs.2.weight"] = torch.zeros(6, 9)
    with pytest.raises(ConfigError, match="differ in shape"):
        ours.load_reference(state)
    state = reference_state(ours)
    state["text_proj.weight"] = torch.zeros(7, 8)
    with pytest.raises(ConfigError, match=r"text_projection\.weight the shape \(7, 8\)"):
        ours.load_reference(state)
    state = reference_state(ours)
    del state["visual_encoder.blocks.5.norm1.bias"]
    with pytest.raises(ConfigError, match=r"no weight for image_encoder\.blocks\.5\.norm1\.bias"):
        ours.load_reference(state)


def test_mae_start_sets_blocks_and_positions_only() -> None:
    ours = model()
    before = {name: weight.clone() for name, weight in ours.state_dict().items()}
    torch.manual_seed(3)
    state: dict[str, Tensor] = {"pos_embed": torch.randn(1, 197, 8), "cls_token": torch.zeros(1)}
    names = {"attn.qkv": (24, 8), "attn.proj": (8, 8), "mlp.fc1": (32, 8), "mlp.fc2": (8, 32)}
    for block in range(12):
        for name, shape in names.items():
            state[f"blocks.{block}.{name}.weight"] = torch.randn(shape)
            state[f"blocks.{block}.{name}.bias"] = torch.randn(shape[0])
        for name in ("norm1", "norm2"):
            for part in ("weight", "bias"):
                state[f"blocks.{block}.{name}.{part}"] = torch.randn(8)
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = torch.randn(8)
    ours.load_mae(state)
    after = ours.state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"image_encoder"}
    assert torch.equal(
        after["image_encoder.embedding.weight"], before["image_encoder.embedding.weight"]
    )
    assert torch.equal(
        after["image_encoder.blocks.3.mlp.3.weight"], state["blocks.3.mlp.fc2.weight"]
    )
    positions = after["image_encoder.positions"].reshape(2, 4, 3, 8)
    assert torch.equal(positions[0], positions[1])
    plane = functional.interpolate(
        state["pos_embed"][:, 1:].reshape(1, 14, 14, 8).permute(0, 3, 1, 2), (4, 3), mode="bilinear"
    )
    torch.testing.assert_close(positions[0], plane[0].permute(1, 2, 0))


def test_patch_embedding_is_a_strided_convolution() -> None:
    layer = PatchEmbedding(5, (2, 4, 3))
    image = torch.rand(2, 4, 8, 6)
    expected = functional.conv3d(image[:, None], layer.weight, layer.bias, stride=(2, 4, 3))
    torch.testing.assert_close(layer(image), expected.flatten(2).transpose(1, 2))


def test_other_grids_interpolate_positions() -> None:
    encoder = model().image_encoder
    assert encoder.positions_for((2, 4, 3)) is encoder.positions
    flat = torch.arange(2.0).repeat_interleave(12)[None, :, None].expand(1, 24, 8)
    encoder.positions.data.copy_(flat)
    finer = encoder.positions_for((4, 4, 3))[0, ::12, 0]
    torch.testing.assert_close(finer, torch.tensor([0, 0.25, 0.75, 1]))
    assert encoder(torch.rand(1, 16, 8, 8)).shape == (1, 4, 8, 8)


def test_window_that_the_patch_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no multiple of the patch \(4, 4, 8\)"):
        model().image_encoder(torch.rand(1, 8, 18, 24))


@pytest.mark.parametrize("patch", [(8, 8, 8), (2, 4, 8), (1, 2, 4)])
def test_histogram_stem_keeps_the_grid_of_the_patch(patch: tuple[int, int, int]) -> None:
    config = ImageEncoderConfig(
        width=8, depth=1, heads=2, patch_zyx=patch, window_zyx=(8, 8, 16), stem="histogram",
        stem_cells=4,
    )  # fmt: skip
    encoder = ImageEncoder(config)
    image = torch.rand(2, 8, 8, 16)
    tokens = (8 // patch[0]) * (8 // patch[1]) * (16 // patch[2])
    assert encoder(image).shape == (2, 2, tokens, 8)
    embedded = encoder.embedding(image)
    image[1, -1, -1, -1] += 1
    changed = (encoder.embedding(image) != embedded).any(dim=2)
    assert changed.nonzero().tolist() == [[1, tokens - 1]]


def test_soft_histogram_by_hand() -> None:
    stem = HistogramStem(width=4, patch_zyx=(2, 2, 2), windows=2, cells=1)
    image = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]).reshape(1, 2, 2, 2)
    low = [-0.5, 0, 0.5, 1, 1, 1, 1, 1]
    high = [-1, -1, -0.5, 0, 0.5, 0.5, 0.5, 0.5]
    expected = torch.tensor([sum(low) / 8, sum(high) / 8])
    torch.testing.assert_close(stem.soft_histogram(image).flatten(), expected)


def test_pooling_sees_its_tokens_only_and_keeps_absent_anatomies_at_zero() -> None:
    torch.manual_seed(0)
    pooling = AnatomyPooling(3, 8, 4, 5, 0.1).eval()
    levels = torch.randn(2, 4, 6, 8)
    tokens = torch.zeros(2, 3, 6, dtype=torch.bool)
    tokens[0, 0, :2] = tokens[0, 1, 1:4] = tokens[1, 0, 5] = True
    features = pooling(levels, tokens)
    disturbed = levels.clone()
    disturbed[0, :, 4:] += 100
    torch.testing.assert_close(pooling(disturbed, tokens)[0], features[0])
    assert not features[0, 2].any()
    assert not features[1, 1:].any()
    torch.testing.assert_close(features[0, :2].norm(dim=-1), torch.ones(2))
    features.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in pooling.parameters() if p.grad is not None)


def test_queries_that_start_at_zero_average() -> None:
    pooling = AnatomyPooling(1, 8, 4, 5, 0.0).eval()
    levels = torch.randn(1, 2, 3, 8)
    tokens = torch.tensor([[[True, False, True]]])
    mean = levels[:, :, [0, 2]].mean(dim=(1, 2), keepdim=True).reshape(1, 1, 1, 8)
    torch.testing.assert_close(
        pooling(levels, tokens), pooling(mean, torch.ones(1, 1, 1, dtype=torch.bool))
    )


def test_equal_texts_give_an_equal_tokenizer_in_every_process() -> None:
    words = [f"{a}{b}{c}" for a in "abcdef" for b in "ghijk" for c in "lmnop"]
    texts = [" ".join(words[n : n + 7]) for n in range(len(words) - 7)]
    trained = [WordPieces.train(order, 120, 16).to_json() for order in (texts, texts[::-1])]
    code = (
        "import hashlib; from fvlm_train.model import WordPieces; "
        f"print(hashlib.md5(WordPieces.train({texts!r}, 120, 16).to_json().encode()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    digests = {hashlib.md5(one.encode()).hexdigest() for one in trained}
    assert digests == {other.stdout.strip()}


def test_pieces_by_hand() -> None:
    # a+##a and ##a+##b occur 3 and 4 times: the more frequent pair first, then the whole word
    assert learnt_pieces({"aab": 3, "cab": 1}, 6) == ["##a", "##ab", "##b", "a", "aab", "c"]
    assert learnt_pieces({"aab": 3, "cab": 1}, 5) == ["##a", "##ab", "##b", "a", "c"]
    # what occurs once is not merged
    assert learnt_pieces({"abc": 1}, 100) == ["##b", "##c", "a"]
    assert learnt_pieces({}, 100) == []


def plain_pieces(word_counts: dict[str, int], size: int) -> list[str]:
    split = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in word_counts}
    pieces = {piece for parts in split.values() for piece in parts}
    while len(pieces) < size:
        counts: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                counts[pair] += word_counts[word]
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        joined = best[0] + best[1][2:]
        pieces.add(joined)
        for word, parts in split.items():
            merged: list[str] = []
            for part in parts:
                if merged and (merged[-1], part) == best:
                    merged[-1] = joined
                else:
                    merged.append(part)
            split[word] = merged
    return sorted(pieces)


@settings(deadline=None)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 4), max_size=30),
    st.integers(3, 60),
)
def test_pieces_equal_a_plain_loop(word_counts: dict[str, int], size: int) -> None:
    assert learnt_pieces(word_counts, size) == plain_pieces(word_counts, size)


def test_tokenizer_survives_saving_and_cuts_long_texts() -> None:
    pieces = WordPieces.train(TEXTS, 200, 8)
    again = WordPieces.from_json(pieces.to_json(), 8)
    texts = ["Gallstone.", "The liver is normal. " * 5]
    ids, mask = pieces.encode(texts)
    assert torch.equal(ids, again.encode(texts)[0])
    assert ids.shape == (2, 8)
    assert mask.sum(1).tolist() == [4, 8]


def test_padding_does_not_change_a_text() -> None:
    ours = model()
    with torch.no_grad():
        alone = ours.encode_texts(TEXTS[1:2])
        beside = ours.encode_texts(TEXTS)[1:2]
    torch.testing.assert_close(alone, beside)


def test_text_encoder_from_a_folder_with_and_without_token_types(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = TextEncoderConfig(kind="fresh", width=8, depth=1, heads=2, max_tokens=16)
    pieces = WordPieces.train(TEXTS, 100, 16)
    bert = TextEncoder.build(config, pieces.size)
    bert.bert.save_pretrained(tmp_path)
    vocabulary = sorted((number, piece) for piece, number in pieces._tokenizer.get_vocab().items())
    (tmp_path / "vocab.txt").write_text("\n".join(piece for _, piece in vocabulary) + "\n")
    features = {}
    for switch in (True, False):
        text = TextEncoderConfig(
            kind="folder", folder=tmp_path, max_tokens=16, add_token_type_embeddings=switch
        )
        loaded = FVLM.for_training(small().model_copy(update={"text": text}), ANATOMIES, [])
        features[switch] = loaded.eval().text_encoder(*loaded.tokenizer.encode(TEXTS))
    torch.testing.assert_close(features[True], bert.eval()(*pieces.encode(TEXTS)))
    assert not torch.allclose(features[True], features[False])


@pytest.mark.parametrize(
    ("pieces", "stated", "kept"),
    [
        (["Stone", "stone"], None, True),
        (["stone", "##ed"], None, False),
        (["Stone", "stone"], True, False),
        (["stone"], False, True),
    ],
)
def test_capitals_count_where_the_vocabulary_was_made_with_them(
    tmp_path: Path, pieces: list[str], stated: bool | None, kept: bool
) -> None:
    named = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join([*named, *pieces]) + "\n")
    if stated is not None:
        (tmp_path / "tokenizer_config.json").write_text(
            f'{{"do_lower_case": {str(stated).lower()}}}'
        )
    tokenizer = WordPieces.from_folder(tmp_path, 8)
    ids, _ = tokenizer.encode(["Stone", "stone"])
    assert (not torch.equal(ids[0], ids[1])) is kept


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("vocab.txt", "<s>\n</s>\nstone\n", r"vocab\.txt has no \[UNK\]"),
        ("tokenizer.json", "{}", r"tokenizer\.json cannot be read"),
    ],
)
def test_what_is_no_tokenizer_of_a_bert_is_named(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=told):
        WordPieces.from_folder(tmp_path, 8)


def test_a_folder_without_a_bert_is_named(tmp_path: Path) -> None:
    text = TextEncoderConfig(kind="folder", folder=tmp_path / "none")
    with pytest.raises(ConfigError, match=r"neither tokenizer\.json nor vocab\.txt"):
        FVLM.for_training(small().model_copy(update={"text": text}), ANATOMIES, [])
