"""The fVLM model: image regions and sentences of each anatomy in one space.

Source: fVLM (arXiv 2501.14548), section 3, and the behaviour of its public code.

Shapes: B batch, A anatomy, L levels, N tokens, D width, E projected features, T texts, S text
tokens; images are (B, z, y, x) scaled to [0, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from fvlm_data.errors import ConfigError
from fvlm_train.model.pooling import AnatomyPooling
from fvlm_train.model.text import TextEncoder, text_features
from fvlm_train.model.vit import ImageEncoder
from fvlm_train.model.weights import from_mae, from_reference, read_checkpoint
from fvlm_train.model.wordpieces import WordPieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.config import ModelConfig


class Features(NamedTuple):
    """What the loss compares."""

    image_bae: Tensor
    text_te: Tensor
    temperature: Tensor


class FVLM(nn.Module):
    """Image encoder, anatomy pooling, text encoder, projections and temperature."""

    def __init__(
        self,
        config: ModelConfig,
        anatomies: Sequence[str],
        tokenizer: WordPieces,
        text_encoder: TextEncoder | None = None,
    ) -> None:
        """Random weights, except in a given `text_encoder`."""
        super().__init__()
        self.config = config
        self.anatomies = tuple(anatomies)
        self.tokenizer = tokenizer
        self.image_encoder = ImageEncoder(config.image)
        self.pooling = AnatomyPooling(
            len(self.anatomies),
            config.image.width,
            config.pooling_heads,
            config.projection_dim,
            config.pooling_dropout,
        )
        self.text_encoder = text_encoder or TextEncoder.build(config.text, tokenizer.size)
        self.text_projection = nn.Linear(self.text_encoder.width, config.projection_dim)
        self.temperature = nn.Parameter(torch.tensor(float(config.temperature_init)))

    @classmethod
    def for_training(
        cls, config: ModelConfig, anatomies: Sequence[str], texts: Sequence[str]
    ) -> FVLM:
        """The model that training starts from: saved weights where the configuration names some.

        `texts` are the training texts; a fresh text encoder learns its word pieces from them.

        Raises:
            ConfigError: a file or folder that the configuration names cannot be used.
        """
        text = config.text
        if text.kind == "folder" and text.folder is not None:
            tokenizer = WordPieces.from_folder(text.folder, text.max_tokens)
            bert = TextEncoder.pretrained(text, text.folder)
            model = cls(config, anatomies, tokenizer, bert)
        else:
            tokenizer = WordPieces.train(texts, text.vocabulary_size, text.max_tokens)
            model = cls(config, anatomies, tokenizer)
        if config.init_mae is not None:
            model.load_mae(read_checkpoint(config.init_mae))
        if config.init_reference is not None:
            model.load_reference(read_checkpoint(config.init_reference))
        return model

    def forward(
        self, image_bzyx: Tensor, tokens_ban: Tensor, ids_ts: Tensor, mask_ts: Tensor
    ) -> Features:
        """Windows, anatomy token masks (bool) and tokenised texts -> unit vectors of both."""
        return Features(
            self.encode_images(image_bzyx, tokens_ban),
            self.encode_tokens(ids_ts, mask_ts),
            self.temperature,
        )

    def encode_images(self, image_bzyx: Tensor, tokens_ban: Tensor) -> Tensor:
        """Unit vectors (B, A, E); zeros where an anatomy has no token."""
        features: Tensor = self.pooling(self.image_encoder(image_bzyx), tokens_ban)
        return features

    def encode_tokens(self, ids_ts: Tensor, mask_ts: Tensor) -> Tensor:
        """Unit vectors (T, E) of tokenised texts."""
        return text_features(self.text_encoder, self.text_projection, ids_ts, mask_ts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (T, E) of texts, on the model's device."""
        ids_ts, mask_ts = self.tokenizer.encode(texts)
        device = self.temperature.device
        return self.encode_tokens(ids_ts.to(device), mask_ts.to(device))

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep the temperature in its bounds; called before each training step."""
        self.temperature.clamp_(self.config.temperature_min, self.config.temperature_max)

    def load_reference(self, state_dict: Mapping[str, Tensor]) -> list[str]:
        """Take the weights of the public reference code; returns its unused keys.

        Its image positions must cover this model's window, its anatomies be as many as ours, in
        our order. That code never adds token-type embeddings, so they are switched off here.

        Raises:
            ConfigError: a weight is missing or has another shape; the message names it.
        """
        if self.config.image.stem != "patch":
            raise ConfigError("Reference weights need model.image.stem: patch.")
        mapped, unused = from_reference(
            state_dict, len(self.anatomies), len(self.image_encoder.blocks)
        )
        self._load(mapped, "reference checkpoint", may_lack=("token_type_embeddings",))
        if not any("token_type_embeddings" in name for name in mapped):
            self.text_encoder.silence_token_types()
        return unused

    def load_mae(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start blocks, norm and positions from an ImageNet MAE ViT-B; the patch layer stays.

        Raises:
            ConfigError: a weight is missing or has another shape; the message names it.
        """
        mapped = from_mae(state_dict, self.image_encoder.grid_zyx, len(self.image_encoder.blocks))
        kept = ("image_encoder.embedding.", "pooling.", "text_encoder.", "text_projection.")
        self._load(mapped, "MAE checkpoint", may_lack=(*kept, "temperature"))

    def _load(self, weights: Mapping[str, Tensor], source: str, may_lack: tuple[str, ...]) -> None:
        own = self.state_dict()
        missing = [
            name for name in own if name not in weights and not any(p in name for p in may_lack)
        ]
        if missing:
            raise ConfigError(f"The {source} has no weight for {missing[0]}.")
        for name, weight in weights.items():
            if name not in own:
                raise ConfigError(f"The {source} holds {name}, which this model has not.")
            if weight.shape != own[name].shape:
                raise ConfigError(
                    f"The {source} gives {name} the shape {tuple(weight.shape)}, this model "
                    f"{tuple(own[name].shape)}: set the sizes under train.model to match."
                )
        # not strict: `may_lack` was checked above, with a message that names the weight
        self.load_state_dict(dict(weights), strict=False)
