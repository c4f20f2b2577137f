"""Runs whose outputs are at stake: each makes its first outputs, and then others in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

from tests.fuzz.kills import KINDS
from tests.kills.fork import in_child

__all__ = ["Scenario", "scenarios"]


@dataclass(frozen=True)
class Scenario:
    """One kind of run.

    Attributes:
        name: for the table.
        run: (folder of the outputs, 0 for the older and 1 for the newer ones).
        items: names that the files of one item begin with; each item is old or new by itself.
        older: whether there are older outputs.
        trains: it is a training, which goes on where it was.
    """

    name: str
    run: Callable[[Path, int], None]
    items: tuple[str, ...] = ("a",)
    older: bool = True
    trains: bool = False


def command(*words: object) -> None:
    """Runs a command line in this process; its exit code becomes this process's."""
    from sciddm.pipelines.cli import app

    app([str(word) for word in words], standalone_mode=False)


def _scene(path: Path, seed: int) -> None:
    from sciddm.data_adapters import save_cube

    rng = np.random.default_rng(seed)
    spectra = rng.uniform(0.2, 1, (6, 2))
    share = np.linspace(0, 1, 24 * 26).reshape(24, 26)
    clean = np.tensordot(spectra, np.stack([share, 1 - share]), 1)
    noisy = (clean + 0.02 * rng.standard_normal(clean.shape)).astype(np.float32)
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), noisy)}), path)


def _denoise(
    inputs: Path, suffix: str, names: tuple[str, ...], *more: str
) -> Callable[[Path, int], None]:
    for seed in (0, 1):
        (inputs / str(seed)).mkdir(parents=True, exist_ok=True)
        for k, name in enumerate(names):
            path = inputs / str(seed) / f"{name}{suffix}"
            # In a child: Zarr starts a thread, which the trials' forks would lack.
            if not path.exists() and in_child(partial(_scene, path, 10 * seed + k)):
                raise RuntimeError(f"{path}: cannot be written")

    def run(folder: Path, seed: int) -> None:
        sources = [inputs / str(seed) / f"{name}{suffix}" for name in names]
        out = folder / f"{names[0]}{suffix}" if len(names) == 1 else folder
        words = ["--method", "lowrank", "--overwrite", *more]
        command("hsi", "denoise", *sources, "-o", out, *words)

    return run


_RECIPE = {
    "name": "draws",
    "summary": "Noise.",
    "process": {"name": "EDM", "sigma_min": 0.01, "sigma_max": 10.0},
    "network": {
        "name": "UNet", "in_channels": 1, "out_channels": 1, "channels": [4, 8],
        "num_res_blocks": 1, "norm_num_groups": 2,
    },
    "denoiser": {"parametrization": "edm", "data_std": 1.0},
    "data": {"dataset": "tests.kills.noise.Noise"},
    "optimisation": {
        "batch_size": 4, "steps": 12, "warmup_steps": 2, "precision": "32",
        "checkpoint_minutes": 1e-4,
    },
}  # fmt: skip


def _train(inputs: Path) -> Callable[[Path, int], None]:
    recipe = inputs / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(_RECIPE))

    def run(folder: Path, seed: int) -> None:
        from sciddm.training import load_recipe, train

        train(load_recipe(recipe), folder / "run", progress=False)

    return run


def scenarios(inputs: Path) -> list[Scenario]:
    """All of them.

    Args:
        inputs: a folder for what they read.
    """
    three = ("a", "b", "c")
    writers = ("result.h5", "result.nc", "result.nii.gz", "result.cfl")
    return [
        Scenario("run, ENVI, nothing before", _denoise(inputs, ".hdr", ("a",)), older=False),
        # Most of a run's seconds are those of the report: one has it.
        Scenario("run, ENVI and report, --overwrite", _denoise(inputs, ".hdr", ("a",), "--report")),
        Scenario("run, GeoTIFF, --overwrite", _denoise(inputs, ".tif", ("a",))),
        Scenario("run, Zarr, --overwrite", _denoise(inputs, ".zarr", ("a",))),
        Scenario(
            "batch of 3, Zarr, nothing before", _denoise(inputs, ".zarr", three), three, False
        ),
        Scenario("batch of 3, netCDF, --overwrite", _denoise(inputs, ".nc", three), three),
        Scenario("DICOM folder, --overwrite", KINDS["series"]),
        *(Scenario(f"{name}, --overwrite", KINDS[name]) for name in writers),
        Scenario("training", _train(inputs), ("run",), older=False, trains=True),
    ]
