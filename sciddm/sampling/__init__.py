"""Samplers: time grids, steps, and the loop that runs them."""

from sciddm.sampling.grids import karras, log_snr, uniform
from sciddm.sampling.reverse_diffusion import ReverseDiffusion
from sciddm.sampling.sample import sample
from sciddm.sampling.smc import Particles, smc
from sciddm.sampling.steps import DDIM, Ancestral, DPMSolver2M, Heun, PredictorCorrector, Step
from sciddm.sampling.transition import Leg, fresh, markov, ode, resshift

__all__ = [
    "DDIM",
    "Ancestral",
    "DPMSolver2M",
    "Heun",
    "Leg",
    "Particles",
    "PredictorCorrector",
    "ReverseDiffusion",
    "Step",
    "fresh",
    "karras",
    "log_snr",
    "markov",
    "ode",
    "resshift",
    "sample",
    "smc",
    "uniform",
]
