"""A prior from undersampled k-space alone, beside one trained on the clean images of these scans.

    python -m benchmarks.measurements_only [--folder DIR] [--steps 1000] [--write]

Heads of the training patients of `mri-brain` at 48 x 48, with four coils and noise of 3 % of bright
tissue, each measured once at R = 4 with a random mask of its own. Three trainings with the same
number of steps and the same batch: a prior on the clean images; a prior on the k-space alone, by
expectation maximisation; a network by k-space splitting (SSDU), whose image is made consistent with
the data. Both priors have the same network. All are judged on heads of the validation patients at R
= 4 and 8.

A run that is interrupted goes on; each training and each row is kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.measured_heads import COUNT, NOISE, SIDE, Scans, heads, write_clean
from benchmarks.publish import publish
from sciddm.denoiser import Denoiser
from sciddm.physics import Measurement
from sciddm.pipelines.mri.measured_slices import least_squares
from sciddm.priors.predictor import Predictor
from sciddm.training import Recipe, train
from sciddm.training.expectation import mmps_draws
from sciddm.zoo import from_pretrained

CACHE = Path(__file__).resolve().parent / ".cache" / "measurements_only"
ACCELERATIONS = (4, 8)
ROUNDS, DRAWS, LEVELS = 5, 4, 12
SIGMA_MAX, SIGMA_MIN = 3.0, 0.01
_UNET = {
    "name": "UNet", "num_res_blocks": 1, "patch": 2, "channels": [24, 32, 48], "norm_num_groups": 8
}  # fmt: skip
#: Tissue, in units of the bright level.
_TISSUE = 0.1


def recipe(name: str, steps: int, clean: Path) -> Recipe:
    """The recipe of one training."""
    prior = {
        "process": {"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0},
        "network": {**_UNET, "in_channels": 2, "out_channels": 2},
        "denoiser": {"parametrization": "edm", "data_std": 0.5, "complex_data": True},
        "noise": {"law": "lognormal", "mean": -1.8, "std": 1.3},
    }
    own: dict[str, Any]
    if name == "splitting":
        network = {**_UNET, "in_channels": 2, "out_channels": 4}
        own = {
            "predictor": {"network": network, "output": "mask", "scale": 0.5},
            "data": {"dataset": "benchmarks.measured_heads.SplitScans"},
        }
    elif name == "clean":
        own = {
            **prior,
            "data": {
                "dataset": "sciddm.training.expectation.Draws",
                "arguments": {"folder": str(clean), "mirror": [-1]},
            },
        }
    else:
        own = {
            **prior,
            "data": {"dataset": "benchmarks.measured_heads.Scans"},
            "expectation": {
                "rounds": ROUNDS, "draw_steps": LEVELS, "sigma_max": SIGMA_MAX,
                "sigma_min": SIGMA_MIN, "batch_size": 16, "mirror": [-1],
            },
        }  # fmt: skip
    return Recipe.model_validate(
        {
            "name": name,
            "summary": "Heads of 48 x 48.",
            **own,
            "optimisation": {
                "lr": 8e-4,
                "batch_size": 16,
                "steps": steps,
                "warmup_steps": 50,
                "ema_decay": 0.995,
                "checkpoint_minutes": 1.0,
            },
        }
    )


def by_draws(prior: Denoiser) -> Callable[[Measurement, list[int]], tuple[Tensor, Tensor]]:
    """Mean and standard deviation of posterior draws, (B, 1, y, x)."""

    def estimate(m: Measurement, numbers: list[int]) -> tuple[Tensor, Tensor]:
        draws = torch.stack(
            [
                mmps_draws(
                    prior,
                    m,
                    [1000 * n + k for n in numbers],
                    seed=7,
                    steps=LEVELS,
                    sigma_max=SIGMA_MAX,
                    sigma_min=SIGMA_MIN,
                )
                for k in range(DRAWS)
            ]
        )
        mean = draws.mean(0)
        # The truth lies about the mean of K draws with (1 + 1/K) of their variance.
        variance = (draws - mean).abs().square().sum(0) / (DRAWS - 1) * (1 + 1 / DRAWS)
        return mean, variance.sqrt()

    return estimate


def by_splitting(network: Predictor) -> Callable[[Measurement, list[int]], tuple[Tensor, None]]:
    """One image, made consistent with the data by the prior's own proximal step."""

    def estimate(m: Measurement, numbers: list[int]) -> tuple[Tensor, None]:
        with torch.no_grad():
            image = network(least_squares(m))
            return m.prox(image, 0.05**2), None

    return estimate


