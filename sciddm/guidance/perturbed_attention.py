"""Perturbed attention guidance: away from what the network says without its attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import Guidance
from sciddm.guidance.extrapolation import Extrapolated
from sciddm.networks.attention import Attention
from sciddm.process import Scalar

__all__ = ["IdentityAttention", "perturbed_attention"]


class IdentityAttention(Guidance):
    """A denoiser whose network attends to nothing but each token itself: softmax(q k^T) = I.

    Args:
        denoiser: with one ``networks.Attention`` or more; its weights are shared, not copied.

    Raises:
        ValueError: the network has no such attention.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__(denoiser)
        self._layers = [m for m in denoiser.modules() if isinstance(m, Attention)]
        if not self._layers:
            raise ValueError("perturbed attention needs a network with self-attention")

    @contextmanager
    def _perturbed(self) -> Iterator[None]:
        def own_value(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            assert isinstance(layer, Attention)
            out: Tensor = layer.out_proj(layer.to_v(inputs[0]))
            return out

        handles = [layer.register_forward_hook(own_value) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        with self._perturbed():
            out: Tensor = self.denoiser(x_t, t, y, cond)
        return out


def perturbed_attention(denoiser: Denoiser, strength: float = 1.0) -> Extrapolated:
    """D + k (D - D_I), D_I with the identity in place of each self-attention's map.

    Ahn et al., Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance, 2024.
    Two evaluations. Pictures get more structure; intervals made of them are too narrow, as with any
    ``Extrapolated``.

    Args:
        denoiser: of a network with ``networks.Attention``.
        strength: k.

    Raises:
        ValueError: the network has none.
    """
    return Extrapolated(denoiser, IdentityAttention(denoiser), strength)
