"""Operators with exact adjoints, noise models and measurements."""

from sciddm.physics.basic import Diagonal, Identity, Mask, Matrix, Scaling
from sciddm.physics.measurement import Measurement
from sciddm.physics.mri import CartesianMRI
from sciddm.physics.noise import ChannelNoise, Whitening
from sciddm.physics.operator import Adjoint, Composition, Linear, Operator, inner

__all__ = [
    "Adjoint",
    "CartesianMRI",
    "ChannelNoise",
    "Composition",
    "Diagonal",
    "Identity",
    "Linear",
    "Mask",
    "Matrix",
    "Measurement",
    "Operator",
    "Scaling",
    "Whitening",
    "inner",
]
