"""The phase of coil maps: smooth over the object, without a vortex, for any coils.

At every pixel the data give the sensitivities v (coil,) up to a phase. Where one sum over coils is
made real, the phase winds by 2 pi about each zero of that sum, and an image that is brought to
another grid loses the pixel. Over an object without holes a phase without vortices always exists.
Between neighbours p and q the data give, whatever the phase at either,

    theta_pq = arg(v_p^H v_q)       and about a square of four    F = wrap(sum theta),

F being the same for every choice of phases. The link phases of least squares that have it,

    min sum_pq A_pq^2   subject to   curl A = F,        A = curl^T psi,   curl curl^T psi = F,

come from a Poisson equation with psi = 0 beyond the edge, solved by sine transforms. theta - A then
has no curl but multiples of 2 pi, so phases phi with phi_q - phi_p = A_pq - theta_pq (mod 2 pi)
exist; they are summed along a tree. After v exp(i phi) neighbours differ by A alone, which is small
where the maps are smooth. Off the object F is noise: it is taken as 0 there, and the tree goes into
the object first, so the phases off it tear where they must.

Reference:
    Fukui, Hatsugai and Suzuki, Chern numbers in discretized Brillouin zone,
    J Phys Soc Jpn 74:1674 (2005), the field strength F of a lattice
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dstn, idstn
from scipy.ndimage import binary_fill_holes
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

__all__ = ["phase_vortices", "with_smooth_phase"]

#: Cost of a link of the tree off the object, where those inside cost at most 2.
_OFF_OBJECT = 10.0
_TURN = 2 * math.pi

Array = NDArray[np.float64]


def with_smooth_phase(maps: Tensor, support: Tensor) -> Tensor:
    """The maps times a phase per pixel that makes them smooth over the support.

    Args:
        maps: (coil, y, x) complex; their moduli stay as they are.
        support: (y, x) bool, the object; holes count as part of it.

    Returns:
        (coil, y, x). The mean phase over the support is that of the sum over coils.
    """
    if maps.shape[0] == 1:
        return maps * torch.exp(-1j * maps.angle())
    inside = np.asarray(binary_fill_holes(support.cpu().numpy()), bool)
    down, right = _links(maps)
    flux = np.where(_squares(inside), _wrapped(_curl(np.angle(down), np.angle(right))), 0.0)
    smooth_down, smooth_right = _least_links(flux)
    phase = _summed(
        smooth_down - np.angle(down), smooth_right - np.angle(right), _costs(down, right, inside)
    )
    turned = maps * torch.from_numpy(np.exp(1j * phase)).to(maps)
    where = torch.from_numpy(inside).to(maps.device)
    total = turned[:, where].sum() if inside.any() else turned.sum()
    return turned * torch.exp(-1j * total.angle())


def phase_vortices(maps: Tensor, support: Tensor) -> NDArray[np.intp]:
    """Turns by 2 pi of the maps' phase about each square of four pixels.

    Args:
        maps: (coil, y, x) complex.
        support: (y, x) bool, the object; squares that are not wholly in it count 0.

    Returns:
        (y - 1, x - 1): 0 where the phase is smooth, +1 or -1 at a vortex.
    """
    angles = [np.angle(link) for link in _links(maps)]
    curl = _curl(*angles)
    turns = np.rint((curl - _wrapped(curl)) / _TURN)
    return np.where(_squares(support.cpu().numpy()), turns, 0).astype(np.intp)


def _links(maps: Tensor) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """v_p^H v_q of neighbours along y (y - 1, x) and along x (y, x - 1)."""
    conjugate = maps.conj()
    down = (conjugate[:, :-1] * maps[:, 1:]).sum(0)
    right = (conjugate[:, :, :-1] * maps[:, :, 1:]).sum(0)
    return down.cpu().numpy().astype(np.complex128), right.cpu().numpy().astype(np.complex128)


def _curl(down: Array, right: Array) -> Array:
    """Sum of link phases about each square: along x, down, back along x, up."""
    return right[:-1] + down[:, 1:] - right[1:] - down[:, :-1]


def _least_links(flux: Array) -> tuple[Array, Array]:
    """The link phases (down, right) of least squares whose curl is ``flux``."""
    ny, nx = flux.shape
    if not (ny and nx):
        return np.zeros((ny, nx + 1)), np.zeros((ny + 1, nx))
    rows = 4 * np.sin(np.pi * np.arange(1, ny + 1) / (2 * (ny + 1))) ** 2
    columns = 4 * np.sin(np.pi * np.arange(1, nx + 1) / (2 * (nx + 1))) ** 2
    spectrum = np.asarray(dstn(flux, type=1)) / (rows[:, None] + columns)
    psi = np.pad(np.asarray(idstn(spectrum, type=1), np.float64), 1)
    return psi[1:-1, :-1] - psi[1:-1, 1:], psi[1:, 1:-1] - psi[:-1, 1:-1]


def _summed(down: Array, right: Array, costs: tuple[Array, Array]) -> Array:
    """Phases (y, x) from differences of neighbours, along the tree of least cost."""
    ny, nx = down.shape[0] + 1, down.shape[1]
    index = np.arange(ny * nx).reshape(ny, nx)
    first = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    second = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    cost = np.concatenate([part.ravel() for part in costs])
    graph = coo_matrix((cost, (first, second)), shape=(ny * nx, ny * nx)).tocsr()
    tree = minimum_spanning_tree(graph)
    _, parent = breadth_first_order(tree, 0, directed=False)
    parent[0] = 0
    # The difference from each pixel's parent: a neighbour above, below, left or right.
    nodes = np.arange(ny * nx)
    y, x = np.divmod(nodes, nx)
    py, px = np.divmod(parent, nx)
    step = np.zeros(ny * nx)
    moved = py != y
    step[moved] = down[np.minimum(y, py)[moved], x[moved]] * (y - py)[moved]
    moved = px != x
    step[moved] = right[y[moved], np.minimum(x, px)[moved]] * (x - px)[moved]
    # Sums up to the root, in as many rounds as the depth has binary digits.
    while (parent != 0).any():
        step = step + step[parent]
        parent = parent[parent]
    return step.reshape(ny, nx)


def _costs(
    down: NDArray[np.complex128], right: NDArray[np.complex128], inside: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """What a link costs the tree: less in the object, and less where neighbours agree."""
    off = (~(inside[:-1] & inside[1:]), ~(inside[:, :-1] & inside[:, 1:]))
    return (
        np.asarray(2 - np.minimum(np.abs(down), 1) + _OFF_OBJECT * off[0], np.float64),
        np.asarray(2 - np.minimum(np.abs(right), 1) + _OFF_OBJECT * off[1], np.float64),
    )


def _squares(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Squares whose four pixels are all inside."""
    return inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]


def _wrapped(angle: Array) -> Array:
    """Into [-pi, pi)."""
    return (angle + math.pi) % _TURN - math.pi
