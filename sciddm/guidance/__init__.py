"""Guidance: denoisers that wrap a denoiser and correct its mean towards a measurement.

Split Gibbs sampling and DAPS need no wrapper: pass ``refine=measurement.draw`` to ``sample``.
"""

from sciddm.guidance.base import Guided
from sciddm.guidance.ddnm import DDNM
from sciddm.guidance.diffpir import DDS, DiffPIR
from sciddm.guidance.dps import DPS
from sciddm.guidance.informed import Informed, two_looks
from sciddm.guidance.mmps import MMPS
from sciddm.guidance.pigdm import PiGDM

__all__ = ["DDNM", "DDS", "DPS", "MMPS", "DiffPIR", "Guided", "Informed", "PiGDM", "two_looks"]
