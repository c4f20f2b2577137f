"""The Fourier transform of an image at any positions of k-space, and its adjoint.

    (E x)_j = (n m)^-1/2 sum_p x_p exp(-2 pi i (ky_j p_y / n + kx_j p_x / m)),

p counted from the centre, index n // 2, and k in cycles per field of view: at the integers this is
``fft2c``. finufft computes it to a given precision (Barnett, Magland and af Klinteberg, SIAM J Sci
Comput 41:C479, 2019), through pytorch-finufft; both are the extra "noncartesian". On CUDA it needs
cufinufft; without it, and on other devices, the CPU computes it.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

__all__ = ["density_compensation", "nufft", "nufft_adjoint"]

#: Relative precision asked of finufft, by the precision of the data.
_PRECISION = {torch.complex64: 1e-6, torch.complex128: 1e-12}


def nufft(x: Tensor, trajectory: Tensor) -> Tensor:
    """E x.

    Args:
        x: images (..., y, x) complex.
        trajectory: (sample, 2), positions (ky, kx) in cycles per field of view.

    Returns:
        (..., sample).
    """
    place = _place(x)
    points = _points(trajectory, x.shape[-2:], x).to(place)
    out = _functional().finufft_type2(points, x.contiguous().to(place), **_options(x, -1))
    answer: Tensor = out.to(x.device) / math.sqrt(x.shape[-2] * x.shape[-1])
    return answer


def nufft_adjoint(k: Tensor, trajectory: Tensor, size: tuple[int, int]) -> Tensor:
    """E^H k, images (..., y, x) of ``size`` from samples (..., sample)."""
    place = _place(k)
    points, samples = _points(trajectory, size, k).to(place), k.contiguous().to(place)
    out = _functional().finufft_type1(points, samples, tuple(size), **_options(k, 1))
    answer: Tensor = out.to(k.device) / math.sqrt(size[0] * size[1])
    return answer


def density_compensation(trajectory: Tensor, size: tuple[int, int], iterations: int = 20) -> Tensor:
    """Area of k-space that each sample stands for, (sample,): E^H W E ~ I.

    The fixed point w of  sum_j w_j h(k_i - k_j) = 1  with  h(k) = sinc^2(ky) sinc^2(kx), by
    w <- w / (h * w) (Pipe and Menon, Magn Reson Med 41:179, 1999). h is the spectrum of a triangle
    over twice the field of view: not negative, of area 1, and 0 at the grid's own distances, so
    that a full Cartesian scan has w = 1.

    Args:
        trajectory: (sample, 2) in cycles per field of view.
        size: (y, x) of the image.
        iterations: of the fixed point; the density at the edge of the sampled region is last.
    """
    double = trajectory.double()
    window = torch.outer(*(_triangle(n) for n in size)).to(double.device)
    wide = (2 * size[0], 2 * size[1])
    # On twice the field of view the same positions are twice as many cycles.
    w = double.new_ones(len(double))
    for _ in range(iterations):
        spread = nufft(window * nufft_adjoint(w.to(torch.complex128), 2 * double, wide), 2 * double)
        # Both transforms divide by 2 sqrt(n m); h's own sum is over n m.
        w = w / (4 * spread.real).clamp(min=1e-9)
    return w.to(trajectory.dtype)


def _triangle(n: int) -> Tensor:
    """1 - |p| / n for p from -n to n - 1, (2 n,)."""
    return 1 - (torch.arange(2 * n, dtype=torch.float64) - n).abs() / n


def _points(trajectory: Tensor, size: tuple[int, ...], like: Tensor) -> Tensor:
    scale = trajectory.new_tensor([2 * math.pi / n for n in size])
    return (trajectory * scale).T.to(like.real.dtype).contiguous()


def _place(like: Tensor) -> torch.device:
    """Where the transform is computed."""
    if like.device.type == "cuda" and find_spec("cufinufft") is not None:
        return like.device
    return torch.device("cpu")


def _options(like: Tensor, sign: int) -> dict[str, Any]:
    # modeord 0: images run from the most negative index, as centred arrays do.
    return {"eps": _PRECISION[like.dtype], "isign": sign, "modeord": 0}


def _functional() -> Any:
    try:
        from pytorch_finufft import functional
    except ImportError as error:
        raise ModuleNotFoundError(
            "trajectories off the grid need pytorch-finufft: pip install 'sciddm[noncartesian]'"
        ) from error
    return functional
