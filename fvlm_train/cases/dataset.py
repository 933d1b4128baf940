"""Cases as torch datasets: embeddings of their images, or the voxels of their patches.

Shapes: I images of a case, P patches, F features, L labels, S voxels along an edge.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fvlm_data.errors import InputError, StoreError
from fvlm_data.segment.nifti import NiftiError, read_nifti
from fvlm_train.cases.records import images_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.store.tables import Store

Array = np.ndarray[Any, Any]


class CaseImages(NamedTuple):
    """Features (I, F) of a case's images, labels (L,; 0 or 1) where known (L,; bool)."""

    features_if: Tensor
    present_l: Tensor
    known_l: Tensor


class CasePatches(NamedTuple):
    """HU of a case's patches (P, S, S, S; i, j, k), the image (P,) of each, and labels."""

    patches_psss: Tensor
    image_p: Tensor
    present_l: Tensor
    known_l: Tensor


class ImagesOfCases(Dataset[CaseImages]):
    """Cases by the embeddings of their images; cases of which no image has one are left out.

    An image's features are the embeddings of all anatomies, zeros where it does not show one, and
    for each anatomy whether it does. `cases` are the records that are kept, `labels` their names.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        embedded: Mapping[str, Mapping[str, Array]],
        anatomies: Sequence[str],
    ) -> None:
        """`embedded` has embeddings (E,) by volume and anatomy.

        Raises:
            InputError: no image of the cases has an embedding.
        """
        width = next((len(one) for of in embedded.values() for one in of.values()), 0)
        self._features: list[Tensor] = []
        self.cases: list[Mapping[str, Any]] = []
        for case in cases:
            shown = [
                embedded[v] for v in (i["volume_id"] for i in images_of(case)) if v in embedded
            ]
            if shown:
                told = [_image_features(one, anatomies, width) for one in shown]
                self._features.append(torch.from_numpy(np.stack(told)))
                self.cases.append(case)
        if not self.cases:
            raise InputError(
                "no image of the cases has an embedding; expected --embeddings of the same store "
                "(`fvlm-eval embed`)"
            )
        self.labels = tuple(self.cases[0]["labels"])

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> CaseImages:
        """One case."""
        return CaseImages(self._features[index], *labels_of(self.cases[index]))


class PatchesOfCases(Dataset[CasePatches]):
    """Cases by the voxels of their patches, each read at `size` voxels along an edge.

    Voxels are the nearest ones at even distances; a volume is read once a case, and none is kept.
    """

    def __init__(self, store: Store, cases: Sequence[Mapping[str, Any]], size: int) -> None:
        """Nothing is read yet; `store` is the one that the cases were exported from."""
        self._store = store
        self.cases = list(cases)
        self._size = size

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> CasePatches:
        """One case.

        Raises:
            StoreError: a volume cannot be read.
        """
        case = self.cases[index]
        patches: list[Array] = []
        image_p: list[int] = []
        for number, image in enumerate(images_of(case)):
            voxels = self._voxels(image["path"])
            for patch in image["patches"]:
                patches.append(voxels[np.ix_(*_places(patch["box"], self._size))])
                image_p.append(number)
        return CasePatches(
            torch.from_numpy(np.stack(patches).astype(np.int16)),
            torch.tensor(image_p),
            *labels_of(case),
        )

    def _voxels(self, path: str) -> Array:
        try:
            return read_nifti(self._store.read_bytes(path)).data
        except NiftiError as error:
            raise StoreError(
                f"{path}: {error}; expected a volume of the store (`fvlm-data verify`)"
            ) from error


def labels_of(case: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Labels (L,; 0 or 1) and whether they are known (L,): 1 and 0 are, another value is not."""
    values = list(case["labels"].values())
    present = torch.tensor([float(one == 1) for one in values])
    return present, torch.tensor([one in (0, 1) for one in values])


def joined(cases: Sequence[CaseImages]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cases as one batch: features (B, I, F), which images are there (B, I), labels, known."""
    most = max(len(one.features_if) for one in cases)
    features = torch.zeros(len(cases), most, cases[0].features_if.shape[1])
    there = torch.zeros(len(cases), most, dtype=torch.bool)
    for number, one in enumerate(cases):
        features[number, : len(one.features_if)] = one.features_if
        there[number, : len(one.features_if)] = True
    present, known = (torch.stack([one[place] for one in cases]) for place in (1, 2))
    return features, there, present, known


def by_volume(embedded: Mapping[tuple[str, str], Array]) -> dict[str, dict[str, Array]]:
    """Embeddings (E,) by volume and anatomy as those of each volume."""
    found: dict[str, dict[str, Array]] = defaultdict(dict)
    for (volume, anatomy), embedding_e in embedded.items():
        found[volume][anatomy] = np.asarray(embedding_e, np.float32)
    return dict(found)


def _image_features(shown: Mapping[str, Array], anatomies: Sequence[str], width: int) -> Array:
    nothing = np.zeros(width, np.float32)
    parts = [shown.get(anatomy, nothing) for anatomy in anatomies]
    flags = np.array([anatomy in shown for anatomy in anatomies], np.float32)
    return np.concatenate([*parts, flags])


def _places(box: Sequence[int], size: int) -> list[Array]:
    """Voxels along each axis: the middles of `size` even parts of the box."""
    middles = (np.arange(size) + 0.5) / size
    return [
        (box[axis] + middles * (box[axis + 3] - box[axis])).astype(np.int64) for axis in range(3)
    ]
