"""Several independent priors as one: the denoiser of a stacked state.

A measurement that is made of several unknown parts, y = F(x_1, ..., x_K) + n, has the posterior
p(x_1, ..., x_K | y) ~ p(y | x_1, ..., x_K) p_1(x_1) ... p_K(x_K). The product of priors is a prior
of the stacked state (x_1, ..., x_K), whose denoiser is that of each part, applied to each part:

    E[(x_1, ..., x_K) | x_t] = (E_1[x_1 | x_1t], ..., E_K[x_K | x_Kt])

since both the priors and the noise are independent. With it every guidance and every sampler
serves the joint posterior as it serves one prior's: its Jacobian is block diagonal, and all
coupling comes through the measurement. Stevens et al., Removing Structured Noise using Diffusion
Models, 2023, and Dehazing Ultrasound using Diffusion Models, 2024, sample this posterior with two
score networks; here the means are Tweedie's and the vector-Jacobian products are true ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciddm.denoiser import Denoiser
from sciddm.process import Scalar

__all__ = ["JointDenoiser"]


class JointDenoiser(Denoiser):
    """The denoiser of independent parts, stacked along axis 1 in equal shares.

    ``data_std`` is the root of the parts' mean variance, which guidance that takes the prior as
    white (PiGDM) uses for all of them; MMPS needs no such number.

    Args:
        parts: denoisers of one and the same process, without an endpoint.

    Raises:
        ValueError: the processes differ, or have an endpoint.
    """

    def __init__(self, parts: Sequence[Denoiser]) -> None:
        super().__init__()
        first = parts[0].process
        if first.has_endpoint:
            raise ValueError("a joint prior needs a process without an endpoint")
        if any(type(p.process) is not type(first) for p in parts) or any(
            p.process.config() != first.config() for p in parts
        ):
            raise ValueError("the parts of a joint prior need one and the same process")
        self.parts = nn.ModuleList(parts)
        self.process = first
        self.data_std = (sum(p.data_std**2 for p in parts) / len(parts)) ** 0.5

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        states = x_t.chunk(len(self.parts), dim=1)
        if len(states) != len(self.parts) or len({s.shape for s in states}) != 1:
            raise ValueError(
                f"{len(self.parts)} parts cannot share the {x_t.shape[1]} channels of the state"
            )
        means = [part(state, t) for part, state in zip(self.parts, states, strict=True)]
        return torch.cat(means, dim=1)
