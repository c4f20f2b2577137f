"""Predictors: one network evaluation from degraded data to an estimate of the clean data."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sciddm.denoiser import complex_to_real, real_to_complex
from sciddm.ledger import record
from sciddm.losses.spectral_loss import SpectralLoss
from sciddm.networks.causal_dual_path import CausalDualPath, CausalState
from sciddm.precision import Precision, network_arithmetic

__all__ = ["Predictor"]

Output = Literal["mask", "direct"]


class Predictor(nn.Module):
    """D(y) from one evaluation of a network.

    The network sees y in two real channels per complex one, in units of ``scale``. With the
    output "mask" it gives m and r in the same form::

        D(y) = M y + scale r,      M = 2 m tanh(|m|) / |m|

    a complex mask of magnitude below 2, and what no mask can make. Near zero, where an untrained
    network is, M is close to 2 m. With the output "direct" it gives D(y) itself, in its own units.

    Args:
        network: ``(x (B, 2C, F, T), level (B,), None) -> (B, 4C, F, T)`` for "mask", (B, 2C, F, T)
            for "direct"; its level is 0.
        criterion: what training minimises.
        scale: standard deviation of y, about: sqrt(E|y|^2).
        output: "mask" or "direct".
        precision: dtype of the network's arithmetic, as in NetworkDenoiser.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: SpectralLoss | None = None,
        *,
        scale: float = 1.0,
        output: Output = "mask",
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        if output not in ("mask", "direct"):
            raise ValueError(f"unknown output {output!r} of a predictor; known: mask, direct")
        self.network = network
        self.criterion = SpectralLoss() if criterion is None else criterion
        self.scale = scale
        self.output = output
        self.precision: Precision = precision

    def forward(self, y: Tensor) -> Tensor:
        """The estimate D(y), shape and type of y (B, C, F, T), complex."""
        record(nfe=y.shape[0])
        x = self._seen(y)
        with network_arithmetic(self.precision, y.device):
            out = self.network(x, x.new_zeros(x.shape[0]), None)
        return self._estimate(y, out)

    @property
    def causal(self) -> bool:
        """Whether the network can be given a recording piece by piece (``run``)."""
        return isinstance(self.network, CausalDualPath)

    def start(self, batch: int) -> CausalState:
        """The state of a causal network before the first frame of so many items."""
        network = self.network
        if not isinstance(network, CausalDualPath):
            raise TypeError(f"{type(network).__name__} is not causal: it sees whole recordings")
        return network.start(batch, next(network.parameters()))

    def run(self, y: Tensor, state: CausalState) -> tuple[Tensor, CausalState]:
        """The estimate for the next frames y (B, 1, F, T), and the state behind them.

        T is a multiple of the network's ``stride``, unless the recording ends there. In float32:
        how the frames are cut must not show.
        """
        network = self.network
        assert isinstance(network, CausalDualPath)
        record(nfe=y.shape[0])
        with network_arithmetic("float32", y.device):
            out, state = network.run(self._seen(y), state)
        return self._estimate(y, out), state

    @property
    def _unit(self) -> float:
        # Real and imaginary parts carry half the variance each.
        return self.scale / 2**0.5

    def _seen(self, y: Tensor) -> Tensor:
        return complex_to_real(y) / self._unit

    def _estimate(self, y: Tensor, out: Tensor) -> Tensor:
        if self.output == "direct":
            return self._unit * real_to_complex(out)
        mask, rest = (real_to_complex(part) for part in out.chunk(2, dim=1))
        # The square root has no slope at 0, the start of training.
        size = (mask.real.square() + mask.imag.square() + 1e-12).sqrt()
        return (2 * torch.tanh(size) / size) * mask * y + self.scale * rest

    def loss(self, x0: Tensor, y: Tensor) -> Tensor:
        """``criterion(D(y), x0)`` per item: (B,)."""
        return self.criterion(self(y), x0)
