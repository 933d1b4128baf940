"""Fit the decoder on one split, and have it write the reports of another.

Shapes: B examples, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from fvlm_data.errors import ConfigError
from fvlm_train.generation.decoder import Decoder
from fvlm_train.generation.words import BEGIN, END, PAD, Lexicon, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_train.generation.examples import Example


@dataclass(frozen=True, slots=True)
class Fit:
    """How a decoder is fitted; `most_words` bounds the sentences of an anatomy."""

    steps: int = 1500
    batch_size: int = 64
    learning_rate: float = 1e-3
    most_words: int = 64
    seed: int = 0
    with_context: bool = True


@dataclass(frozen=True, slots=True)
class Writer:
    """A fitted decoder with what it needs to read an example."""

    decoder: Decoder
    lexicon: Lexicon
    anatomies: tuple[str, ...]
    fit: Fit


def fitted_writer(
    train: Sequence[Example], fit: Fit, progress: Callable[[int, int], None] = lambda done, of: None
) -> Writer:
    """Fit a decoder; the same examples and seed give the same one on a CPU.

    Raises:
        ConfigError: no example has a sentence.
    """
    if not any(one.told for one in train):
        raise ConfigError(
            "no anatomy of the split that is fitted on has a sentence and an embedding"
        )
    lexicon = Lexicon.of([[*_context(one, fit), *one.told] for one in train])
    anatomies = tuple(sorted({one.anatomy for one in train}))
    rng = np.random.default_rng(fit.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fit.seed)
        longest = max(len(_context(one, fit)) for one in train)
        decoder = Decoder(
            len(train[0].embedding_e), len(anatomies), len(lexicon.words),
            longest + fit.most_words + 2,
        )  # fmt: skip
        writer = Writer(decoder, lexicon, anatomies, fit)
        optimiser = torch.optim.AdamW(decoder.parameters(), fit.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, fit.learning_rate, fit.steps)
        decoder.train()
        for step in range(fit.steps):
            chosen = rng.integers(len(train), size=fit.batch_size)
            loss = _loss(writer, [train[number] for number in chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            progress(step + 1, fit.steps)
    decoder.eval()
    return writer


def written_reports(writer: Writer, asked: Sequence[Example]) -> dict[str, str]:
    """A report by study: the sentences of its anatomies, likeliest word after word.

    Anatomies that the writer has never seen are left out.
    """
    known = [one for one in asked if one.anatomy in writer.anatomies]
    parts: dict[str, list[str]] = {one.study: [] for one in asked}
    for start in range(0, len(known), writer.fit.batch_size):
        some = known[start : start + writer.fit.batch_size]
        for one, told in zip(some, _told(writer, some), strict=True):
            if told:
                parts[one.study].append(as_text(told))
    return {study: " ".join(texts) for study, texts in parts.items()}


def _context(one: Example, fit: Fit) -> tuple[str, ...]:
    return one.context if fit.with_context else ()


def _loss(writer: Writer, batch: Sequence[Example]) -> torch.Tensor:
    """Mean over the words of the sentences and their ends; the context is given, not asked."""
    lexicon, most = writer.lexicon, writer.fit.most_words
    (pad,) = lexicon.numbers([PAD])
    rows, asked = [], []
    for one in batch:
        context = [*_context(one, writer.fit), BEGIN]
        told = [*one.told[:most], END]
        rows.append(lexicon.numbers([*context, *told[:-1]]))
        asked.append([-100] * (len(context) - 1) + lexicon.numbers(told))
    width = max(map(len, rows))
    word_bt = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    asked_bt = torch.tensor([row + [-100] * (width - len(row)) for row in asked])
    scores_btv = writer.decoder(*_images(writer, batch), word_bt)
    return F.cross_entropy(scores_btv.transpose(1, 2), asked_bt, ignore_index=-100)


@torch.inference_mode()
def _told(writer: Writer, batch: Sequence[Example]) -> list[list[str]]:
    lexicon, decoder = writer.lexicon, writer.decoder
    end, pad = lexicon.numbers([END, PAD])
    rows = [lexicon.numbers([*_context(one, writer.fit), BEGIN]) for one in batch]
    # no longer context than positions: a longer one than any that was learned from loses its start
    room = len(decoder.position) - 2 - writer.fit.most_words
    rows = [row[-room:] for row in rows]
    begun = [len(row) for row in rows]
    image_be, anatomy_b = _images(writer, batch)
    going = set(range(len(rows)))
    for _ in range(writer.fit.most_words):
        width = max(map(len, rows))
        word_bt = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        scores_btv = decoder(image_be, anatomy_b, word_bt)
        for number in sorted(going):
            word = int(scores_btv[number, len(rows[number]) - 1].argmax())
            rows[number].append(word)
            if word == end:
                going.discard(number)
        if not going:
            break
    return [lexicon.told(row[start:]) for row, start in zip(rows, begun, strict=True)]


def _images(writer: Writer, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    embedding_be = torch.tensor(np.array([one.embedding_e for one in batch]), dtype=torch.float32)
    anatomy_b = torch.tensor([writer.anatomies.index(one.anatomy) for one in batch])
    return embedding_be, anatomy_b
