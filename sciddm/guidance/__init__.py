"""Guidance: denoisers that wrap a denoiser and correct its mean towards a measurement.

Split Gibbs sampling needs no wrapper: pass ``refine=measurement.draw`` to ``sample``; with
``sampling.ODESolve`` as the denoiser that is DAPS.
"""

from sciddm.guidance.adaptive import Adaptive
from sciddm.guidance.base import Guidance, Guided
from sciddm.guidance.blind import Blind
from sciddm.guidance.ddnm import DDNM
from sciddm.guidance.diffpir import DDS, DiffPIR
from sciddm.guidance.dps import DPS
from sciddm.guidance.extrapolation import ClassifierFree, Extrapolated
from sciddm.guidance.informed import Informed, two_looks
from sciddm.guidance.loss import LossGuidance
from sciddm.guidance.mmps import MMPS
from sciddm.guidance.perturbed_attention import IdentityAttention, perturbed_attention
from sciddm.guidance.pigdm import PiGDM
from sciddm.guidance.psld import PSLD, gluing
from sciddm.guidance.stsl import STSL, hessian_trace
from sciddm.guidance.tmpd import TMPD

__all__ = [
    "DDNM",
    "DDS",
    "DPS",
    "MMPS",
    "PSLD",
    "STSL",
    "TMPD",
    "Adaptive",
    "Blind",
    "ClassifierFree",
    "DiffPIR",
    "Extrapolated",
    "Guidance",
    "Guided",
    "IdentityAttention",
    "Informed",
    "LossGuidance",
    "PiGDM",
    "gluing",
    "hessian_trace",
    "perturbed_attention",
    "two_looks",
]
