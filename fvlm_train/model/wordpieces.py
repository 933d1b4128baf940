"""WordPiece tokenization: pieces learnt from texts, the same in every run.

Source of the algorithm: WordPiece as byte-pair merging of the most frequent pair (Sennrich et
al., arXiv 1508.07909), pieces inside a word marked by ##.

Shapes: T texts, S tokens of the longest text.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NAMED = re.compile(r"\[.*\]")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MIN_PAIR_COUNT = 2
TEXTS_AT_ONCE = 4096
"""Texts encoded in one call, where only their lengths are asked: a bound of memory."""


class WordPieces:
    """A WordPiece tokenizer: texts to padded token ids."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        """`tokenizer` is a `tokenizers.Tokenizer`; longer texts are cut at `max_tokens`."""
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.enable_padding(pad_id=self.pad_id, pad_token="[PAD]")

    @classmethod
    def train(cls, texts: Sequence[str], size: int, max_tokens: int) -> WordPieces:
        """Learn `size` word pieces at most from `texts`.

        The library's own trainer breaks ties by hash order and gives other pieces in each
        process; this one breaks them by spelling, so that equal texts give equal weights.
        """
        pieces = learnt_pieces(_word_counts(texts), size - len(SPECIAL_TOKENS))
        vocabulary = {piece: number for number, piece in enumerate((*SPECIAL_TOKENS, *pieces))}
        return cls.from_vocabulary(vocabulary, max_tokens, lowercase=True)

    @classmethod
    def from_vocabulary(
        cls, vocabulary: dict[str, int], max_tokens: int, *, lowercase: bool
    ) -> WordPieces:
        """BERT's tokenizer over a given vocabulary, piece -> id."""
        from tokenizers import Tokenizer, models, processors

        model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
        tokenizer = _with_bert_rules(Tokenizer(model), lowercase=lowercase)
        tokenizer.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocabulary])
        tokenizer.post_processor = processors.BertProcessing(
            # in this order: the separator is the library's first parameter
            ("[SEP]", vocabulary["[SEP]"]),
            ("[CLS]", vocabulary["[CLS]"]),
        )
        return cls(tokenizer, max_tokens)

    @classmethod
    def from_folder(cls, folder: Path, max_tokens: int) -> WordPieces:
        """The tokenizer saved with a BERT: `tokenizer.json`, else `vocab.txt`.

        Whether capitals count is what `tokenizer_config.json` says (`do_lower_case`), else what
        the vocabulary shows: one that holds capitals was made with them.

        Raises:
            ConfigError: the folder holds neither, or what it holds is no tokenizer of a BERT.
        """
        from tokenizers import Tokenizer

        if (folder / "tokenizer.json").is_file():
            try:
                return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), max_tokens)
            except Exception as error:  # the library raises bare Exceptions
                raise ConfigError(
                    f"text encoder {folder}: tokenizer.json cannot be read as a tokenizer; save "
                    "the BERT's tokenizer there again"
                ) from error
        if (folder / "vocab.txt").is_file():
            vocabulary = _vocabulary(folder / "vocab.txt")
            return cls.from_vocabulary(
                vocabulary, max_tokens, lowercase=_lowercases(folder, vocabulary)
            )
        raise ConfigError(
            f"text encoder {folder}: neither tokenizer.json nor vocab.txt found there; "
            "give the local folder of a saved BERT"
        )

    @classmethod
    def from_json(cls, text: str, max_tokens: int) -> WordPieces:
        """The tokenizer that `to_json` gave."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_str(text), max_tokens)

    def to_json(self) -> str:
        """All of the tokenizer, in the library's JSON."""
        return str(self._tokenizer.to_str())

    @property
    def size(self) -> int:
        """Number of pieces."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def pad_id(self) -> int:
        """Id of the padding piece."""
        return int(self._tokenizer.token_to_id("[PAD]") or 0)

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many of `texts` are longer than `max_tokens`, and lose their end."""
        found = 0
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            encoded = self._tokenizer.encode_batch(list(texts[start : start + TEXTS_AT_ONCE]))
            found += sum(bool(one.overflowing) for one in encoded)
        return found

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and attention mask, int64 (T, S), padded to the longest text of the call."""
        encoded = self._tokenizer.encode_batch(list(texts))
        ids_ts = torch.tensor([one.ids for one in encoded], dtype=torch.int64)
        mask_ts = torch.tensor([one.attention_mask for one in encoded], dtype=torch.int64)
        return ids_ts, mask_ts


def learnt_pieces(word_counts: Mapping[str, int], size: int) -> list[str]:
    """Pieces, sorted: all characters, then merges of the most frequent pair, `size` at most.

    A pair must occur twice. Equal counts are decided by spelling.
    """
    pairs = _Pairs()
    split = {word: [word[0], *(f"##{letter}" for letter in word[1:])] for word in word_counts}
    pieces = {piece for parts in split.values() for piece in parts}
    for word, parts in split.items():
        pairs.add(word, parts, word_counts[word])
    while len(pieces) < size and (pair := pairs.most_frequent()):
        pieces.add(_joined(pair))
        for word in sorted(pairs.where[pair]):
            pairs.add(word, split[word], -word_counts[word])
            split[word] = _merged(split[word], pair)
            pairs.add(word, split[word], word_counts[word])
    return sorted(pieces)


class _Pairs:
    """Neighbouring pieces with their counts, and the words that hold them."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.where: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._heap: list[tuple[int, tuple[str, str]]] = []

    def add(self, word: str, parts: list[str], count: int) -> None:
        """Count a word's pairs; a negative count subtracts them."""
        for pair in pairwise(parts):
            self.counts[pair] += count
            if count > 0:
                self.where[pair].add(word)
            else:
                self.where[pair].discard(word)
            heapq.heappush(self._heap, (-self.counts[pair], pair))

    def most_frequent(self) -> tuple[str, str] | None:
        """The pair that occurs most often, the first by spelling among equals."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            # stale entries stay in the heap: a pair whose count changed was pushed again
            if self.counts[pair] == -negative and -negative >= MIN_PAIR_COUNT:
                return pair
        return None


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] = _joined(pair)
        else:
            merged.append(part)
    return merged


def _joined(pair: tuple[str, str]) -> str:
    return pair[0] + pair[1].removeprefix("##")


def _vocabulary(path: Path) -> dict[str, int]:
    # by line feeds only: `splitlines` would also split at separators that are pieces themselves
    pieces = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    missing = [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in vocabulary]
    if missing:
        raise ConfigError(
            f"text encoder {path.parent}: vocab.txt has no {missing[0]}, so it is not that of a "
            "BERT; give the local folder of a saved BERT"
        )
    return vocabulary


def _lowercases(folder: Path, vocabulary: Mapping[str, int]) -> bool:
    path = folder / "tokenizer_config.json"
    if path.is_file():
        try:
            stated = json.loads(path.read_text(encoding="utf-8")).get("do_lower_case")
        except (ValueError, AttributeError) as error:
            raise ConfigError(
                f"text encoder {folder}: tokenizer_config.json is no JSON object; mend it or take "
                "it away"
            ) from error
        if isinstance(stated, bool):
            return stated
    # [CLS] and [unused1] are names, not text
    return not any(piece != piece.lower() for piece in vocabulary if not _NAMED.fullmatch(piece))


def _word_counts(texts: Sequence[str]) -> Counter[str]:
    from tokenizers import normalizers, pre_tokenizers

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        plain = normalizer.normalize_str(text)
        counts.update(word for word, _ in splitter.pre_tokenize_str(plain))
    return counts


def _with_bert_rules(tokenizer: Any, *, lowercase: bool) -> Any:
    from tokenizers import decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer
