"""A prior seen through the symmetries of what it describes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.process import Scalar

__all__ = ["Symmetric", "conjugate", "mirror"]


def mirror(x: Tensor) -> Tensor:
    """x(..., y, -x): left for right."""
    return x.flip(-1)


def conjugate(x: Tensor) -> Tensor:
    """conj(x): the phase of an image turned round; a real image is its own."""
    return x.conj().resolve_conj()


class Symmetric(Denoiser):
    """g^-1 E[x0 | g x_t], with another symmetry g of the data's law for each item and level.

    Where the law of x0 is the same after g, so is the exact denoiser: g^-1 D(g x) = D(x). A trained
    one errs differently in each g, and what is averaged over samples and levels, errs less. It
    costs nothing; averaging over all of the group at every level costs its order and was worth
    little more. Terris et al., Equivariant plug-and-play image reconstruction, 2024, draw g at
    random instead.

    Args:
        denoiser: of a process that has no endpoint; its ``cond``, if any, is an estimate of x0.
        symmetries: maps of a batch (B, C, ...) onto itself that are their own inverses, commute,
            and take white noise to white noise.
        levels: the grid that sampling goes through; at its k-th level item i is seen through the
            (i + k)-th member of the group that the symmetries generate.
        first: number of a batch's first item, where items come in several batches.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        symmetries: Sequence[Callable[[Tensor], Tensor]],
        levels: Tensor | Sequence[float],
        first: int = 0,
    ) -> None:
        super().__init__()
        if denoiser.process.has_endpoint:
            raise ValueError("a process with an endpoint has the symmetries of both ends only")
        self.denoiser = denoiser
        self.symmetries = tuple(symmetries)
        self.levels = torch.as_tensor(levels, dtype=torch.float64)
        self.first = first
        self.process = denoiser.process
        self.data_std = denoiser.data_std

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        """The mean of x0, as ``Denoiser``; ``t`` is one time for all items.

        A ``cond`` is an estimate of x0 and goes through the same symmetry.
        """
        if y is not None or (isinstance(t, Tensor) and t.ndim > 0):
            raise ValueError("symmetries are of x_t and cond alone, at one time for all items")
        level = int((self.levels - float(t)).abs().argmin())
        begin, order = self.first + level, 2 ** len(self.symmetries)
        members = [(begin + item) % order for item in range(x_t.shape[0])]
        shown = None if cond is None else self._through(members, cond)
        mean = self.denoiser(self._through(members, x_t), t, None, shown)
        return self._through(members, mean)

    def _through(self, members: Sequence[int], x: Tensor) -> Tensor:
        """Each item through those symmetries that the bits of its member name."""
        for bit, symmetry in enumerate(self.symmetries):
            chosen = torch.tensor([bool(m >> bit & 1) for m in members], device=x.device)
            x = torch.where(chosen.view(-1, *[1] * (x.ndim - 1)), symmetry(x), x)
        return x
