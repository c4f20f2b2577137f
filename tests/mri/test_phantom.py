"""The head phantom: anatomy at known places, one head at every size, contrasts as named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sciddm.errors import InputError
from sciddm.simulation.mri.phantom import head_phantom


def place(image, y, x, radius=0.02):
    """Mean signal around a position in the module's units."""
    ny, nx = image.shape
    unit = min(ny / 1.9, nx / 1.56)
    iy, ix = np.ogrid[:ny, :nx]
    near = np.hypot(iy - ny // 2 - y * unit, ix - nx // 2 - x * unit) < max(radius * unit, 1)
    return float(image[near].mean())


@pytest.mark.parametrize("seed", range(2))
def test_tissue_contrasts(seed):
    t1, t2, flair = (head_phantom((160, 132), seed, c) for c in ("t1", "t2", "flair"))
    # Frontal horn of a lateral ventricle: black, white, black.
    horn = [max(place(i, -0.16, s * 0.06, 0.012) for s in (-1, 1)) for i in (t1, t2, flair)]
    assert horn[0] < 0.4
    assert horn[1] > 0.7
    assert horn[2] < 0.3
    # Thalamus against white matter above the ventricles.
    thalamus = [place(i, 0.11, 0.085) for i in (t1, t2, flair)]
    spots = [(y, s * x) for y, x in ((0.21, 0.09), (-0.35, 0.10)) for s in (-1, 1)]
    white = [np.median([place(i, y, x) for y, x in spots]) for i in (t1, t2, flair)]
    assert white[0] > 1.15 * thalamus[0]
    assert white[1] < 0.95 * thalamus[1]
    assert white[2] < 0.98 * thalamus[2]


def test_layers_from_the_outside_in():
    image = head_phantom((320, 320), seed=0, contrast="t1")
    profile = image[160]  # a line from ear to ear
    first = int(np.argmax(profile > 0.1))
    left = profile[first : first + 40]
    scalp = int(np.argmax(left > 0.6))
    skull = scalp + int(np.argmax(left[scalp:] < 0.2))
    assert 0 < scalp < skull < 20, "fat, then bone"
    assert left[skull:].max() > 0.4, "then brain"
    assert image[:8].max() == image[-8:].max() == image[:, :20].max() == 0, "then air around it"


def test_one_head_at_every_size():
    fine = head_phantom((256, 256), seed=5)
    coarse = head_phantom((64, 64), seed=5)
    # The centre of the coarse pixel i is the fine position 4 i: its box covers -2 .. +2 about it.
    box = ndimage.uniform_filter(np.pad(fine, 4), 4, origin=0)[4:-4, 4:-4][::4, ::4]
    half = ndimage.uniform_filter(np.pad(fine, 4), 5)[4:-4, 4:-4][::4, ::4]
    reference = 0.5 * (box + half)
    assert np.abs(coarse - reference).mean() < 0.02
    assert np.corrcoef(coarse.ravel(), reference.ravel())[0, 1] > 0.99
    wide = head_phantom((64, 96), seed=5)
    np.testing.assert_allclose(wide[:, 16:80], coarse, atol=1e-6)


def test_no_aliasing_of_the_drawing():
    """Averaging leaves little beyond what the pixel's own box function passes."""
    image = head_phantom((128, 128), seed=1)
    k = np.abs(np.fft.fftshift(np.fft.fft2(image))) ** 2
    radius = np.hypot(*np.mgrid[-64:64, -64:64])
    middle, edge = k[(radius > 20) & (radius < 24)].mean(), k[(radius > 58) & (radius < 62)].mean()
    assert edge < 0.15 * middle


def test_heads_differ_by_seed_only():
    a, again, b = (head_phantom((96, 96), s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, again)
    inside = (a > 0.1) & (b > 0.1)
    assert np.abs(a - b)[inside].mean() > 0.05
    assert a.min() >= 0
    assert a.max() < 1.3
    assert a.dtype == np.float32


def test_cortex_is_folded():
    image = head_phantom((256, 256), seed=3, contrast="t2")
    brain = np.hypot(*np.meshgrid(np.linspace(-1, 1, 256) / 0.6, np.linspace(-1, 1, 256) / 0.45,
                                  indexing="ij")) < 1  # fmt: skip
    fluid = (image > 0.7) & brain
    outline = fluid & ~ndimage.binary_erosion(fluid)
    # Thin and long: nearly every pixel of fluid lies on its outline, and there are many.
    assert outline.sum() > 0.5 * fluid.sum()
    assert fluid.sum() > 800


def test_unusable_requests():
    with pytest.raises(InputError, match="unknown contrast 'pd'"):
        head_phantom((64, 64), contrast="pd")
    with pytest.raises(InputError, match="16 x 16"):
        head_phantom((64, 8))
