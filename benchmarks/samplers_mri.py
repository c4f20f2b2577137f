"""All posterior samplers on MRI slices with a trained prior, beside azula's and deepinv's own.

    python -m benchmarks.samplers_mri [--library ours|peers] [--table]

See ``mri_slices`` for the problems. About 40 forwards a draw for cheap methods, 100 for those whose
step takes many. Resumable: results/samplers_mri.csv keeps every row. Writes
results/samplers_mri.md.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.mri_slices import RESULTS, SAMPLES, SIGMA, Method, Scan, Setting, measure, read
from benchmarks.samplers import TUNABLE
from benchmarks.samplers_mri_settings import GRIDS, STEPS
from sciddm import zoo
from sciddm.methods import POSTERIOR_SAMPLERS, Run
from sciddm.physics import Measurement
from sciddm.random.streams import Streams
from sciddm.sampling import karras

MODEL = "mri-brain"
ROOT = Path(__file__).resolve().parents[1]


def ours(name: str) -> Method:
    """Our version of a method."""

    def run(scan: Scan, steps: int, setting: Setting) -> Tensor:
        prior = zoo.from_pretrained(MODEL).denoiser
        process = prior.process
        grid = karras(process, steps, float(process.sigma(process.t_max)), 0.02)
        streams = Streams(0, SAMPLES)
        like = torch.zeros(SAMPLES, *scan.truth.shape, dtype=torch.complex64)
        x = (grid[0] ** 2 + prior.data_std**2) ** 0.5 * streams.randn(like, 2**31)
        measurement = Measurement(scan.y, scan.A, SIGMA)
        measured = int((scan.y != 0).sum())
        draw = TUNABLE[name](setting) if setting else POSTERIOR_SAMPLERS[name].draw
        return draw(Run(prior, measurement, x, grid, SAMPLES, streams, measured)).x0

    return Method("sciddm", name, STEPS[name], run, GRIDS.get(name, [()]))


def price(size: int = 128, repeats: int = 5) -> float:
    """Processor time of a vector-Jacobian product over that of an evaluation, on the prior."""
    from time import process_time

    prior = zoo.from_pretrained(MODEL).denoiser
    x = torch.randn(1, 1, size, size, dtype=torch.complex64)

    def seconds(function: Callable[[], object]) -> float:
        function()
        start = process_time()
        for _ in range(repeats):
            function()
        return process_time() - start

    with torch.no_grad():
        forward = seconds(lambda: prior(x, 0.5))
    both = seconds(lambda: prior.mean_and_vjp(x, 0.5)[1](x))
    return both / forward - 1


def table() -> str:
    """results/samplers_mri.md."""
    rows = [r for r in read() if "tuning" not in r["slice"]]
    names = list(dict.fromkeys(r["slice"] for r in rows))
    lines = [
        "# Posterior samplers on MRI",
        "",
        "Written by `python -m benchmarks.samplers_mri`; do not edit. 128 x 128 slices (of the",
        "three, those measured so far are columns) of",
        "validation patients, one coil, Cartesian R = 4 with 16 central lines, noise .04 of bright",
        f"tissue, prior `{MODEL}`, {SAMPLES} draws. PSNR of the mean's magnitude (dB), share of",
        "tissue pixels whose truth the 90 % intervals of the draws hold (uncalibrated), processor",
        "seconds of one thread for all draws of a slice, forwards (evaluations and vector-Jacobian",
        "products) of one draw. Settings are tuned alike on a fourth slice at 64 x 64.",
        "",
        "| method | library | setting | steps | forwards | "
        + " | ".join(f"{n}: PSNR / 90 % holds" for n in names)
        + " | mean PSNR | mean holds | seconds |",
        "|---|---|---|---|---|" + "---|" * (len(names) + 3),
    ]
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for r in rows:
        groups.setdefault((r["method"], r["library"]), []).append(r)

    def mean(group: list[dict[str, str]], field: str) -> float:
        return sum(float(r[field]) for r in group) / len(group)

    ordered = sorted(groups.items(), key=lambda item: -mean(item[1], "psnr"))
    for (method, library), group in ordered:
        by_slice = {r["slice"]: r for r in group}
        cells = [
            f"{by_slice[n]['psnr']} / {100 * float(by_slice[n]['coverage']):.0f} %"
            if n in by_slice
            else ""
            for n in names
        ]
        first = group[0]
        lines.append(
            f"| `{method}` | {library} | {first['setting']} | {first['steps']} | "
            f"{first['forwards']} | " + " | ".join(cells) + f" | {mean(group, 'psnr'):.2f} | "
            f"{100 * mean(group, 'coverage'):.0f} % | {mean(group, 'seconds'):.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", choices=("ours", "peers", "both"), default="both")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--price", action="store_true", help="of a VJP, in evaluations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.price:
        print(f"one VJP is {price():.2f} evaluations")
        return
    if not arguments.table and arguments.library != "peers":
        measure([ours(name) for name in STEPS])
    if not arguments.table and arguments.library != "ours":
        subprocess.run(["bash", "benchmarks/peers_samplers.sh"], cwd=ROOT, check=True)
        python = ROOT / ".venv-peers-samplers" / "bin" / "python"
        folder = zoo.find(MODEL)
        subprocess.run(
            [python, "-m", "benchmarks.samplers_mri_peers", str(folder)], cwd=ROOT, check=True
        )
    RESULTS.with_suffix(".md").write_text(table())
    print(f"wrote {RESULTS.with_suffix('.md')}")


if __name__ == "__main__":
    main()
