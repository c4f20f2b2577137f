"""What isolation and flushing cost a batch of small files.

    python -m benchmarks.safety_cost [--items 200] [--rounds 3] [--write FILE]

The same batch runs in four ways in turn, each in a process of its own: as it is; with files read in
the process itself (``SCIDDM_ISOLATION=off``); without flushing (``os.fsync`` does nothing); without
both. Processor seconds are those of the process and its reader together. Wall time includes the
disk's; it means something on an idle machine only. The table holds the least of the rounds, since a
machine whose speed varies only adds to it, and the mean over the rounds of what a way takes more
than the last in the same round. A round that a file holds is not run again.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

_WAYS = {
    "as it is": (True, True),
    "without isolation": (False, True),
    "without flushing": (True, False),
    "without both": (False, False),
}
_COLUMNS = ("round", "way", "items", "processor_seconds", "wall_seconds")
_RUN = """
import os, sys
if sys.argv[1] == "no":
    os.fsync = os.fdatasync = lambda handle: None
    os.sync = lambda: None
from sciddm.pipelines.cli import app
app(sys.argv[2:])
"""


def make_inputs(folder: Path, items: int) -> list[Path]:
    """Small scenes, half as netCDF and half as GeoTIFF."""
    from sciddm.data_adapters import save_cube

    share = np.linspace(0, 1, 48 * 52).reshape(48, 52)
    paths = []
    for k in range(items):
        random = np.random.default_rng(k)
        spectra = random.uniform(0.2, 1, (12, 2))
        clean = np.tensordot(spectra, np.stack([share, 1 - share]), 1)
        noisy = (clean + 0.02 * random.standard_normal(clean.shape)).astype(np.float32)
        paths.append(folder / f"scene{k:03d}{'.nc' if k % 2 else '.tif'}")
        save_cube(xr.Dataset({"cube": (("band", "y", "x"), noisy)}), paths[-1])
    return paths


def measure(paths: list[Path], out: Path, isolation: bool, flushing: bool) -> tuple[float, float]:
    """(processor seconds, wall seconds) of one batch."""
    out.mkdir()
    words = ["hsi", "denoise", *map(str, paths), "-o", str(out), "--method", "lowrank"]
    environment = {
        **os.environ,
        "SCIDDM_ISOLATION": "on" if isolation else "off",
        "OMP_NUM_THREADS": "1",
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", _RUN, "yes" if flushing else "no", *words]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        sys.exit(process.stderr[-2000:])
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, wall


def page(rows: list[dict[str, str]], command: str) -> str:
    """The table as Markdown."""
    items = rows[0]["items"]
    rounds = len({row["round"] for row in rows})
    lines = [
        "# Cost of isolation and flushing",
        "",
        f"`{command}`: {items} scenes of 48 x 52 pixels and 12 bands, half netCDF and half",
        f"GeoTIFF, `hsi denoise --method lowrank`; {rounds} rounds, the least of them, and what a",
        "way takes more than the last: of the least, and in the mean of the rounds.",
        "",
        "| batch | processor / s | more | mean | wall / s | more | mean |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    ways = [way for way in _WAYS if any(r["way"] == way for r in rows)]
    for way in ways:
        cells = []
        for column in _COLUMNS[3:]:
            own, base = (
                np.array([float(r[column]) for r in rows if r["way"] == w]) for w in (way, ways[-1])
            )
            more = (own.min() / base.min(), float(np.mean(own / base)))
            cells += [f"{own.min():.1f}", *(f"{100 * (m - 1):+.1f} %" for m in more)]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="file for the table; rows go beside it")
    a = parser.parse_args()
    beside = None if a.write is None else a.write.with_suffix(".csv")
    rows: list[dict[str, str]] = []
    if beside is not None and beside.exists():
        rows = list(csv.DictReader(beside.read_text().splitlines()))
    with tempfile.TemporaryDirectory() as name:
        paths: list[Path] = []
        for number in range(a.rounds):
            for way, (isolation, flushing) in _WAYS.items():
                if any(r["round"] == str(number) and r["way"] == way for r in rows):
                    continue
                paths = paths or make_inputs(Path(name), a.items)
                out = Path(name) / f"{number} {way}"
                processor, wall = measure(paths, out, isolation, flushing)
                values = (number, way, a.items, f"{processor:.2f}", f"{wall:.2f}")
                rows.append(dict(zip(_COLUMNS, map(str, values), strict=True)))
                print(rows[-1], flush=True)
                if beside is not None:
                    with beside.open("w", newline="") as file:
                        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
                        writer.writeheader()
                        writer.writerows(rows)
    text = page(rows, f"python -m benchmarks.safety_cost --items {a.items} --rounds {a.rounds}")
    print(text)
    if a.write is not None:
        a.write.write_text(text)


if __name__ == "__main__":
    main()
