"""Operators with exact adjoints, noise models and measurements."""

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
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

# torch takes two seconds to import, which sampling masks and plain numbers need not spend.
__getattr__, __dir__ = attach(
    __name__,
    {
        "Adjoint": "sciddm.physics.operator",
        "Beam": "sciddm.physics.beams",
        "CartesianMRI": "sciddm.physics.mri.cartesian",
        "ChannelNoise": "sciddm.physics.noise",
        "Composition": "sciddm.physics.operator",
        "Decoded": "sciddm.physics.decoded",
        "DelayAndSum": "sciddm.physics.delay_and_sum",
        "Diagonal": "sciddm.physics.basic",
        "Ellipse": "sciddm.physics.ellipses",
        "FanBeam": "sciddm.physics.beams",
        "FunctionOperator": "sciddm.physics.function",
        "GaussianBlur": "sciddm.physics.parametric",
        "Identity": "sciddm.physics.basic",
        "IndependentNoise": "sciddm.physics.noise",
        "Linear": "sciddm.physics.operator",
        "Mask": "sciddm.physics.basic",
        "Matrix": "sciddm.physics.basic",
        "Measurement": "sciddm.physics.measurement",
        "NonlinearMeasurement": "sciddm.physics.measurement",
        "Operator": "sciddm.physics.operator",
        "ParallelBeam": "sciddm.physics.beams",
        "Projector": "sciddm.physics.projector",
        "SampledLines": "sciddm.physics.sampled_lines",
        "Scaling": "sciddm.physics.basic",
        "Superposition": "sciddm.physics.superposition",
        "Tangent": "sciddm.physics.operator",
        "TransmitWave": "sciddm.physics.transmit_wave",
        "WeightedProjection": "sciddm.physics.weighted_projection",
        "Whitening": "sciddm.physics.noise",
        "as_lines": "sciddm.physics.sampled_lines",
        "blurs": "sciddm.physics.parametric",
        "draw_ellipses": "sciddm.physics.ellipses",
        "even_angles": "sciddm.physics.beams",
        "filtered_back_projection": "sciddm.physics.fbp",
        "frequency_offsets": "sciddm.physics.parametric",
        "gains": "sciddm.physics.parametric",
        "inner": "sciddm.physics.operator",
        "integrate_ellipses": "sciddm.physics.ellipses",
        "phase_ramps": "sciddm.physics.parametric",
        "short_scan_weights": "sciddm.physics.fbp",
    },
)
