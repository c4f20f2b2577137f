"""Segmenters: one network evaluation from images to the probability of a mask."""

from __future__ import annotations

from torch import Tensor, nn

from sciddm.ledger import record
from sciddm.losses.mask_loss import MaskLoss
from sciddm.precision import Precision, network_arithmetic

__all__ = ["Segmenter"]


class Segmenter(nn.Module):
    """E[x0 | cond] = tanh(l / 2) of a mask x0 in -1, 1, with l the network's logits.

    What a diffusion of masks is to be compared with: the same estimate without x_t.

    Args:
        network: ``(cond (B, C, ...), level (B,), None) -> (B, 1, ...)``; its level is 0.
        criterion: what training minimises.
        precision: dtype of the network's arithmetic, as in NetworkDenoiser.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: MaskLoss | None = None,
        *,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.network = network
        self.criterion = MaskLoss() if criterion is None else criterion
        self.precision: Precision = precision

    def logits(self, cond: Tensor) -> Tensor:
        """ln P(x0 = 1) / P(x0 = -1), (B, 1, ...)."""
        record(nfe=cond.shape[0])
        with network_arithmetic(self.precision, cond.device):
            out = self.network(cond, cond.new_zeros(cond.shape[0]), None)
        answer: Tensor = out.to(cond.dtype)
        return answer

    def forward(self, cond: Tensor) -> Tensor:
        """The mean of x0 (B, 1, ...) for images (B, C, ...)."""
        return (self.logits(cond) / 2).tanh()

    def loss(self, x0: Tensor, cond: Tensor) -> Tensor:
        """``criterion(logits, x0)`` per item: (B,)."""
        return self.criterion(self.logits(cond), x0)
