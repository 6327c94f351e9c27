"""Fast float32 on CPUs: the choice of matrix library and attention kernel.

torch multiplies float32 matrices with MKL, which leaves half of an AMD processor's vector width unused, and uses oneDNN
only if rounding to bfloat16 is allowed. oneDNN does round on processors with matrix units for bfloat16; on others it
multiplies in float32 regardless, twice as fast as MKL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

SHORT = 400  # tokens; up to here attention as plain matrix products is no slower than torch's fused kernel

CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
KEPT = 64  # compiled products; batch shapes keep changing, and the default of 1,024 per cache would fill 2 GiB


def limit_caches() -> None:
    """Bounds what oneDNN keeps of compiled products; without effect after its first one, such as a recurrent layer's.

    What is set already stays.
    """
    for cache in CACHES:
        os.environ.setdefault(cache, str(KEPT))


@contextmanager
def quick_float32(longest: int) -> Iterator[bool]:
    """Lets oneDNN multiply float32 matrices in a context if it is exact on this CPU; yields whether it is.

    torch's fused attention kernel multiplies blocks so small that oneDNN is ten times slower with them, so up to
    `SHORT` tokens attention uses whole matrices. Both settings are restored on exit.

    Args:
        longest: tokens of the longest sequence.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)  # torch 2.9 and newer
    if matmul is None:
        yield False
        return
    limit_caches()
    fused, precision = torch.backends.cuda.flash_sdp_enabled(), matmul.fp32_precision  # the former also covers the CPU
    plain = _product_error()
    matmul.fp32_precision = "bf16"
    try:
        exact = _product_error() < 10 * plain  # rounding to bfloat16 has a thousand times the error
        if not exact:
            matmul.fp32_precision = precision
        elif longest <= SHORT:
            torch.backends.cuda.enable_flash_sdp(False)
        yield exact
    finally:
        matmul.fp32_precision = precision
        torch.backends.cuda.enable_flash_sdp(fused)


def _product_error() -> float:
    """The largest error of a product, compared with float64."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(128, 512, generator=generator)
    right = torch.randn(512, 256, generator=generator)
    error: Tensor = (left @ right).double() - left.double() @ right.double()
    return float(error.abs().max())