def judged(
    estimate: Callable[[Measurement, list[int]], tuple[Tensor, Tensor | None]], acceleration: int
) -> dict[str, float]:
    """PSNR / dB in tissue and coverage of 90 % regions / %, mean over the validation heads."""
    truth, scans = heads("validate"), Scans("validate", acceleration)
    psnr, inside, total = [], 0, 0
    for first in range(0, len(truth), 16):
        numbers = list(range(first, min(first + 16, len(truth))))
        m = Scans.measurement(default_collate([scans[k] for k in numbers]))
        mean, std = estimate(m, numbers)
        for k, x in zip(numbers, mean, strict=True):
            tissue = truth[k].abs() > _TISSUE
            error = (x - truth[k]).abs()[tissue].square().mean()
            psnr.append(10 * float(torch.log10(truth[k].abs().max() ** 2 / error)))
        if std is not None:
            part = truth[numbers]
            tissue = part.abs() > _TISSUE
            # A circular complex error of this deviation is within 1.517 of it in 90 %.
            within = (mean - part).abs() <= 1.517 * std
            inside, total = inside + int(within[tissue].sum()), total + int(tissue.sum())
    row = {"psnr": sum(psnr) / len(psnr)}
    return row | ({"coverage": 100 * inside / total} if total else {})


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=CACHE)
    parser.add_argument("--steps", type=int, default=1000, help="of each training")
    parser.add_argument("--only", nargs="+", default=["least squares", *_NAMES])
    parser.add_argument("--write", action="store_true", help="write the table")
    args = parser.parse_args()
    folder: Path = args.folder
    write_clean(folder / "images")
    for name in args.only:
        store = folder / f"rows of {name}.json"
        rows = _read(store)
        start, clock = time.process_time(), time.perf_counter()
        if name != "least squares":
            model = train(
                recipe(name, args.steps, folder / "images"), folder / name, progress=False
            )
        for acceleration in ACCELERATIONS:
            key = f"{name}, R = {acceleration}"
            if key in rows:
                continue
            if name == "least squares":
                rows[key] = judged(lambda m, numbers: (least_squares(m), None), acceleration)
            elif name == "splitting":
                network = from_pretrained(model).model
                assert isinstance(network, Predictor)
                rows[key] = judged(by_splitting(network), acceleration)
            else:
                rows[key] = judged(by_draws(from_pretrained(model).denoiser), acceleration)
            store.write_text(json.dumps(rows, indent=1))
        spent = (
            f"{time.process_time() - start:.0f} processor s, {time.perf_counter() - clock:.0f} s"
        )
        print(name, spent, {k: v for k, v in rows.items() if k.startswith(name)}, flush=True)
    rows = {}
    for name in ("least squares", *_NAMES):
        rows |= _read(folder / f"rows of {name}.json")
    text = table(rows, args.steps)
    print(text)
    if args.write and rows:
        listed = [{"method": key, "coverage": "", **values} for key, values in rows.items()]
        publish("measurements_only", text, listed)


def _read(store: Path) -> dict[str, dict[str, float]]:
    return json.loads(store.read_text()) if store.exists() else {}


_NAMES = {
    "splitting": "k-space splitting (SSDU), data-consistent",
    "kspace": "prior from k-space alone",
    "clean": "prior from clean images",
}


def table(rows: dict[str, dict[str, float]], steps: int) -> str:
    """Markdown of what there is."""
    lines = [
        "# A prior from undersampled k-space alone",
        "",
        f"`python -m benchmarks.measurements_only --steps {steps}`: {COUNT['train']} heads of the "
        f"training patients at {SIDE} x {SIDE}, four coils, noise {100 * NOISE:.0f} % of bright "
        f"tissue, each measured once at R = 4; {steps} steps of 16 images in each training, on one "
        f"thread of a {platform.machine()} processor. The judges are {COUNT['validate']} heads of "
        "the validation patients: PSNR of the complex image in tissue; share of tissue inside the "
        f"90 % regions of {DRAWS} posterior draws.",
        "",
        "| trained by | R = 4: PSNR / dB | coverage / % | R = 8: PSNR / dB | coverage / % |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, label in {"least squares": "nothing (least squares)", **_NAMES}.items():
        cells = []
        for acceleration in ACCELERATIONS:
            row = rows.get(f"{name}, R = {acceleration}", {})
            cells += [
                f"{row[key]:.{digits}f}" if key in row else ""
                for key, digits in (("psnr", 2), ("coverage", 1))
            ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for acceleration in ACCELERATIONS:
        pair = [rows.get(f"{name}, R = {acceleration}") for name in ("clean", "kspace")]
        if pair[0] and pair[1]:
            gap = pair[0]["psnr"] - pair[1]["psnr"]
            nothing = rows.get(f"least squares, R = {acceleration}", {}).get("psnr", math.nan)
            lines += [
                "",
                f"R = {acceleration}: k-space alone is {gap:.2f} dB below clean images, which are "
                f"{pair[0]['psnr'] - nothing:+.2f} dB from least squares.",
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
