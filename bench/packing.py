"""Size and speed of codecs on slabs of real CT at 1 x 1 x 3 mm, and of its label map.

python bench/packing.py --series SERIES_FOLDER --mask MASK.nii.gz
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import real_ct
from numcodecs import Blosc, blosc

from fvlm_data.shards import ShardConfig
from fvlm_data.shards.preprocess import prepare

Array = np.ndarray[Any, Any]
CODECS = (
    ("lz4hc", 5, Blosc.SHUFFLE),
    ("lz4hc", 5, Blosc.BITSHUFFLE),
    ("lz4hc", 3, Blosc.SHUFFLE),
    ("lz4", 1, Blosc.SHUFFLE),
    ("zstd", 3, Blosc.SHUFFLE),
    ("zstd", 3, Blosc.BITSHUFFLE),
)
LABEL_CODECS = (("lz4hc", 5, Blosc.NOSHUFFLE), ("zstd", 3, Blosc.NOSHUFFLE))
SHUFFLES = {Blosc.NOSHUFFLE: "none", Blosc.SHUFFLE: "bytes", Blosc.BITSHUFFLE: "bits"}
ROUNDS = 9


def main() -> None:
    """Print a line for each stored array, slab and codec."""
    arguments = real_ct.parser(__doc__).parse_args()
    blosc.use_threads = False
    configs = ShardConfig(dtype="int16"), ShardConfig(dtype="uint8")
    image, label, affine = real_ct.load(
        arguments.series, arguments.mask, arguments.classes, configs[0].anatomies
    )
    print(
        f"{'array':<8}{'slab':>5}  {'codec':<10}{'shuffle':<8}{'size':>7}{'GB/s in':>9}{'out':>7}"
    )
    for config in configs:
        sample = prepare(image, label, affine, config)
        if sample is None:
            raise SystemExit("no anatomy found")
        for slab in (2, 4, 8):
            for codec in CODECS if slab == config.slab_z else CODECS[:1]:
                _print(config.dtype, sample.image_zyx, slab, codec)
        if config.dtype == "uint8":
            for codec in LABEL_CODECS:
                _print("label", sample.label_zyx, config.slab_z, codec)


def _print(name: str, array_zyx: Array, slab: int, codec: tuple[str, int, int]) -> None:
    library, level, shuffle = codec
    slabs = [array_zyx[z : z + slab] for z in range(0, len(array_zyx) - slab + 1, slab)]
    total = sum(one.nbytes for one in slabs)
    encoder = Blosc(cname=library, clevel=level, shuffle=shuffle)
    started = time.process_time()
    packed = [encoder.encode(one) for one in slabs]
    packing_s = time.process_time() - started
    out = np.empty_like(slabs[0])
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for one in packed:
            blosc.decompress(one, out)
        times.append(time.process_time() - started)
    size = sum(map(len, packed)) / total
    print(
        f"{name:<8}{slab:>5}  {f'{library} {level}':<10}{SHUFFLES[shuffle]:<8}{size:>7.3f}"
        f"{total / packing_s / 1e9:>9.3f}{total / statistics.median(times) / 1e9:>7.2f}"
    )


if __name__ == "__main__":
    main()
