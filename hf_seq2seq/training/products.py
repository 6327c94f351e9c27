"""Float32 matrix products by oneDNN on AMD processors with AVX-512, where torch's own choice is half as fast.

On x86, torch multiplies float32 matrices with MKL, which uses no AVX-512 on processors that are not Intel's. oneDNN,
which torch holds too and uses for bfloat16, does. The precision is the same: float32 products, float32 sums.
"""

import math
import platform
import warnings
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LEAST_WORK = 2**20  # multiplications; below, the way through Python costs more than is gained
BLOCK = 2**20  # elements of a product that is only made to be added: 4 MiB


def mkl_is_slow() -> bool:
    """Whether this is an AMD processor with AVX-512 and a torch that has both libraries."""
    if platform.machine() not in ("x86_64", "AMD64") or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    path = Path("/proc/cpuinfo")
    amd = "AuthenticAMD" in (path.read_text() if path.exists() else platform.processor())
    libraries = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return amd and libraries and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@cache
def use_onednn() -> torch.library.Library | None:
    """Hands large float32 products of this process to oneDNN, for good; does nothing where MKL is as fast."""
    if not mkl_is_slow():
        return None
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*[Oo]verrid")
        library.impl("mm", _mm, "CPU")
        library.impl("addmm", _addmm, "CPU")
        library.impl("addmm_", _addmm_, "CPU")
    return library


def _suits(left: Tensor, right: Tensor) -> bool:
    if left.dtype != torch.float32 or right.dtype != torch.float32:
        return False
    # A right side with gaps would fall to oneDNN's plain reference code, a thousand times slower.
    dense = right.is_contiguous() or right.t().is_contiguous()
    return dense and math.prod(left.shape) * right.shape[1] >= LEAST_WORK


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(left, right.t(), bias, "none", [], "")


def _mm(left: Tensor, right: Tensor) -> Tensor:
    if _suits(left, right):
        return _product(left, right)
    return torch.mm(left, right, out=left.new_empty(left.shape[0], right.shape[1]))


def _addmm(term: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    if beta == alpha == 1 and term.shape == right.shape[1:] and _suits(left, right):
        return _product(left, right, term)
    out = left.new_empty(left.shape[0], right.shape[1])
    return torch.addmm(term, left, right, beta=beta, alpha=alpha, out=out)


def _addmm_(total: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    if not (beta == alpha == 1 and _suits(left, right)):
        return torch.addmm(total, left, right, beta=beta, alpha=alpha, out=total)
    rows = max(1, BLOCK // right.shape[1])
    for start in range(0, len(total), rows):
        total[start : start + rows] += _product(left[start : start + rows], right)
    return total
