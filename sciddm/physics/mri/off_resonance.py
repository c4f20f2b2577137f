"""Off-resonance of training images: fat against water, and the field near air.

In gradient echoes fat (-3.4 ppm) has turned by 2 pi df TE against water, an angle that a protocol
fixes and a reader of the file does not know, and lies a few pixels away along the readout. Of a
magnitude slice of a head or a limb, fat is nearly all of the outermost shell: there the phase of
the scan is not smooth, and a prior that has only seen smooth phase cannot tell aliases from scalp.
Around the sinuses the field of water itself turns by several radians within two centimetres.

References:
    Dixon, Simple proton spectroscopic imaging, Radiology 153:189 (1984)
    Haacke et al., Magnetic Resonance Imaging (1999), chapters 17 and 20
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sciddm.geometry.objects import objects

__all__ = ["fat_against_water", "field_near_air", "outer_shell"]

_OBJECT = 0.08  # of the largest value: less is air
_DEPTHS = (3.0, 11.0)  # scalp with its fat, in pixels of about 1 mm
_SHIFT = 3  # pixels; 440 Hz at 150 Hz a pixel


def outer_shell(magnitude: Tensor, depth: float) -> Tensor:
    """Share (y, x) of the signal that lies within ``depth`` pixels of the outline, 0 to 1.

    The outline is that of the largest bright object with its holes filled; the share falls from 1
    to 0 over about two pixels.
    """
    labels, count = objects(magnitude.numpy() > _OBJECT * float(magnitude.max()))
    if count == 0:
        return torch.zeros_like(magnitude)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    inside = ndimage.binary_fill_holes(labels == largest)
    below = torch.from_numpy(ndimage.distance_transform_edt(inside)).float()
    return torch.sigmoid(2 * (depth - below)) * (below > 0)


def fat_against_water(magnitude: Tensor, rng: np.random.Generator) -> Tensor:
    """(y, x) complex: w + g e^{i phi} f, where f is the outer shell of the image and w the rest.

    phi is uniform, g log-normal (fat is bright, or suppressed), and f is moved by up to three
    pixels along one axis.
    """
    fat = magnitude * outer_shell(magnitude, float(rng.uniform(*_DEPTHS)))
    water = magnitude - fat
    shift = int(rng.integers(-_SHIFT, _SHIFT + 1)) if rng.random() < 0.5 else 0
    axis = int(rng.integers(2))
    gain = math.exp(rng.normal(-0.3, 0.5))
    angle = torch.tensor(float(rng.uniform(-math.pi, math.pi)))
    return water + torch.polar(gain * fat.roll(shift, axis), angle)


def field_near_air(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    """Phase (y, x) in rad of one bump of either sign: a cavity near the slice.

    It is up to 8 rad high, with a radius of 3 to 12 percent of the field of view.
    """
    centre = rng.uniform(0.15, 0.85, 2)
    radius = float(rng.uniform(0.03, 0.12))
    height = float(rng.uniform(-8, 8))
    y, x = ((torch.arange(n) / n - float(c)).square() for n, c in zip(shape, centre, strict=True))
    return height * torch.exp(-(y[:, None] + x) / (2 * radius**2))
