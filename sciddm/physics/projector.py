"""Line integrals of an image, and their exact adjoint.

The image is interpolated linearly across each ray's steeper axis and summed along it (Joseph,
1982). These weights are computed once and kept as a sparse matrix together with its transpose, so
that the adjoint is exact and either product costs a pass over memory. The matrix is cut into bands
of image rows: a band of all columns fits into the cache, and a ray that crosses every row does not
fetch each of its pixels from memory.

If the views repeat after quarter turns, as those of a full turn with a multiple of four views do,
the image is turned instead: the matrix covers the first quarter and is applied to all turned
images at once, with a quarter of the memory and less than half of the time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sciddm.physics.beams import Beam, quarter_turns
from sciddm.physics.operator import Linear

__all__ = ["Projector"]

Array = np.ndarray[Any, Any]

#: Image rows of a band: 32 rows of 512 pixels in 16 images are 1 MB.
_BAND_ROWS = 32


class Projector(Linear):
    """p = integral of x along every ray of a beam.

    Domain: (..., 1, ny, nx), for instance attenuation in 1/mm; the middle of the image, between
    pixels for even sizes, lies on the axis of rotation, and row 0 is the top (largest y).
    Range: (..., 1, V, D), value times mm. The image is 0 outside of its pixels.

    Memory: 16 bytes x 2 max(ny, nx) x D x V at most, V being the views of one quarter turn where
    the views repeat, and as much again while it is made. 512 x 512, 736 cells, 180 views of a full
    turn: 0.5 GB.

    Args:
        beam: the rays.
        shape: (ny, nx).
        pixel_mm: size of the square pixels.
        dtype: of the weights; images of another precision are converted and their results back.
        device: where the weights lie.
    """

    def __init__(
        self,
        beam: Beam,
        shape: tuple[int, int],
        pixel_mm: float,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if not (pixel_mm > 0 and min(shape) > 0):
            raise ValueError(f"an image of {shape} pixels of {pixel_mm} mm: sizes must be positive")
        self.beam, self.shape, self.pixel_mm = beam, (int(shape[0]), int(shape[1])), float(pixel_mm)
        self._turns, self._sense = quarter_turns(beam.angles, self.shape)
        theta, s = (r[: beam.views // self._turns].numpy() for r in beam.rays())
        kept = torch.empty(0, dtype=dtype).numpy().dtype
        views = zip(theta, s, strict=True)
        parts = [_joseph(*view, self.shape, self.pixel_mm).astype(kept) for view in views]
        matrix = sparse.csr_array(sparse.vstack(parts, format="csr"))
        del parts
        transpose = sparse.csr_array(matrix.T)
        del matrix
        edges = [*range(0, math.prod(self.shape), _BAND_ROWS * self.shape[1]), transpose.shape[0]]
        bands = (sparse.csr_array(transpose[a:b].T) for a, b in pairwise(edges))
        self._forward = [_csr(band, device) for band in bands]
        self._backward = _csr(transpose, device)

    @property
    def nbytes(self) -> int:
        """Memory that the weights take."""
        parts = [f(m) for m in (*self._forward, self._backward) for f in _PARTS]
        return sum(part.numel() * part.element_size() for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != self.shape:
            raise ValueError(f"an image of {tuple(x.shape[-2:])} for a projector of {self.shape}")
        out: Tensor = _Product.apply(x, self._project, self._backproject)  # type: ignore[no-untyped-call]
        return out

    def backward(self, y: Tensor) -> Tensor:
        expected = (self.beam.views, self.beam.cells)
        if y.shape[-2:] != expected:
            raise ValueError(f"a sinogram of {tuple(y.shape[-2:])} for a projector of {expected}")
        out: Tensor = _Product.apply(y, self._backproject, self._project)  # type: ignore[no-untyped-call]
        return out

    def _project(self, x: Tensor) -> Tensor:
        batch = x.shape[:-2]
        # P x at theta + k/4 turn is P at theta of the image turned back by k quarters.
        turned = [torch.rot90(x, -self._sense * k, (-2, -1)) for k in range(self._turns)]
        columns = torch.stack([t.reshape(math.prod(batch), -1) for t in turned])
        rows = _times(self._forward, columns.flatten(0, 1))
        rows = rows.reshape(self._turns, *batch, -1, self.beam.cells)
        return rows.movedim(0, -3).flatten(-3, -2).to(x.dtype)

    def _backproject(self, y: Tensor) -> Tensor:
        batch = y.shape[:-2]
        quarters = y.unflatten(-2, (self._turns, -1)).movedim(-3, 0)
        columns = quarters.reshape(self._turns * math.prod(batch), -1)
        images = _times([self._backward], columns).reshape(self._turns, *batch, *self.shape)
        back = (torch.rot90(t, self._sense * k, (-2, -1)) for k, t in enumerate(images))
        return sum(back, torch.zeros_like(images[0])).to(y.dtype)


class _Product(torch.autograd.Function):
    """A linear map with its transpose as its derivative, differentiable any number of times."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        apply: Callable[[Tensor], Tensor],
        transpose: Callable[[Tensor], Tensor],
    ) -> Tensor:
        ctx.maps = apply, transpose
        return apply(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        apply, transpose = ctx.maps
        return _Product.apply(g, transpose, apply), None, None  # type: ignore[no-untyped-call]


_PARTS: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.Tensor.crow_indices,
    torch.Tensor.col_indices,
    torch.Tensor.values,
)


