"""Filter2Noise: an attention-guided bilateral filter trained on the images that it denoises.

Two bilateral filters follow each other (Sun et al., 2025). The widths of each, along x, along y and
in value, are chosen for every patch of 8 x 8 pixels by two layers of self-attention over the
patches, 1819 parameters a stage. A pixel p becomes the mean of its neighbours q with the weights

    exp(-(x_q - x_p)^2 / 2 sx^2 - (y_q - y_p)^2 / 2 sy^2 - d^2(p, q) / 2 sr^2)

so the maps of sx, sy and sr say all that is done to the image; they can be looked at, changed and
applied. Training needs no clean image: two half-resolution images from the two diagonals of every
2 x 2 pixels show the same object with different noise.

Three things differ from the paper. d^2 is the mean squared difference of the 3 x 3 pixels around p
and q, not of p and q alone, whose noise would decide (as in non-local means; Buades et al., 2005).
The image is scaled by its noise, not by its extremes: sr is to be of the noise's size, which in CT
is a hundredth of the range, and training would hardly reach it. And the widths have bounds
(`_BOUNDS`), since the half-resolution images that training compares show everything half as wide:
left alone it ends at narrow windows with a wide range, which blur, where wide windows with a range
near the noise do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    conv2d,
    interpolate,
    l1_loss,
    pad,
    pixel_unshuffle,
    softplus,
)

from sciddm.errors import InputError
from sciddm.physics.tomography.noise_level import noise_level

__all__ = [
    "Filter2Noise",
    "Filtered",
    "Trained",
    "apply_maps",
    "bilateral",
    "fit_filter2noise",
]

PATCH = 8
_MULTIPLE = 2 * PATCH  # the half-resolution images are cut into patches too
_WIDTH = 8
_FLOOR = 1e-6
COMPARED = 3
# Least, first and greatest sx, sy (pixels) and sr (units of the noise). Two squares that differ by
# noise alone have d^2 of 2, so that a range of 1.2 takes half of each other's noise; a second stage
# sees what little is left of it.
Bounds = tuple[tuple[float, float, float], ...]
_BOUNDS: tuple[Bounds, ...] = (
    ((1.5, 1.5, 0.5), (2.5, 2.5, 1.1), (3.5, 3.5, 1.7)),
    ((0.5, 0.5, 0.0), (1.2, 1.2, 0.1), (3.0, 3.0, 0.2)),
)
_RATE = 3e-3
_PART = 96  # pixels a side of what a training step sees
_NOISELESS = 1e-3


@dataclass(frozen=True)
class Filtered:
    """What was made of an image.

    Attributes:
        image: (ny, nx), denoised, in the units of the input.
        maps: (stage, 3, ny, nx): sx and sy in pixels, sr in the units of the input.
    """

    image: Tensor
    maps: Tensor


class Stage(nn.Module):
    """From an image to the widths of its filter."""

    def __init__(self, generator: torch.Generator, bounds: Bounds = _BOUNDS[0]) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(PATCH**2, _WIDTH) for _ in range(3))
        self.second = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH) for _ in range(3))
        self.norm = nn.LayerNorm(_WIDTH)
        self.widths = nn.Linear(_WIDTH, 3)
        for layer in [*self.first, *self.second, self.widths]:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self.norm.weight.data.fill_(0.3)  # the same widths everywhere, nearly, to begin with
        least, first, most = (torch.tensor(bound) for bound in bounds)
        self.least, self.most = least + _FLOOR, most
        self.widths.bias.data.copy_(first.expm1().log())  # softplus gives first

    def forward(self, image: Tensor) -> Tensor:
        """sx, sy, sr of an image (B, 1, ny, nx) with sides of whole patches: (B, 3, ny, nx)."""
        # Air and bone lie a hundred times the noise apart: the attention sees them nearer together.
        patches = pixel_unshuffle(image.asinh(), PATCH)
        tokens = patches.flatten(2).mT[:, None]  # one head: with its axis attention is fused
        for layer in (self.first, self.second):
            query, key, value = (project(tokens) for project in layer)
            tokens = nn.functional.scaled_dot_product_attention(query, key, value)
        widths = softplus(self.widths(self.norm(tokens)))
        widths = widths.clamp(self.least.to(image), self.most.to(image))
        coarse = widths[:, 0].mT.unflatten(2, patches.shape[-2:])
        return interpolate(coarse, scale_factor=PATCH, mode="nearest")


class Filter2Noise(nn.Module):
    """Both stages, for images with noise of about 1 whose sides are multiples of 16."""

    def __init__(self, generator: torch.Generator, stages: int = 2) -> None:
        super().__init__()
        self.stages = nn.ModuleList(Stage(generator, _BOUNDS[min(i, 1)]) for i in range(stages))

    def forward(self, image: Tensor) -> Tensor:
        return self.with_maps(image)[0]

    def with_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The filtered image (B, 1, ny, nx) and the maps (stage, B, 3, ny, nx)."""
        maps = []
        for stage in self.stages:
            maps.append(stage(image))
            image = bilateral(image, maps[-1])
        return image, torch.stack(maps)


