"""Autoencoders, and diffusion in their codes.

Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, 2022: an autoencoder
is trained first, then a diffusion of its codes z = E(x), the autoencoder left as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.ledger import record
from sciddm.precision import Precision, network_arithmetic
from sciddm.process import Process

__all__ = ["Autoencoder", "LatentDiffusion"]

_FLOOR = 1e-8  # of the squared error, in units of the data: what it is, not its logarithm, matters


class Autoencoder(nn.Module):
    """A network with ``encode`` and ``decode``.

    Args:
        network: ``encode(x) -> z`` and ``decode(z) -> x``.
        precision: dtype of the network's arithmetic, as in NetworkDenoiser.
    """

    def __init__(self, network: nn.Module, *, precision: Precision = "float32") -> None:
        super().__init__()
        self.network = network
        self.precision: Precision = precision

    def encode(self, x: Tensor) -> Tensor:
        """Codes z of x (B, ...)."""
        with network_arithmetic(self.precision, x.device):
            out: Tensor = self.network.encode(x)  # type: ignore[operator]
            return out

    def decode(self, z: Tensor) -> Tensor:
        """x of the codes z (B, ...)."""
        record(nfe=z.shape[0])
        with network_arithmetic(self.precision, z.device):
            out: Tensor = self.network.decode(z)  # type: ignore[operator]
            return out

    def loss(self, x0: Tensor) -> Tensor:
        """ln mean |x0 - D(E(x0))|^2 per item (B,).

        The logarithm gives items of little and of much contrast the same say.
        """
        error = (self.decode(self.encode(x0)) - x0).square().flatten(1).mean(1)
        return (error + _FLOOR).log()


class LatentDiffusion(nn.Module):
    """An autoencoder, and the denoiser of its codes.

    Args:
        autoencoder: E and D, which training leaves as they are.
        denoiser: E[z0 | z_t, cond].
    """

    def __init__(self, autoencoder: Autoencoder, denoiser: NetworkDenoiser) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False)
        self.denoiser = denoiser

    @property
    def process(self) -> Process:
        """The denoiser's process."""
        return self.denoiser.process

    def loss(
        self, x0: Tensor, t: Tensor, cond: Tensor | None = None, z: Tensor | None = None
    ) -> Tensor:
        """The denoiser's loss on the codes of x0, per item: (B,).

        Args:
            x0: clean data (B, ...).
            t: one time per item (B,).
            cond: conditioning of the denoiser.
            z: noise in the shape of the codes; drawn from the global generator if not given.
        """
        with torch.no_grad():
            code = self.autoencoder.encode(x0)
        return self.denoiser.loss(code, t, None, cond, z)
