"""Makes docs/demo.png from what `make demo` wrote: python docs/demo_picture.py [sciddm-demo]."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from sciddm.data_adapters import load_result, open_kspace
from sciddm.physics.mri.sensitivities import rss
from sciddm.pipelines.mri.retrospective import Undersampling, undersampled


def main(folder: Path) -> None:
    import torch

    result = load_result(folder / "head.nii.gz")
    scan = open_kspace(folder / "scan.h5")
    kept = undersampled(scan, Undersampling(4.0))
    zero_filled = rss(torch.from_numpy(kept["kspace"].values[0])).numpy()
    image = np.abs(result["reconstruction"].values[0])
    reference = scan["reference"].values[0]
    std = result["std"].values[0]
    white = float(np.percentile(reference, 99.5))
    panels = [
        ("measured only (zero-filled, R = 4)", zero_filled, white),
        ("sciddm", image, white),
        ("standard deviation, x 10", std, white / 10),
        ("error, x 10", np.abs(image - reference), white / 10),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.8), facecolor="black")
    for axis, (title, values, top) in zip(axes, panels, strict=True):
        axis.imshow(values, cmap="gray", vmin=0, vmax=top)
        axis.set_title(title, color="white", fontsize=10)
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(Path(__file__).parent / "demo.png", dpi=80, facecolor="black")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sciddm-demo"))
