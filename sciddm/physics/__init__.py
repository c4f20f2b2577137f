"""Operators with exact adjoints, noise models and measurements."""

from sciddm.physics.basic import Diagonal, Identity, Mask, Matrix, Scaling
from sciddm.physics.beams import Beam, FanBeam, ParallelBeam, even_angles
from sciddm.physics.decoded import Decoded
from sciddm.physics.delay_and_sum import DelayAndSum
from sciddm.physics.ellipses import Ellipse, draw_ellipses, integrate_ellipses
from sciddm.physics.fbp import filtered_back_projection, short_scan_weights
from sciddm.physics.function import FunctionOperator
from sciddm.physics.measurement import Measurement, NonlinearMeasurement
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.noise import ChannelNoise, IndependentNoise, Whitening
from sciddm.physics.operator import Adjoint, Composition, Linear, Operator, Tangent, inner
from sciddm.physics.parametric import (
    GaussianBlur,
    blurs,
    frequency_offsets,
    gains,
    phase_ramps,
)
from sciddm.physics.projector import Projector
from sciddm.physics.sampled_lines import SampledLines, as_lines
from sciddm.physics.superposition import Superposition
from sciddm.physics.transmit_wave import TransmitWave
from sciddm.physics.weighted_projection import WeightedProjection

__all__ = [
    "Adjoint",
    "Beam",
    "CartesianMRI",
    "ChannelNoise",
    "Composition",
    "Decoded",
    "DelayAndSum",
    "Diagonal",
    "Ellipse",
    "FanBeam",
    "FunctionOperator",
    "GaussianBlur",
    "Identity",
    "IndependentNoise",
    "Linear",
    "Mask",
    "Matrix",
    "Measurement",
    "NonlinearMeasurement",
    "Operator",
    "ParallelBeam",
    "Projector",
    "SampledLines",
    "Scaling",
    "Superposition",
    "Tangent",
    "TransmitWave",
    "WeightedProjection",
    "Whitening",
    "as_lines",
    "blurs",
    "draw_ellipses",
    "even_angles",
    "filtered_back_projection",
    "frequency_offsets",
    "gains",
    "inner",
    "integrate_ellipses",
    "phase_ramps",
    "short_scan_weights",
]
