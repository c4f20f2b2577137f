"""Kills writers at random moments: `python -m tests.fuzz.kills --count 500`.

A child writes outputs of every kind over older ones and is killed. After the next start every
output must be the old one whole or the new one whole, checked by its checksums and its content, and
nothing else may be left in the folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

__all__ = ["KINDS", "kill_writers"]


def _result(suffix: str) -> Callable[[Path, int], None]:
    def write(folder: Path, seed: int) -> None:
        from sciddm.data_adapters import save_result

        axes = ("slice", "y", "x")
        parts = {"reconstruction": (axes, np.full((2, 24, 25), float(seed), np.float32))}
        if seed == 0:  # the older result has a standard deviation, the new one has none
            parts["std"] = (axes, np.ones((2, 24, 25), np.float32))
        data = xr.Dataset(parts, attrs={"seed": seed, "voxel_size_mm": [1.0, 1.0, 1.0]})
        save_result(data, folder / f"a{suffix}", overwrite=True)

    return write


def _series(folder: Path, seed: int) -> None:
    from sciddm.data_adapters.mri.result import save_mri_result

    axes = ("slice", "y", "x")
    image = np.full((3, 12, 13), seed + 1.0, np.float32)
    data = xr.Dataset({"reconstruction": (axes, image)}, attrs={"voxel_size_mm": [1.0, 1.0, 1.0]})
    save_mri_result(data, folder / "a", overwrite=True)


def _cube(suffix: str) -> Callable[[Path, int], None]:
    def write(folder: Path, seed: int) -> None:
        from sciddm.data_adapters.hsi.result import save_denoised

        axes = ("band", "y", "x")
        numbers = np.full((3, 12, 13), seed + 1.0, np.float32)
        cube = xr.Dataset({"cube": (axes, numbers)}, attrs={"seed": seed})
        save_denoised(cube, folder / f"a{suffix}", overwrite=True)

    return write


#: Ways to write an item, by name: (folder, seed).
KINDS: dict[str, Callable[[Path, int], None]] = {
    **{f"result{s}": _result(s) for s in (".h5", ".nc", ".zarr", ".nii.gz", ".cfl")},
    "series": _series,
    **{f"cube{s}": _cube(s) for s in (".hdr", ".tif", ".zarr")},
}


def kill_writers(count: int, seed: int = 0) -> dict[str, int]:
    """Kills that many writers.

    Args:
        count: of kills.
        seed: of the moments.

    Returns:
        How often the old output was there, the new one, and neither: ("old", "new", "torn").
    """
    from sciddm.data_adapters.commit import recover, verify

    random = np.random.default_rng(seed)
    ended = {"old": 0, "new": 0, "torn": 0}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        references = {}
        for name, write in KINDS.items():
            for number in (0, 1):
                folder = Path(place) / f"{name}-{number}"
                folder.mkdir()
                write(folder, 0)
                start = time.perf_counter()
                if number:
                    write(folder, 1)
                seconds[name] = time.perf_counter() - start
                references[name, number] = _names(folder)
        for number in range(count):
            name = list(KINDS)[number % len(KINDS)]
            work = Path(place) / "work"
            shutil.copytree(Path(place) / f"{name}-0", work)
            before = _contents(work)
            pid = os.fork()
            if pid == 0:
                KINDS[name](work, 1)
                os._exit(0)
            time.sleep(float(random.uniform(0, 1.3 * seconds[name])))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            recover(work)
            whole = all(c.state == "whole" for c in verify([work]))
            held = _contents(work)
            if held == before:
                ended["old"] += 1
            elif whole and set(held) and _names(work) == references[name, 1]:
                ended["new"] += 1
            else:
                ended["torn"] += 1
                print(f"{name} {number}: {sorted(held)}")
            shutil.rmtree(work)
    return ended


def _contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def _names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    ended = kill_writers(arguments.count, arguments.seed)
    print(", ".join(f"{v} {k}" for k, v in ended.items()))
    sys.exit(1 if ended["torn"] else 0)


if __name__ == "__main__":
    main()
