"""Coil sensitivities from the fully sampled centre of k-space: ESPIRiT.

Every k x k patch of multi-coil k-space lies in a space V of far fewer dimensions than coils * k^2,
because the coils see one object through smooth sensitivities. With the rows of A the patches of
the calibration region and P = V V^H the projection onto the dominant right singular vectors of A,
projecting all patches of k-space and averaging what they say of each sample is a convolution

    k_c'[p] = sum_{c, d} k_c[p + d] M_{c c'}[d],    M[d] = (1/k^2) sum of the entries of P between
                                                    patch positions that differ by d

that leaves k-space as it is. In image space it is one coil x coil Hermitian matrix per pixel,

    G(q) x(q) = x(q),    G_{c' c}(q) = sum_d M_{c c'}[d] exp(-2 pi i q d / N),

whose eigenvalues lie in [0, 1]: the sensitivities at q are the eigenvector of eigenvalue 1, and an
eigenvalue below 1 says that there was no signal at q to calibrate on.

Only the Gram matrix A^H A is formed, and G is summed from the (2k - 1)^2 lags of M some rows of the
image at a time, so memory stays small. G needs no larger grid than the image's.

Reference:
    Uecker et al., ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI,
    Magn Reson Med 71:990 (2014)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy.ndimage import binary_fill_holes
from torch import Tensor

from sciddm.errors import InputError
from sciddm.physics.fourier import ifft2c
from sciddm.physics.mri.smooth_phase import with_smooth_phase

#: Side of the part of the calibration region that is used, in samples: further out there is more
#: noise than signal, and the cost grows with the number of patches.
_CALIBRATION_LIMIT = 32
_LEAST = 1e-18  # a norm whose square is still a number in single precision
_ITERATIONS = 15
#: Largest eigenvalue of the Gram matrix of noise patches over the Marchenko-Pastur edge. Patches
#: overlap, so the law holds only about: 0.89 to 1.05 was seen for kernels 3 to 6, 2 to 16 coils.
_NOISE_EDGE = 1.1
#: Eigenvalue from which a pixel counts as object for the phase convention.
_OBJECT = 0.9
#: Memory for one strip of G, bytes: fits into a processor's cache.
_STRIP_BYTES = 2**21


def espirit(
    kspace: Tensor,
    calibration: tuple[slice, slice],
    kernel: int = 6,
    threshold: float = 0.01,
    crop: float = 0.9,
    noise_std: float = 0.0,
) -> Tensor:
    """Coil sensitivities, 0 where there is no object.

    The maps are unit vectors over the coils on a support, 0 off it. The support is where the
    eigenvalue exceeds `crop`, with its holes filled: it ends a few pixels outside the object, which
    halves the error of an ill-posed reconstruction against maps that are 1 everywhere. There is no
    soft edge: weights below 1 would brighten what is reconstructed under them.

    Phase: as smooth as the array permits, without a vortex over the support; see `smooth_phase`.

    Args:
        kspace: (coil, ky, kx) complex; best with noise of equal power in all coils.
        calibration: fully sampled rectangle around DC, slices along ky and kx.
        kernel: side k of a patch; at most a third of the shorter side of the calibration region
            (but 3), for there must be enough patches to tell their space.
        threshold: singular vectors below this fraction of the largest singular value are noise.
        crop: eigenvalue, in [0, 1], from which a pixel is object; 0 for maps everywhere.
        noise_std: sqrt(E|n|^2) of k-space noise where known (1 after whitening): singular vectors
            that noise alone would have are left out as well. This matters for weak signals.

    Returns:
        Maps, (coil, y, x) complex64.

    Raises:
        InputError: the calibration region is empty, too small, or holds no signal.
    """
    vectors, values = eigenmaps(kspace, calibration, kernel, threshold, noise_std)
    support = binary_fill_holes((values > crop).cpu().numpy())
    return vectors * torch.from_numpy(support).to(vectors.device)


def eigenmaps(
    kspace: Tensor,
    calibration: tuple[slice, slice],
    kernel: int = 6,
    threshold: float = 0.01,
    noise_std: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Dominant eigenvector and eigenvalue of G at every pixel: arguments as for `espirit`.

    Returns:
        Unit vectors, (coil, y, x) complex64, and eigenvalues, (y, x).
    """
    _, ny, nx = _checked_shape(kspace)
    # The image that the calibration region alone gives already points nearly along the
    # sensitivities, so few power iterations are needed.
    start = _low_resolution(kspace, calibration)
    vectors = torch.empty_like(start)
    values = torch.empty(ny, nx, device=kspace.device, dtype=torch.float32)
    for strip, operator in _strips(kspace, calibration, kernel, threshold, noise_std):
        vectors[:, strip], values[strip] = _dominant(operator, start[:, strip])
    return with_smooth_phase(vectors, values > _OBJECT), values