def bilateral(image: Tensor, widths: Tensor, compared: int = COMPARED) -> Tensor:
    """The bilateral filter with widths of its own in every pixel.

    The window has 2 ceil(max(sx, sy)) + 1 pixels a side; the image is reflected at its border.

    Args:
        image: (B, 1, ny, nx).
        widths: (B, 3, ny, nx): sx, sy in pixels, sr in the image's units; above 0.
        compared: side of the squares whose mean squared difference is d^2, odd; those of the
            image's border are smaller.
    """
    ny, nx = image.shape[-2:]
    reach = min(math.ceil(float(widths[:, :2].detach().max())), ny - 1, nx - 1)
    wide = pad(image, (reach,) * 4, mode="reflect")
    x, y, value = (-0.5 / w**2 for w in widths.split(1, dim=1))
    total, weights = torch.zeros_like(image), torch.zeros_like(image)
    dx = torch.arange(-reach, reach + 1).to(image)[:, None, None]
    along = dx * dx * x
    for dy in range(-reach, reach + 1):
        row = wide[..., reach + dy : reach + dy + ny, :]
        near = row.unfold(3, nx, 1)[:, 0].movedim(2, 1)  # (B, all dx, ny, nx)
        d2 = (near - image) ** 2
        if compared > 1:
            d2 = avg_pool2d(d2, compared, 1, compared // 2, count_include_pad=False)
        weight = (along + dy * dy * y + d2 * value).exp()
        total = total + (weight * near).sum(1, keepdim=True)
        weights = weights + weight.sum(1, keepdim=True)
    return total / weights


def fit_filter2noise(
    image: Tensor, *, iterations: int = 500, edges: float = 400.0, seed: int = 0
) -> Filtered:
    """Trains on an image and filters it; see `Trained`."""
    return Trained([image], iterations=iterations, edges=edges, seed=seed)(image)


class Trained:
    """A filter trained on noisy images of one kind.

    Args:
        images: (ny, nx) each, of any units and size from 16 on.
        iterations: of AdamW, with one cycle of the learning rate; each on a part of an image.
        edges: weight of the term that keeps the strength of edges.
        seed: of the initial parameters and of the parts.

    Raises:
        InputError: not such an image, NaN, or constant.
    """

    def __init__(
        self, images: list[Tensor], *, iterations: int, edges: float = 400.0, seed: int = 0
    ) -> None:
        for image in images:
            _check(image)
        self._middle = torch.stack([image.median() for image in images]).median()
        self._unit = torch.stack([_unit(image) for image in images]).median()
        generator = torch.Generator().manual_seed(seed)
        self.model = Filter2Noise(generator).to(images[0].device)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=_RATE, weight_decay=0.01)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=iterations)
        scaled = [self._scaled(image) for image in images]
        for _ in range(iterations):
            loss = self_supervised_loss(self.model, _part(scaled, generator), edges)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Filtered:
        """An image filtered, and the maps that say how.

        Raises:
            InputError: as above.
        """
        _check(image)
        ny, nx = image.shape
        clean, maps = self.model.with_maps(self._scaled(image))
        one = torch.ones_like(self._unit)
        maps = maps[:, 0, :, :ny, :nx] * torch.stack([one, one, self._unit])[:, None, None]
        values = clean[0, 0, :ny, :nx] * self._unit + self._middle
        return Filtered(values.to(image), maps.to(image))

    def _scaled(self, image: Tensor) -> Tensor:
        """(1, 1, y, x), noise of about 1, extended to sides of multiples of 16."""
        ny, nx = image.shape
        more = (0, -nx % _MULTIPLE, 0, -ny % _MULTIPLE)
        scaled = ((image - self._middle) / self._unit).float()
        return pad(scaled[None, None], more, mode="reflect")


