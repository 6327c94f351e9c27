"""Float32 at the speed that a CPU has: which library multiplies, and which kernel attends.

torch multiplies float32 matrices by MKL, which leaves half of an AMD processor's vector width unused, and hands them
to oneDNN only where rounding to bfloat16 is allowed. oneDNN takes that leave where a processor has matrix units for
bfloat16; one without them multiplies in float32 all the same, twice as fast as MKL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

SHORT = 400  # tokens; up to here attention written as matrix products is no slower than torch's fused kernel

CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
KEPT = 64  # compiled products; batches have ever new sizes, and the usual 1,024 of each cache would fill 2 GiB


@contextmanager
def quick_float32(longest: int) -> Iterator[bool]:
    """Lets oneDNN multiply float32 matrices, if it does so in float32 on this CPU; says whether it does.

    torch's fused attention kernel multiplies blocks so small that oneDNN is ten times slower with them, so up to
    `SHORT` tokens attention goes by whole matrices. Both settings are put back at the end.

    Args:
        longest: tokens of the longest sequence.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)  # torch 2.9 and newer
    if matmul is None:
        yield False
        return
    for cache in CACHES:  # read once, when the first product is computed
        os.environ.setdefault(cache, str(KEPT))
    fused, precision = torch.backends.cuda.flash_sdp_enabled(), matmul.fp32_precision  # the former is the CPU's, too
    plain = _product_error()
    matmul.fp32_precision = "bf16"
    try:
        exact = _product_error() < 10 * plain  # rounding to bfloat16 errs a thousand times as much
        if not exact:
            matmul.fp32_precision = precision
        elif longest <= SHORT:
            torch.backends.cuda.enable_flash_sdp(False)
        yield exact
    finally:
        matmul.fp32_precision = precision
        torch.backends.cuda.enable_flash_sdp(fused)


def _product_error() -> float:
    """The largest error of a product, beside float64."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(128, 512, generator=generator)
    right = torch.randn(512, 256, generator=generator)
    error: Tensor = (left @ right).double() - left.double() @ right.double()
    return float(error.abs().max())
