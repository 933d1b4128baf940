"""Text encoder: a BERT over the sentences about one anatomy.

Shapes: T texts, S tokens of the longest text, D width.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.config import TextEncoderConfig

BERT_WIDTH = 768


class TextEncoder(nn.Module):
    """BERT, pooled to one feature vector per text."""

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
            shape = _shape_in(config.folder)
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
    def of_shape(cls, config: TextEncoderConfig, shape: str) -> TextEncoder:
        """A BERT at random of the shape that `shape` gave: no folder is needed."""
        from transformers import BertConfig, BertModel

        bert = BertModel(BertConfig.from_dict(json.loads(shape)), add_pooling_layer=False)
        return cls(config, bert)

    @property
    def shape(self) -> str:
        """Sizes and vocabulary of the BERT, as JSON."""
        return str(self.bert.config.to_json_string(use_diff=False))

    @classmethod
    def pretrained(cls, config: TextEncoderConfig, folder: Path) -> TextEncoder:
        """The BERT saved in `folder`; nothing is fetched, no code of the folder is run."""
        from transformers import BertModel

        try:
            bert = BertModel.from_pretrained(
                folder, local_files_only=True, add_pooling_layer=False
            ).float()
        except (OSError, ValueError) as error:
            raise _no_bert(folder, error) from error
        positions = int(bert.config.max_position_embeddings)
        if config.max_tokens > positions:
            raise ConfigError(
                f"train.model.text.max_tokens is {config.max_tokens}, but the BERT in {folder} has "
                f"{positions} positions: set it to {positions} at most"
            )
        return cls(config, bert)

    def check_vocabulary(self, pieces: int) -> None:
        """Refuse a tokenizer of more pieces than the BERT has embeddings.

        Raises:
            ConfigError: an id of the tokenizer would have no embedding.
        """
        rows = int(self.bert.config.vocab_size)
        if pieces > rows:
            raise ConfigError(
                f"text encoder: its tokenizer has {pieces} pieces but the BERT only {rows}: they "
                "are not of one model; give a folder with both of the same BERT"
            )

    @property
    def token_types(self) -> Tensor:
        """Token-type embeddings (2, D)."""
        weight: Tensor = self.bert.embeddings.token_type_embeddings.weight
        return weight

    def silence_token_types(self) -> None:
        """Make token-type embeddings add nothing: BERT adds that of type 0 unasked.

        Zeros, and not trained: otherwise the next step would bring them back.
        """
        self.token_types.requires_grad_(False).zero_()

    def forward(self, ids_ts: Tensor, mask_ts: Tensor) -> Tensor:
        """Token ids and attention mask (T, S) -> features (T, D)."""
        out_tsd: Tensor = self.bert(input_ids=ids_ts, attention_mask=mask_ts).last_hidden_state
        if self.pooling == "cls":
            return out_tsd[:, 0]
        weight_ts1 = mask_ts[..., None].to(out_tsd.dtype)
        # never 0: [CLS] is always shown
        return (out_tsd * weight_ts1).sum(1) / weight_ts1.sum(1)


def _shape_in(folder: Path) -> Any:
    from transformers import BertConfig

    try:
        return BertConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise _no_bert(folder, error) from error


def _no_bert(folder: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"text encoder {folder}: no BERT can be loaded from there ({type(error).__name__}); give "
        "the local folder of a saved BERT"
    )


def text_features(
    encoder: nn.Module, projection: nn.Module, ids_ts: Tensor, mask_ts: Tensor
) -> Tensor:
    """Token ids and attention mask (T, S) -> unit vectors (T, projected features)."""
    projected: Tensor = projection(encoder(ids_ts, mask_ts))
    return F.normalize(projected.float(), dim=-1)
