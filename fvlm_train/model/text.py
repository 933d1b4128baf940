"""Text encoder: a BERT over the sentences about one anatomy.

Shapes: T texts, S tokens of the longest text, D width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fvlm_train.config import TextEncoderConfig

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BERT_WIDTH = 768


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

        The library numbers pieces in no fixed order; they are renumbered by spelling, so that
        equal texts give equal weights.
        """
        from tokenizers import Tokenizer, models, trainers

        learner = _with_bert_rules(Tokenizer(models.WordPiece(unk_token="[UNK]")), lowercase=True)
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False
        )
        learner.train_from_iterator(sorted(set(texts)), trainer)
        pieces = sorted(set(learner.get_vocab()) - set(SPECIAL_TOKENS))
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
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
        return cls(tokenizer, max_tokens)

    @classmethod
    def from_folder(cls, folder: Path, max_tokens: int) -> WordPieces:
        """The tokenizer saved beside a BERT: `tokenizer.json`, else `vocab.txt`.

        Raises:
            ConfigError: the folder holds neither.
        """
        from tokenizers import Tokenizer

        if (folder / "tokenizer.json").is_file():
            return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), max_tokens)
        if (folder / "vocab.txt").is_file():
            pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
            vocabulary = {piece: number for number, piece in enumerate(pieces)}
            return cls.from_vocabulary(vocabulary, max_tokens, lowercase=True)
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

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and attention mask, int64 (T, S), padded to the longest text of the call."""
        encoded = self._tokenizer.encode_batch(list(texts))
        ids_ts = torch.tensor([one.ids for one in encoded], dtype=torch.int64)
        mask_ts = torch.tensor([one.attention_mask for one in encoded], dtype=torch.int64)
        return ids_ts, mask_ts


class TextEncoder(nn.Module):
    """BERT, pooled to one feature a text."""

    def __init__(self, config: TextEncoderConfig, bert: Any) -> None:
        """`bert` is a `transformers.BertModel` without its pooler."""
        super().__init__()
        self.bert = bert
        self.pooling = config.pooling
        self.width = int(bert.config.hidden_size)
        if not config.add_token_type_embeddings:
            self.silence_token_types()

    @classmethod
    def build(cls, config: TextEncoderConfig, vocabulary_size: int) -> TextEncoder:
        """A BERT of the configured size at random, or the one in the configured folder's shape."""
        from transformers import BertConfig, BertModel

        if config.kind == "folder" and config.folder is not None:
            shape = BertConfig.from_pretrained(config.folder, local_files_only=True)
        else:
            shape = BertConfig(
                hidden_size=config.width,
                num_hidden_layers=config.depth,
                num_attention_heads=config.heads,
                intermediate_size=4 * config.width,
                max_position_embeddings=config.max_tokens,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                # BERT's 0.02 belongs to its width; narrower layers would hardly pass a signal
                initializer_range=0.02 * math.sqrt(BERT_WIDTH / config.width),
            )
        shape.vocab_size = vocabulary_size
        return cls(config, BertModel(shape, add_pooling_layer=False))

    @classmethod
    def pretrained(cls, config: TextEncoderConfig, folder: Path) -> TextEncoder:
        """The BERT saved in `folder`; nothing is fetched, no code of the folder is run."""
        from transformers import BertModel

        try:
            bert = BertModel.from_pretrained(
                folder, local_files_only=True, add_pooling_layer=False
            ).float()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"text encoder {folder}: no BERT can be loaded from there "
                f"({type(error).__name__}); give the local folder of a saved BERT"
            ) from error
        return cls(config, bert)

    def silence_token_types(self) -> None:
        """BERT adds the embedding of type 0 by itself: as zeros, never trained, it adds nothing."""
        self.bert.embeddings.token_type_embeddings.weight.requires_grad_(False).zero_()

    def forward(self, ids_ts: Tensor, mask_ts: Tensor) -> Tensor:
        """Token ids and attention mask (T, S) -> features (T, D)."""
        out_tsd: Tensor = self.bert(input_ids=ids_ts, attention_mask=mask_ts).last_hidden_state
        if self.pooling == "cls":
            return out_tsd[:, 0]
        weight_ts1 = mask_ts[..., None].to(out_tsd.dtype)
        return (out_tsd * weight_ts1).sum(1) / weight_ts1.sum(1)


def _with_bert_rules(tokenizer: Any, *, lowercase: bool) -> Any:
    from tokenizers import decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer
