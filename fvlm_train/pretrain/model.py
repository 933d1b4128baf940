"""What is pretrained: an image encoder, its mean token, a projection, and the head of a method.

Shapes: B samples, N tokens, D width, E features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_data.errors import ConfigError
from fvlm_train.model.encoders.entry import build_encoder, loaded_weights
from fvlm_train.pretrain.graph import GraphHead
from fvlm_train.pretrain.swapped import SwappedHead

if TYPE_CHECKING:
    from fvlm_train.config import TrainConfig


class Pretrained(nn.Module):
    """An encoder and what compares its views."""

    def __init__(self, config: TrainConfig) -> None:
        """The encoder of train.model with random weights.

        Raises:
            ConfigError: the encoder cannot be built, or its weights could not be taken back by
                train.model.init_image.
        """
        super().__init__()
        pretrain = config.pretrain
        self.encoder: Any = build_encoder(config.model)
        _check_taken_back(self.encoder, config)
        self.projection = nn.Sequential(
            nn.Linear(self.encoder.width, pretrain.hidden),
            # over the batch: what all views share, which is most of a body, tells none apart
            nn.BatchNorm1d(pretrain.hidden),
            nn.GELU(),
            nn.Linear(pretrain.hidden, pretrain.projection_dim),
        )
        self.head: nn.Module = (
            SwappedHead(pretrain.projection_dim, pretrain.swapped)
            if pretrain.method == "swapped"
            else GraphHead(pretrain.graph)
        )

    def features(self, views_bzyx: Tensor) -> Tensor:
        """Views in [0, 1] -> features (B, E) of length 1."""
        mean_bd = self.encoder(views_bzyx)[:, -1].mean(dim=1)
        return F.normalize(self.projection(mean_bd), dim=1)

    def forward(self, views_b2zyx: Tensor) -> Tensor:
        """The loss of a batch of pairs (B, 2, z, y, x)."""
        # both at once: an encoder that takes statistics of a batch takes those of all views
        features = self.features(views_b2zyx.flatten(0, 1))
        features_b2e = features.reshape(len(views_b2zyx), 2, -1)
        loss: Tensor = self.head(features_b2e[:, 0], features_b2e[:, 1])
        return loss


def _check_taken_back(encoder: Any, config: TrainConfig) -> None:
    """Refuse, before any work, an encoder whose own weights init_image would not take."""
    try:
        loaded_weights(encoder.state_dict(), encoder, config.model)
    except ConfigError as error:
        raise ConfigError(
            f"train.model.image_encoder {config.model.image_encoder}: begins from weights of "
            f"another form, so that what it learns could not be loaded again ({error}); pretrain "
            "vit, which has the same blocks"
        ) from error
