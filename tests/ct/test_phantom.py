"""The body phantom: the same body at every size, tissues at their CT numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.errors import InputError
from sciddm.simulation.ct.phantom import LESIONS_HU, body_phantom


def test_a_seed_is_a_body_whatever_the_matrix() -> None:
    coarse = body_phantom((64, 64), pixel_mm=6.0, seed=3).values[0]
    fine = body_phantom((128, 128), pixel_mm=3.0, seed=3).values[0]
    mean = fine.reshape(64, 2, 64, 2).mean((1, 3))
    # Tissues' fine texture differs, their places do not.
    assert np.abs(coarse - mean).mean() < 6
    assert np.abs(coarse - mean).max() < 150
    np.testing.assert_array_equal(fine, body_phantom((128, 128), pixel_mm=3.0, seed=3).values[0])
    other = body_phantom((128, 128), pixel_mm=3.0, seed=4).values[0]
    assert np.abs(other - fine).mean() > 20


def test_tissues_have_their_ct_numbers() -> None:
    volume = body_phantom((128, 128), 3, slice_mm=20.0)
    hu = volume.values
    assert volume.attrs["units"] == "HU"
    assert hu.min() == -1000
    assert 700 < hu.max() < 1300
    share = {
        "air": (hu < -990).mean(),
        "fat": ((hu > -130) & (hu < -70)).mean(),
        "soft": ((hu > 0) & (hu < 160)).mean(),
        "lung": ((hu > -900) & (hu < -780)).mean(),
        "bone": (hu > 250).mean(),
    }
    assert share["air"] > 0.3
    assert share["fat"] > 0.08
    assert share["soft"] > 0.15
    assert share["lung"] > 0.005
    assert 0.003 < share["bone"] < 0.06
    # More lung towards the head: z increases.
    lung = ((hu > -900) & (hu < -780)).sum((1, 2))
    assert lung[0] < lung[2]
    # The table is below: row 0 is the front.
    assert (hu[1, -20:] > -990).any()
    assert (hu[1, :5] < -990).all()


def test_lesions_have_their_contrast() -> None:
    """The darkest one against the liver about it, on a level that cuts it."""
    hu = body_phantom((256, 256), pixel_mm=1.4).values[0]
    y, x = ((np.arange(256) + 0.5 - 128) * 1.4 for _ in range(2))
    near = np.hypot(y[:, None] + 12, x + 92)
    lesion, ring = hu[near < 3], hu[(near > 15) & (near < 18)]
    assert lesion.mean() - np.median(ring) == pytest.approx(LESIONS_HU[0], abs=4)


def test_impossible_sizes() -> None:
    with pytest.raises(InputError, match="32 x 32"):
        body_phantom((16, 64))
    with pytest.raises(InputError, match="32 x 32"):
        body_phantom((64, 64), 0)
