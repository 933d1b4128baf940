"""The fVLM model: image regions and sentences of each anatomy in one space.

Source: fVLM (arXiv 2501.14548), section 3, and the behaviour of its public code.

Shapes: B batch, A anatomy, L levels, N tokens, D width, E projected features, T texts, S text
tokens; images are (B, z, y, x) scaled to [0, 1].
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.model.encoders.entry import build_encoder, loaded_weights
from fvlm_train.model.encoders.tokens import check_count
from fvlm_train.model.organs import OrganFeatures, OrganVoxels, measures, organ_voxels
from fvlm_train.model.pooling import AnatomyPooling, OrganProjection
from fvlm_train.model.saved import CHECKPOINT, read_saved
from fvlm_train.model.text import TextEncoder, text_features
from fvlm_train.model.vit import ImageEncoder
from fvlm_train.model.weights import from_mae, from_reference, read_checkpoint
from fvlm_train.model.wordpieces import WordPieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.config import ModelConfig
    from fvlm_train.model.encoders.tokens import TokenEncoder
    from fvlm_train.model.saved import SavedModel


class Features(NamedTuple):
    """What the loss compares."""

    image_bae: Tensor
    text_te: Tensor
    temperature: Tensor


class _Organs(NamedTuple):
    """What joins embeddings of tokens and attention, and voxels by token; None where not needed."""

    added_bnd: Tensor | None
    cover_ban: Tensor | None
    voxels: OrganVoxels | None


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
        organ = config.organ
        self.image_encoder = None if organ.features_only else build_encoder(config)
        width = config.image.width if self.image_encoder is None else self.image_encoder.width
        self.organ_features = OrganFeatures(len(self.anatomies), organ) if organ.features else None
        self.mask_embedding = (
            nn.Linear(len(self.anatomies), width, bias=False) if organ.mask_embedding else None
        )
        joined = self.organ_features.joined if self.organ_features else 0
        self.pooling = (
            OrganProjection(len(self.anatomies), joined, config.projection_dim)
            if organ.features_only
            else AnatomyPooling(
                len(self.anatomies),
                width,
                config.pooling_heads,
                config.projection_dim,
                config.pooling_dropout,
                joined,
            )
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
            bert.check_vocabulary(tokenizer.size)
            model = cls(config, anatomies, tokenizer, bert)
        else:
            tokenizer = WordPieces.train(texts, text.vocabulary_size, text.max_tokens)
            model = cls(config, anatomies, tokenizer)
        if config.init_image is not None:
            loaded_weights(read_checkpoint(config.init_image), model.image_encoder, config)
        if config.init_mae is not None:
            model.load_mae(read_checkpoint(config.init_mae))
        if config.init_reference is not None:
            model.load_reference(read_checkpoint(config.init_reference))
        return model

    @classmethod
    def from_run(cls, path: str | Path) -> FVLM:
        """The trained model of a run, or of a folder of `fvlm-eval export`, on CPU, in evaluation.

        Nothing is fetched, and no code of the folder is run.

        Raises:
            InputError: neither is there, or it cannot be used.
        """
        return cls.from_saved(read_saved(Path(path)), Path(path))

    @classmethod
    def from_saved(cls, saved: SavedModel, path: Path) -> FVLM:
        """The model in evaluation mode, its weights checked; `path` is named in messages.

        Raises:
            InputError: weights do not fit the configuration, or are no finite numbers.
        """
        try:
            model = cls.restored(saved).eval()
        except (RuntimeError, ConfigError) as error:
            why = (
                error if isinstance(error, ConfigError) else "its weights fit not its configuration"
            )
            raise InputError(f"run {path}: {CHECKPOINT} cannot be used: {why}") from error
        if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
            raise InputError(
                f"run {path}: {CHECKPOINT} holds weights that are no numbers; train anew"
            )
        return model

    @classmethod
    def restored(cls, saved: SavedModel) -> FVLM:
        """A saved model; files that training started from are not needed again.

        Raises:
            ConfigError: the checkpoint is of version 1 and its BERT's folder is gone.
            RuntimeError: the weights do not fit the configuration.
        """
        config = saved.config
        word_pieces = WordPieces.from_json(saved.tokenizer, config.model.text.max_tokens)
        text_encoder = None
        if saved.text_shape is not None:
            text_encoder = TextEncoder.of_shape(config.model.text, saved.text_shape)
        model = cls(config.model, config.anatomies, word_pieces, text_encoder)
        model.load_state_dict(saved.weights)
        if not bool(model.text_encoder.token_types.any()):
            # silenced at the start, which the configuration need not say (init_reference)
            model.text_encoder.silence_token_types()
        return model

    def forward(
        self,
        image_bzyx: Tensor,
        tokens_ban: Tensor,
        ids_ts: Tensor,
        mask_ts: Tensor,
        organs_bzyx: Tensor | None = None,
        measured_baf: Tensor | None = None,
    ) -> Features:
        """Windows, anatomy token masks (bool) and tokenised texts -> unit vectors of both."""
        return Features(
            self.encode_images(image_bzyx, tokens_ban, organs_bzyx, measured_baf),
            self.encode_tokens(ids_ts, mask_ts),
            self.temperature,
        )

    def encode_images(
        self,
        image_bzyx: Tensor,
        tokens_ban: Tensor,
        organs_bzyx: Tensor | None = None,
        measured_baf: Tensor | None = None,
    ) -> Tensor:
        """Unit vectors (B, A, E); zeros where an anatomy has neither a token nor measures.

        `organs_bzyx` (uint8) holds 1 + the number of the anatomy of each voxel, else 0;
        `measured_baf` what `fvlm_train.data.whole.measured` says of whole samples. Either is needed
        where the configuration's `organ` asks for it.

        Raises:
            ValueError: the model reads one of them and it is not given.
        """
        read = self._organs(image_bzyx, organs_bzyx)
        joined_baj = measured_ba = None
        if self.organ_features is not None:
            if read.voxels is not None and not self.config.organ.whole:
                measured_baf = measures(read.voxels)
            if measured_baf is None:
                raise ValueError(
                    "This model takes features of whole samples (model.organ.features_of): give "
                    "measured_baf."
                )
            joined_baj = self.organ_features(measured_baf)
            measured_ba = ~measured_baf[..., 0].isnan()
        features_bae: Tensor
        if self.image_encoder is None:
            features_bae = self.pooling(joined_baj, measured_ba)
        else:
            levels_blnd = self._levels(self.image_encoder, image_bzyx, read.added_bnd)
            features_bae = self.pooling(
                levels_blnd, tokens_ban, read.cover_ban, joined_baj, measured_ba
            )
        return features_bae

    def token_weights(
        self, image_bzyx: Tensor, tokens_ban: Tensor, organs_bzyx: Tensor | None = None
    ) -> Tensor:
        """Share (B, A, N) of each token in its anatomy's pooled output; given as `encode_images`.

        What `organ.features` add to the output is no part of it.

        Raises:
            InputError: the model has no tokens.
        """
        if self.image_encoder is None or not isinstance(self.pooling, AnatomyPooling):
            raise InputError(
                "This model looks at no tokens (model.organ.features_only): there is no attention "
                "to show."
            )
        read = self._organs(image_bzyx, organs_bzyx)
        levels_blnd = self._levels(self.image_encoder, image_bzyx, read.added_bnd)
        return self.pooling.token_weights(levels_blnd, tokens_ban, read.cover_ban)

    def _levels(
        self, encoder: TokenEncoder, image_bzyx: Tensor, added_bnd: Tensor | None
    ) -> Tensor:
        """Features (B, L, N, D), a token for each patch of the masks."""
        levels_blnd = encoder(image_bzyx, added_bnd)
        _, z, y, x = image_bzyx.shape
        check_count(levels_blnd, (z, y, x), self.config.image.patch_zyx)
        return levels_blnd

    def _organs(self, image_bzyx: Tensor, organs_bzyx: Tensor | None) -> _Organs:
        """What the switches of `model.organ` take of the organs' voxels."""
        organ = self.config.organ
        if not organ.seen:
            return _Organs(None, None, None)
        if organs_bzyx is None:
            raise ValueError("This model reads the organs' voxels (model.organ): give organs_bzyx.")
        patch_zyx = self.config.image.patch_zyx
        with torch.no_grad():
            voxels = organ_voxels(
                image_bzyx,
                organs_bzyx,
                len(self.anatomies),
                patch_zyx,
                0 if organ.whole else organ.histogram_windows,
            )
            cover_ban = voxels.count_ban / math.prod(patch_zyx)
        added_bnd = None
        if self.mask_embedding is not None:
            added_bnd = self.mask_embedding(cover_ban.transpose(1, 2))
        return _Organs(
            added_bnd,
            cover_ban if organ.cover_bias else None,
            voxels,
        )

    def encode_tokens(self, ids_ts: Tensor, mask_ts: Tensor) -> Tensor:
        """Unit vectors (T, E) of tokenised texts."""
        return text_features(self.text_encoder, self.text_projection, ids_ts, mask_ts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (T, E) of texts, on the model's device."""
        ids_ts, mask_ts = self.tokenizer.encode(texts)
        device = self.temperature.device
        return self.encode_tokens(ids_ts.to(device), mask_ts.to(device))

    def compute_blocks_again(self) -> None:
        """Gradient checkpointing in training: blocks of both encoders keep their inputs alone."""
        if isinstance(self.image_encoder, ImageEncoder):
            self.image_encoder.checkpointing = True
        bert = self.text_encoder.bert
        # transformers 5 has renamed it
        newer = getattr(bert, "activation_checkpointing_enable", None)
        (newer or bert.gradient_checkpointing_enable)({"use_reentrant": False})

    def compile_blocks(self) -> None:
        """Compile the image encoder's blocks when they are first called, one for all alike."""
        if isinstance(self.image_encoder, ImageEncoder):
            for block in self.image_encoder.blocks:
                block.compile()

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
        if self.config.image.stem != "patch" or self.config.image_encoder != "vit":
            raise ConfigError(
                "Reference weights need model.image.stem: patch and model.image_encoder: vit."
            )
        if self.config.organ.mask_embedding or self.config.organ.features:
            raise ConfigError(
                "Reference weights know nothing of model.organ.features and mask_embedding: set "
                "them to false."
            )
        mapped, unused = from_reference(state_dict, len(self.anatomies), self.config.image.depth)
        self._load(mapped, "reference checkpoint", may_lack=("token_type_embeddings",))
        # also where its file holds some: the weights were trained without them
        self.text_encoder.silence_token_types()
        return unused

    def load_mae(self, state_dict: Mapping[str, Tensor]) -> None:
        """Start blocks, norm and positions from an ImageNet MAE ViT-B; the patch layer stays.

        Raises:
            ConfigError: a weight is missing or has another shape; the message names it.
        """
        if not isinstance(self.image_encoder, ImageEncoder):
            raise ConfigError(
                "MAE weights need tokens, of our transformer: set model.organ.features_only to "
                "false and model.image_encoder to vit."
            )
        mapped = from_mae(state_dict, self.image_encoder.grid_zyx, len(self.image_encoder.blocks))
        kept = ("image_encoder.embedding.", "pooling.", "text_encoder.", "text_projection.")
        ours = ("organ_features.", "mask_embedding.", "temperature")
        self._load(mapped, "MAE checkpoint", may_lack=(*kept, *ours))

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
