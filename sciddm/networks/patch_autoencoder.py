"""An autoencoder of cubes whose code keeps white noise white."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciddm.networks.local_unet import LocalUNet

__all__ = ["PatchAutoencoder"]


class PatchAutoencoder(nn.Module):
    """Codes of patches: z = A (x - m), and from the codes x^ = m + A^T z + (I - A^T A) g(z).

    x (B, 1, n p, y, x) is cut into patches of p planes, q x q pixels; z (B, c, n, y/q, x/q) has c
    numbers for each. The rows of A (c, p q^2) are orthonormal, learned as the Q of a QR
    decomposition: noise of variance s^2 in x is noise of variance s^2 in z, so that a diffusion of
    the codes can start from noisy ones at exactly their level, and the code of x^ is z. What the
    code leaves out, the network g predicts from the codes around.

    Args:
        planes: p.
        pixels: q.
        codes: c.
        channels: width of g.
        blocks: residual blocks of g.
        center: m.
    """

    def __init__(
        self,
        planes: int = 8,
        pixels: int = 2,
        codes: int = 8,
        channels: int = 64,
        blocks: int = 4,
        center: float = 0.0,
    ) -> None:
        super().__init__()
        size = planes * pixels**2
        if not 0 < codes <= size:
            raise ValueError(f"a patch of {size} numbers has 1 to {size} codes, not {codes}")
        self.config: dict[str, Any] = {
            "planes": planes,
            "pixels": pixels,
            "codes": codes,
            "channels": channels,
            "blocks": blocks,
            "center": center,
        }
        self.planes, self.pixels, self.center = planes, pixels, center
        self.weight = nn.Parameter(_smooth_waves(planes, pixels, codes))
        self.detail = LocalUNet(codes, size, [channels], [blocks], mix=3)

    @property
    def stride(self) -> int:
        """Tiles begin at multiples of so many pixels."""
        return self.pixels

    @property
    def context(self) -> int:
        """Pixels around a pixel of x^ whose codes can influence it."""
        return self.pixels * (self.detail.context + 1) - 1

    def basis(self) -> Tensor:
        """A (c, p q^2)."""
        q, r = torch.linalg.qr(self.weight.float().T)
        out: Tensor = (q * r.diagonal().sign()).T
        return out

    def patches(self, x: Tensor) -> Tensor:
        """(B, 1, n p, y, x) to (B, p q^2, n, y/q, x/q).

        Raises:
            ValueError: a side is no multiple of the patch's.
        """
        p, q = self.planes, self.pixels
        if x.shape[1] != 1 or x.shape[2] % p or x.shape[3] % q or x.shape[4] % q:
            raise ValueError(f"patches of {p} x {q} x {q} do not cut {tuple(x.shape)} evenly")
        split = x[:, 0].unflatten(3, (-1, q)).unflatten(2, (-1, q)).unflatten(1, (-1, p))
        out: Tensor = split.permute(0, 2, 4, 6, 1, 3, 5).flatten(1, 3)
        return out

    def whole(self, patches: Tensor) -> Tensor:
        """Undoes ``patches``."""
        split = patches.unflatten(1, (self.planes, self.pixels, self.pixels))
        out: Tensor = (
            split.permute(0, 4, 1, 5, 2, 6, 3).flatten(5, 6).flatten(3, 4).flatten(1, 2)[:, None]
        )
        return out

    def encode(self, x: Tensor) -> Tensor:
        """z of x."""
        with torch.autocast(x.device.type, enabled=False):
            return _apply(self.basis(), self.patches(x.float() - self.center))

    def decode(self, z: Tensor) -> Tensor:
        """x^ of z."""
        basis = self.basis()
        guess = self.detail(z, z.new_zeros(z.shape[0]))
        with torch.autocast(z.device.type, enabled=False):
            guess = guess.float()
            # A^T z + (I - A^T A) g with one product less.
            found = guess + _apply(basis.T, z.float() - _apply(basis, guess))
            return self.whole(found) + self.center


def _apply(matrix: Tensor, x: Tensor) -> Tensor:
    """(m, k) by (B, k, ...)."""
    columns = x.transpose(0, 1)
    out: Tensor = (matrix @ columns.flatten(1)).unflatten(1, columns.shape[1:])
    return out.transpose(0, 1)


def _smooth_waves(planes: int, pixels: int, codes: int) -> Tensor:
    """The slowest products of cosines (codes, planes pixels^2), where training begins."""

    def cosines(n: int) -> Tensor:
        at = torch.arange(n) + 0.5
        return torch.cos(torch.pi / n * torch.arange(n)[:, None] * at)

    def norm(rows: Tensor) -> Tensor:
        out: Tensor = rows / rows.norm(dim=1, keepdim=True)
        return out

    bands, places = norm(cosines(planes)), norm(cosines(pixels))
    waves = torch.einsum("ip,jy,kx->ijkpyx", bands, places, places)
    speed = torch.cartesian_prod(*(torch.arange(n) for n in (planes, pixels, pixels)))
    # A pixel's neighbour differs more from it than a band's does.
    slow = (speed * torch.tensor([1.0, 1.5, 1.5])).norm(dim=1).argsort(stable=True)
    return waves.reshape(len(speed), -1)[slow[:codes]].contiguous()
