"""Guidance: denoisers that wrap a denoiser and correct its mean towards a measurement.

Split Gibbs sampling needs no wrapper: pass ``refine=measurement.draw`` to ``sample``; with
``sampling.ODESolve`` as the denoiser that is DAPS.
"""

from sciddm.guidance.base import Guidance, Guided
from sciddm.guidance.ddnm import DDNM
from sciddm.guidance.diffpir import DDS, DiffPIR
from sciddm.guidance.dps import DPS
from sciddm.guidance.extrapolation import ClassifierFree, Extrapolated
from sciddm.guidance.informed import Informed, two_looks
from sciddm.guidance.loss import LossGuidance
from sciddm.guidance.mmps import MMPS
from sciddm.guidance.pigdm import PiGDM
from sciddm.guidance.tmpd import TMPD

__all__ = [
    "DDNM",
    "DDS",
    "DPS",
    "MMPS",
    "TMPD",
    "ClassifierFree",
    "DiffPIR",
    "Extrapolated",
    "Guidance",
    "Guided",
    "Informed",
    "LossGuidance",
    "PiGDM",
    "two_looks",
]