def _check(image: Tensor) -> None:
    if image.ndim != 2 or min(image.shape) < _MULTIPLE or not bool(torch.isfinite(image).all()):
        raise InputError(
            f"an image (ny, nx) of at least {_MULTIPLE} x {_MULTIPLE} finite values, not "
            f"{tuple(image.shape)}"
        )
    if not float(image.max() - image.min()) > 0:
        raise InputError("the image is constant: there is nothing to denoise")


def _unit(image: Tensor) -> Tensor:
    """The noise of an image; of one without noise, a little of its range."""
    return torch.maximum(
        image.new_tensor(noise_level(image)), _NOISELESS * (image.max() - image.min())
    )


def _part(images: list[Tensor], generator: torch.Generator) -> Tensor:
    """A square of an image at a random place on the grid of patches, or all of a small one."""

    def draw(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    image = images[draw(len(images))]
    cuts = []
    for n in image.shape[-2:]:
        side = min(n, _PART)
        first = PATCH * draw((n - side) // PATCH + 1)
        cuts.append(slice(first, first + side))
    return image[..., cuts[0], cuts[1]]


def apply_maps(image: Tensor, maps: Tensor) -> Tensor:
    """The filters that maps, perhaps edited, describe.

    Args:
        image: (ny, nx).
        maps: (stage, 3, ny, nx), as in `Filtered`.
    """
    if image.ndim != 2 or maps.shape[1:] != (3, *image.shape) or not bool((maps > 0).all()):
        raise InputError(
            f"maps (stage, 3, ny, nx) above 0 that fit the image, not {tuple(maps.shape)} for "
            f"{tuple(image.shape)}"
        )
    out = image[None, None]
    for widths in maps:
        out = bilateral(out, widths[None])
    return out[0, 0]


def self_supervised_loss(model: nn.Module, image: Tensor, edges: float) -> Tensor:
    """A third of the four distances between the filtered halves and the halves of the filtered
    image, and the change of edge strength; mean absolute differences.

        |f(S D1 y) - f(S D2 y)| + |f(S D1 y) - D1 f(y)|
        + |f(S D2 y) - D2 f(y)| + |D1 f(y) - D2 f(y)|
    """
    whole = model(image)
    one, two = diagonals(image)
    halves = model(torch.cat([swap_closest(one), swap_closest(two)]))
    filtered_one, filtered_two = halves.chunk(2)
    one, two = diagonals(whole)
    pairs = (
        (filtered_one, filtered_two),
        (filtered_one, one),
        (filtered_two, two),
        (one, two),
    )
    distance = sum((l1_loss(a, b) for a, b in pairs), image.new_zeros(()))
    kernel = difference_of_gaussians().to(image)
    kept = l1_loss(conv2d(whole, kernel).abs(), conv2d(image, kernel).abs())
    return distance / 3 + edges * kept


def diagonals(image: Tensor) -> tuple[Tensor, Tensor]:
    """D1, D2: the means of the rising and of the falling diagonal of every 2 x 2 pixels."""
    a, b, c, d = pixel_unshuffle(image, 2).split(1, dim=1)
    return (b + c) / 2, (a + d) / 2


def swap_closest(image: Tensor) -> Tensor:
    """S: in every 2 x 2 pixels the two with the closest values change places.

    It breaks up noise that is correlated between neighbours, with the least change of the image.
    """
    blocks = pixel_unshuffle(image, 2)
    pairs = torch.combinations(torch.arange(4, device=image.device))
    apart = (blocks[:, pairs[:, 0]] - blocks[:, pairs[:, 1]]).abs()
    orders = torch.arange(4, device=image.device).repeat(len(pairs), 1)
    orders.scatter_(1, pairs, pairs.flip(1))
    order = orders[apart.argmin(1)].movedim(-1, 1)
    return nn.functional.pixel_shuffle(blocks.gather(1, order), 2)


def difference_of_gaussians(size: int = 7, narrow: float = 9.0, wide: float = 10.0) -> Tensor:
    """The kernel G(narrow) - G(wide), each of sum 1: (1, 1, size, size)."""
    i = torch.arange(size, dtype=torch.float64) - size // 2
    square = i[:, None] ** 2 + i**2
    kernels = [(-square / (2 * s**2)).exp() for s in (narrow, wide)]
    return (kernels[0] / kernels[0].sum() - kernels[1] / kernels[1].sum())[None, None]
