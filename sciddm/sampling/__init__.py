"""Samplers: time grids, steps, and the loop that runs them."""

from sciddm.sampling.churn import Churn
from sciddm.sampling.ddrm import DDRM
from sciddm.sampling.deis import DEIS
from sciddm.sampling.dpm_v3 import DPMSolverV3, SolverStatistics, solver_statistics
from sciddm.sampling.evodiff import EVODiff
from sciddm.sampling.flowchef import FlowChef
from sciddm.sampling.grids import karras, log_snr, uniform
from sciddm.sampling.langevin_gibbs import WarmChain, langevin_gibbs
from sciddm.sampling.mgdm import MGDM
from sciddm.sampling.multistep import DPMSolver3M
from sciddm.sampling.ode_solve import ODESolve
from sciddm.sampling.pndm import PNDM
from sciddm.sampling.pnp_dm import pnp_dm
from sciddm.sampling.red_diff import red_diff
from sciddm.sampling.repaint import RePaint
from sciddm.sampling.restart import Restart
from sciddm.sampling.reverse_diffusion import ReverseDiffusion
from sciddm.sampling.sample import sample
from sciddm.sampling.singlestep import DPMSolver2S, DPMSolver3S
from sciddm.sampling.sitcom import SITCOM
from sciddm.sampling.smc import Particles, smc
from sciddm.sampling.steps import DDIM, Ancestral, DPMSolver2M, Heun, PredictorCorrector, Step
from sciddm.sampling.time_shift import TimeShift
from sciddm.sampling.transition import Leg, fresh, markov, ode, resfusion, resshift
from sciddm.sampling.unipc import UniPC

__all__ = [
    "DDIM",
    "DDRM",
    "DEIS",
    "MGDM",
    "PNDM",
    "SITCOM",
    "Ancestral",
    "Churn",
    "DPMSolver2M",
    "DPMSolver2S",
    "DPMSolver3M",
    "DPMSolver3S",
    "DPMSolverV3",
    "EVODiff",
    "FlowChef",
    "Heun",
    "Leg",
    "ODESolve",
    "Particles",
    "PredictorCorrector",
    "RePaint",
    "Restart",
    "ReverseDiffusion",
    "SolverStatistics",
    "Step",
    "TimeShift",
    "UniPC",
    "WarmChain",
    "fresh",
    "karras",
    "langevin_gibbs",
    "log_snr",
    "markov",
    "ode",
    "pnp_dm",
    "red_diff",
    "resfusion",
    "resshift",
    "sample",
    "smc",
    "solver_statistics",
    "uniform",
]