def _times(bands: Sequence[Tensor], rows: Tensor) -> Tensor:
    """A matrix, in bands of its columns, times each of the rows (n, columns of the matrix)."""
    if rows.is_complex():
        raise ValueError("projections are of real images: project real and imaginary part apart")
    columns = rows.to(bands[0].dtype).T.contiguous()
    parts = columns.split([band.shape[1] for band in bands])
    out: Tensor = bands[0] @ parts[0]
    for band, part in zip(bands[1:], parts[1:], strict=True):
        out += band @ part
    return out.T


def _joseph(theta: Array, s: Array, shape: tuple[int, int], pixel_mm: float) -> sparse.csr_array:
    """The weights of the lines (theta, s) of one view: (rays, pixels)."""
    ny, nx = shape
    cos, sin, s = np.cos(theta)[:, None], np.sin(theta)[:, None], s[:, None] / pixel_mm
    row, column = np.arange(ny), np.arange(nx)
    # In pixels: x cos + y sin = s, where x = column - (nx-1)/2 and y = (ny-1)/2 - row.
    steep = np.abs(cos[:, 0]) >= np.abs(sin[:, 0])
    c, d, place = cos[steep], sin[steep], s[steep]  # these rays cross every row
    crossed = (place - ((ny - 1) / 2 - row) * d) / c + (nx - 1) / 2
    per_row = _between(crossed, pixel_mm / np.abs(c), nx)
    c, d, place = cos[~steep], sin[~steep], s[~steep]  # and these every column
    crossed = (ny - 1) / 2 - (place - (column - (nx - 1) / 2) * c) / d
    per_column = _between(crossed, pixel_mm / np.abs(d), ny)

    rays = np.arange(len(theta))
    ray = [rays[steep][i] for i, _, _, _ in per_row] + [
        rays[~steep][i] for i, _, _, _ in per_column
    ]
    pixel = [j * nx + cell for _, j, cell, _ in per_row]
    pixel += [cell * nx + j for _, j, cell, _ in per_column]
    value = [w for *_, w in per_row + per_column]
    at = np.concatenate(ray), np.concatenate(pixel)
    return sparse.csr_array((np.concatenate(value), at), shape=(len(theta), ny * nx))


def _between(crossed: Array, length: Array, cells: int) -> list[tuple[Array, Array, Array, Array]]:
    """Linear interpolation at ``crossed`` (ray, line): (ray, line, cell, weight) of both sides."""
    low = np.floor(crossed)
    sides = []
    for cell, weight in ((low, 1 - (crossed - low)), (low + 1, crossed - low)):
        ray, line = np.nonzero((cell >= 0) & (cell < cells) & (weight > 0))
        value = (length * weight)[ray, line]
        sides.append((ray, line, cell[ray, line].astype(np.int64), value))
    return sides


def _csr(matrix: sparse.csr_array, device: torch.device | str) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32)),
            torch.from_numpy(matrix.indices.astype(np.int32)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            device=device,
            check_invariants=False,
        )
