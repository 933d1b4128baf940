"""What is asked of the voxels of every volume, whatever it was read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.axes import check_axes
from fvlm_data.ingest.volume.hounsfield import check_wrapped_up
from fvlm_data.ingest.volume.hu_offset import check_offset
from fvlm_data.ingest.volume.plausibility import check_filled, check_plausible
from fvlm_data.ingest.volume.wrapped import check_wrapped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.volume.geometry import Fault


def check_voxels(image_zyx: NDArray[np.int16], config: IngestConfig) -> Fault | dict[str, int]:
    """Why voxels (k, j, i) are refused as HU of a CT, else what is to be told of them, by code.

    Values far below air must still be there: they show an intercept that was applied twice.
    """
    fault = (
        check_plausible(image_zyx)
        or check_wrapped_up(image_zyx)
        or check_filled(image_zyx)
        or check_axes(image_zyx)
        or check_wrapped(image_zyx)
    )
    return fault or check_offset(image_zyx, config)
