"""What ``sciddm demo hsi`` simulates: a scene with stripes and dead pixels that needs no file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from sciddm.pipelines.engine.comparison import agreement
from sciddm.pipelines.engine.domain import Example
from sciddm.pipelines.hsi.requests import evaluate
from sciddm.pipelines.hsi.requests import simulate as simulate_scene

__all__ = ["simulate"]

_SCENE: dict[str, Any] = {"lines": 128, "samples": 144, "bands": 80, "level": 0.03}
_TOLD = {"psnr_db": ("PSNR", "{:.2f} dB"), "sam_deg": ("SAM", "{:.2f} deg")}


def simulate(folder: Path) -> Example:
    """Writes scene.hdr, and scene_truth.hdr, the same without noise."""
    source, truth, target = (folder / f"{n}.hdr" for n in ("scene", "scene_truth", "denoised"))
    simulate_scene(**_SCENE).save(source, overwrite=True)

    estimates = {"noisy": source, "denoised": target}
    facts = partial(agreement, evaluate, truth, estimates, _TOLD, scale=1.0)
    return Example(source, target, (source, truth), {}, facts, truth)
