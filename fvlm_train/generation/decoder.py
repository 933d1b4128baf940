"""The decoder: a small causal transformer behind an image token, an anatomy token, the context.

Shapes: B examples, T tokens, E features of an embedding, W width, V words.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Decoder(nn.Module):
    """Scores of the next word (B, T, V) from embeddings (B, E), anatomies (B,), words (B, T)."""

    def __init__(  # noqa: D107
        self,
        features: int,
        anatomies: int,
        words: int,
        length: int,
        *,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.image = nn.Linear(features, width)
        self.anatomy = nn.Embedding(anatomies, width)
        self.word = nn.Embedding(words, width)
        self.position = nn.Parameter(torch.zeros(length + 2, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, F.gelu, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.position, std=0.02)
        nn.init.normal_(self.word.weight, std=0.02)

    def forward(self, embedding_be: Tensor, anatomy_b: Tensor, word_bt: Tensor) -> Tensor:
        """Scores of the word behind each; of words that follow on padding nothing is asked."""
        first_b2w = torch.stack([self.image(embedding_be), self.anatomy(anatomy_b)], dim=1)
        all_btw = torch.cat([first_b2w, self.word(word_bt)], dim=1)
        length = all_btw.shape[1]
        hidden_btw = self.layers(
            all_btw + self.position[:length],
            mask=nn.Transformer.generate_square_subsequent_mask(length, device=all_btw.device),
            is_causal=True,
        )
        # the words' own table says which comes next, so that rare words learn from both uses
        scores_btv: Tensor = self.norm(hidden_btw[:, 2:]) @ self.word.weight.T
        return scores_btv
