"""What the notebooks draw with."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt

__all__ = ["show"]

plt.rcParams.update({"figure.dpi": 60, "image.cmap": "gray", "axes.titlesize": 9})


def show(**images: Any) -> None:
    """Images side by side, titled by their names; a pair (image, limits) fixes the grey scale."""
    figure, axes = plt.subplots(1, len(images), figsize=(3.2 * len(images), 3.4), squeeze=False)
    for axis, (title, image) in zip(axes[0], images.items(), strict=True):
        values, limits = image if isinstance(image, tuple) else (image, (None, None))
        axis.imshow(values, vmin=limits[0], vmax=limits[1])
        axis.set_title(title.replace("_", " "))
        axis.axis("off")
    figure.tight_layout()
    plt.show()