def second_eigenmaps(
    kspace: Tensor,
    calibration: tuple[slice, slice],
    first: Tensor,
    kernel: int = 6,
    threshold: float = 0.01,
    noise_std: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Eigenvector and eigenvalue of G orthogonal to the first: near 1 where a pixel shows two
    places, as of an object that is wider than the field of view.

    Args:
        kspace, calibration, kernel, threshold, noise_std: as for `espirit`.
        first: (coil, y, x), the dominant eigenvector of any length and phase.

    Returns:
        Unit vectors, (coil, y, x) complex64, and eigenvalues, (y, x).
    """
    coils, ny, nx = _checked_shape(kspace)
    unit = first / _norm(first).clamp(min=_LEAST)
    place = kspace.device
    vectors = torch.empty(coils, ny, nx, dtype=torch.complex64, device=place)
    values = torch.empty(ny, nx, dtype=torch.float32, device=place)
    generator = torch.Generator().manual_seed(0)  # any start that is not orthogonal will do
    start = torch.randn(coils, ny, nx, 2, generator=generator)
    start = torch.view_as_complex(start).to(place)
    for strip, operator in _strips(kspace, calibration, kernel, threshold, noise_std):
        own = unit[:, strip]
        # G - G u u^H has the same eigenvectors but u.
        along = (operator * own).sum(1)
        deflated = operator - along[:, None] * own.conj()
        vectors[:, strip], values[strip] = _dominant(deflated, start[:, strip])
    return vectors, values


def _checked_shape(kspace: Tensor) -> tuple[int, int, int]:
    """(coil, ky, kx).

    Raises:
        InputError: other axes.
    """
    if kspace.ndim != 3:
        raise InputError(f"k-space must have the axes (coil, ky, kx), not {tuple(kspace.shape)}")
    coils, ny, nx = kspace.shape
    return coils, ny, nx


def _strips(
    kspace: Tensor,
    calibration: tuple[slice, slice],
    kernel: int,
    threshold: float,
    noise_std: float,
) -> Iterator[tuple[slice, Tensor]]:
    """G (coil, coil, rows, x) of some rows of the image after the other."""
    coils, ny, nx = kspace.shape
    patch = _calibration_data(kspace, calibration)
    side = min(patch.shape[1:])
    kernel = min(kernel, max(3, side // 3))
    if side <= kernel:
        raise InputError(
            f"a calibration region of {patch.shape[1]} x {patch.shape[2]} is too small for coil "
            "sensitivities: 8 x 8 or more is needed; give maps"
        )
    lags = _lags(_signal_projection(patch, kernel, threshold, noise_std), coils, kernel)
    reach = torch.arange(-(kernel - 1), kernel, device=kspace.device)
    along_y, along_x = _phases(ny, reach), _phases(nx, reach)
    half = torch.einsum("cdij,jx->cdix", lags, along_x)
    rows = max(1, _STRIP_BYTES // (8 * coils * coils * nx))
    for begin in range(0, ny, rows):
        strip = slice(begin, begin + rows)
        yield strip, torch.einsum("cdix,iy->dcyx", half, along_y[:, strip])


def combine(kspace: Tensor, maps: Tensor) -> Tensor:
    """Adjoint coil combination sum_c conj(s_c) F^H k_c.

    Args:
        kspace: (..., coil, ky, kx) complex.
        maps: (..., coil, y, x) complex.

    Returns:
        Image, (..., y, x) complex.
    """
    return (maps.conj() * ifft2c(kspace)).sum(-3)


def rss(kspace: Tensor) -> Tensor:
    """Root of the sum of squares over coils, sqrt(sum_c |F^H k_c|^2).

    Args:
        kspace: (..., coil, ky, kx) complex.

    Returns:
        Image, (..., y, x) real.
    """
    out: Tensor = torch.linalg.vector_norm(ifft2c(kspace), dim=-3)
    return out


def _calibration_data(kspace: Tensor, calibration: tuple[slice, slice]) -> Tensor:
    """The calibration region, at most `_CALIBRATION_LIMIT` on a side around DC."""
    parts = []
    for part, size in zip(calibration, kspace.shape[1:], strict=True):
        start, stop, _ = part.indices(size)
        centre = size // 2
        parts.append(
            slice(
                max(start, centre - _CALIBRATION_LIMIT // 2),
                min(stop, centre + _CALIBRATION_LIMIT // 2),
            )
        )
    patch = kspace[:, parts[0], parts[1]].to(torch.complex64)
    largest = patch.abs().max() if patch.numel() else torch.zeros(())
    if not (bool(torch.isfinite(largest)) and largest > 0):
        raise InputError("the calibration region holds no usable signal: give maps")
    return patch


def _signal_projection(patch: Tensor, kernel: int, threshold: float, noise_std: float) -> Tensor:
    """P = V V^H over the singular vectors of the patches that carry signal.

    Args:
        patch: (coil, a, b) calibration data.

    Returns:
        (coil * kernel^2, coil * kernel^2).
    """
    rows = patch.unfold(1, kernel, 1).unfold(2, kernel, 1)  # coil, a', b', kernel, kernel
    rows = rows.permute(1, 2, 0, 3, 4).reshape(-1, patch.shape[0] * kernel**2)
    # Scaled, so that the squares of small k-space numbers stay in range. Single precision is enough
    # for singular values down to 1e-3 of the largest.
    scale = float(rows.abs().max())
    rows = rows / scale
    gram = rows.mH @ rows
    values, vectors = torch.linalg.eigh(gram)
    count, size = rows.shape
    noise = _NOISE_EDGE * (noise_std / scale) ** 2 * (math.sqrt(count) + math.sqrt(size)) ** 2
    keep = values > max(threshold**2 * float(values[-1]), noise)
    keep[-1] = True
    signal = vectors[:, keep]
    out: Tensor = signal @ signal.mH
    return out


def _lags(projection: Tensor, coils: int, kernel: int) -> Tensor:
    """M: entries of P summed over pairs of patch positions of equal difference.

    Returns:
        (coil c, coil c', 2k - 1, 2k - 1) with difference d = position in c minus position in c'.
    """
    blocks = projection.reshape(coils, kernel, kernel, coils, kernel, kernel)
    blocks = blocks.permute(0, 3, 1, 2, 4, 5)  # c, c', y, x, y', x'
    lags = projection.new_zeros(coils, coils, 2 * kernel - 1, 2 * kernel - 1)
    for y in range(kernel):
        for x in range(kernel):
            down, right = kernel - 1 - y, kernel - 1 - x
            lags[:, :, down : down + kernel, right : right + kernel] += blocks[:, :, :, :, y, x]
    return lags / kernel**2


def _phases(size: int, reach: Tensor) -> Tensor:
    """exp(-2 pi i q d / N) for the lags d and centred positions q, (lag, position)."""
    position = torch.arange(size, device=reach.device) - size // 2
    angle = -2 * math.pi / size * torch.outer(reach, position).double()
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)


def _low_resolution(kspace: Tensor, calibration: tuple[slice, slice]) -> Tensor:
    """Coil images of the calibration region alone, without the ringing of its edge."""
    tapers = []
    for part, size in zip(calibration, kspace.shape[1:], strict=True):
        start, stop, _ = part.indices(size)
        distance = torch.arange(size, device=kspace.device) - size // 2
        width = min(stop - size // 2, size // 2 - start + 1, _CALIBRATION_LIMIT // 2)
        taper = torch.cos(0.5 * math.pi * distance / max(width, 1)) ** 2
        tapers.append(torch.where(distance.abs() < width, taper, torch.zeros_like(taper)))
    window = torch.outer(tapers[0], tapers[1])
    return ifft2c((kspace * window).to(torch.complex64))


def _dominant(operator: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Power iteration on a Hermitian matrix per pixel.

    Args:
        operator: (coil, coil, rows, x).
        start: (coil, rows, x).

    Returns:
        Unit eigenvectors, (coil, rows, x), and eigenvalues, (rows, x).
    """
    vector = start / start.abs().max().clamp(min=_LEAST)
    norm = _norm(vector)
    for _ in range(_ITERATIONS):
        vector = (operator * (vector / norm.clamp(min=_LEAST))).sum(1)
        norm = _norm(vector)
    return vector / norm.clamp(min=_LEAST), norm


def _norm(vector: Tensor) -> Tensor:
    """Over the coils; ten times as fast as torch's for complex numbers."""
    return (vector.real.square() + vector.imag.square()).sum(0).sqrt()
