"""The distance of an estimated mask to the true one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

__all__ = ["MaskLoss"]


@dataclass(frozen=True)
class MaskLoss:
    """Per item, with logits l, P = sigmoid(l), and the mask m = (x0 + 1) / 2 in {0, 1}::

        dice (1 - (2 sum P m + 1) / (sum P + sum m + 1)) + bce mean H(m, P) + mse mean (P - m)^2

    H(m, P) = -m ln P - (1 - m) ln(1 - P). The last two are least, in expectation, where P is the
    probability of the mask; the first asks for overlap whatever the size, and makes P too sure.

    Milletari et al., V-Net, 2016 (Dice, here with linear sums and one voxel added, so that two
    empty masks agree); the three terms together are Diff-UNet's (Xing et al., 2023, section 3.3).
    """

    dice: float = 1.0
    bce: float = 1.0
    mse: float = 1.0

    def __post_init__(self) -> None:
        if min(self.dice, self.bce, self.mse) < 0 or self.dice + self.bce + self.mse == 0:
            raise ValueError("weights of the mask loss are >= 0 and not all 0")

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return asdict(self)

    def __call__(self, logits: Tensor, x0: Tensor) -> Tensor:
        """Logits (B, C, ...) and masks in -1, 1 of the same shape -> (B,)."""
        l, m = logits.float().flatten(1), (x0.float().flatten(1) + 1) / 2  # noqa: E741
        p = l.sigmoid()
        loss = self.bce * functional.binary_cross_entropy_with_logits(l, m, reduction="none")
        loss = (loss + self.mse * (p - m).square()).mean(1)
        overlap = (2 * (p * m).sum(1) + 1) / (p.sum(1) + m.sum(1) + 1)
        return loss + self.dice * (1 - overlap)
