"""Seconds, memory and overhead of one slice, 256 x 256, 8 coils.

    python -m benchmarks.speed [--model mri-brain] [--threads 2]

- seconds and peak memory of a reconstruction at fast and balanced, each in a fresh process (the
  first call, after the imports; memory is the process's largest resident set, torch included);
- the sampling loop against its bare network evaluations: the same denoiser on the same batch, the
  same number of times, in turn, and the median of the rounds' ratios; and the guided loop against
  the evaluations and VJPs that it makes, which shows what the measurement's operators cost.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
import xarray as xr

SIZE, COILS = 256, 8
# A machine's speed wanders by more than what is looked for: many short rounds.
ROUNDS, GUIDED_ROUNDS = 31, 3
QUALITIES = ("fast", "balanced")


def scan(size: tuple[int, int] = (SIZE, SIZE), coils: int = COILS) -> xr.Dataset:
    """R = 4, 30 dB, of a disc with random smooth texture: what is in it costs no time."""
    from sciddm.physics.mri.masks import make_mask
    from sciddm.simulation.mri.scan import simulate_scan, smooth_phase, undersample

    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    texture = 0.7 + 0.1 * np.sin(smooth_phase(size, seed=0, strength=4.0, order=12))
    image = texture * (np.hypot(y / 0.85, x / 0.7) < 1)
    full = simulate_scan(image, coils, snr_db=30, seed=0)
    return undersample(full, make_mask("random", image.shape, 4, 16, seed=0))


def one(model: str, quality: str) -> dict[str, float]:
    """One reconstruction, in this process."""
    from sciddm.allocator import keep_freed_memory
    from sciddm.pipelines.mri.pipeline import MRIReconstruction

    keep_freed_memory()  # as the command line does
    data = scan()
    pipeline = MRIReconstruction.from_pretrained(model)
    start = perf_counter()
    out = pipeline(data, quality=quality)  # type: ignore[arg-type]
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30
    nfe = int(out.attrs["nfe"] * out.attrs["samples"])
    return {"seconds": seconds, "gib": peak, "nfe": nfe}


def overhead(model: str) -> dict[str, float]:
    """Seconds of bare evaluations and of the loop, without guidance and with it (balanced)."""
    from sciddm import zoo
    from sciddm.physics import as_lines
    from sciddm.physics.mri.encoding import encode
    from sciddm.physics.mri.noise import estimate_covariance
    from sciddm.pipelines.mri.pipeline import QUALITIES as SETTINGS
    from sciddm.random.streams import Streams
    from sciddm.sampling import Ancestral, karras, sample

    data = scan()
    k = torch.from_numpy(data["kspace"].values[0])
    mask = torch.from_numpy(data["mask"].values[0])
    s = SETTINGS["balanced"]
    covariance = torch.as_tensor(estimate_covariance(k.numpy(), mask.numpy())).to(k.dtype)
    encoded = encode(k, mask, covariance, iterations=s.iterations)
    denoiser = zoo.from_pretrained(model).denoiser
    grid = karras(denoiser.process, s.steps, s.sigma_max, s.sigma_min, rho=4)
    streams = Streams(0, [0, 1])  # the pipeline draws pair by pair
    x = s.sigma_max * streams.randn(torch.zeros(2, 1, SIZE, SIZE, dtype=torch.complex64), step=0)
    guided = s.guide(denoiser, as_lines(encoded.measurement))

    @torch.no_grad()
    def bare() -> None:
        for t in grid:
            denoiser(x, t)

    def bare_vjps() -> None:
        for t in grid:
            _, vjp = denoiser.mean_and_vjp(x, t)
            for _ in range(s.krylov):
                vjp(x)

    tasks: dict[str, Callable[[], object]] = {
        "bare": bare,
        "loop": lambda: sample(denoiser, x, grid, Ancestral(), generator=streams),
        "bare guided": bare_vjps,
        "guided": lambda: sample(guided, x, grid, Ancestral(), generator=streams),
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():  # what every first call costs
        task()
    for round_ in range(ROUNDS):
        for name, task in tasks.items():
            if round_ >= GUIDED_ROUNDS and name.endswith("guided"):
                continue
            start = perf_counter()
            task()
            seconds[name].append(perf_counter() - start)
    found = {name: median(values) for name, values in seconds.items()}
    for kind in ("", " guided"):
        bare_, loop = seconds["bare" + kind], seconds[kind.strip() or "loop"]
        ratios = [b / a for a, b in zip(bare_, loop, strict=True)]
        found["ratio" + kind] = median(ratios)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mri-brain")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", choices=(*QUALITIES, "overhead"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.part == "overhead":
        print(json.dumps(overhead(args.model)))
        return
    if args.part:
        print(json.dumps(one(args.model, args.part)))
        return

    found = {}
    for part in (*QUALITIES, "overhead"):
        command = [sys.executable, "-m", "benchmarks.speed", "--part", part]
        command += ["--model", args.model, "--threads", str(args.threads)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[part] = json.loads(done.stdout.splitlines()[-1])
    text = report(found, args.threads)
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "speed.md").write_text(text)
    print(text)


def report(found: dict[str, dict[str, float]], threads: int) -> str:
    """The numbers in Markdown."""
    lines = [
        "# Speed",
        "",
        f"One slice, {SIZE} x {SIZE}, {COILS} coils, {threads} threads; a fresh process each.",
        "",
        "| quality | seconds | peak memory, GiB | network evaluations |",
        "|---|---|---|---|",
    ]
    for quality in QUALITIES:
        f = found[quality]
        lines.append(f"| {quality} | {f['seconds']:.1f} | {f['gib']:.2f} | {f['nfe']:.0f} |")
    t = found["overhead"]
    lines += [
        "",
        f"Sampling at balanced: bare network evaluations {t['bare']:.2f} s, the loop "
        f"{t['loop']:.2f} s ({100 * (t['ratio'] - 1):+.1f} %). With data consistency: "
        f"its evaluations and VJPs {t['bare guided']:.2f} s, the loop {t['guided']:.2f} s "
        f"({100 * (t['ratio guided'] - 1):+.1f} %).",
        "",
        f"Made by `python -m benchmarks.speed` on {datetime.date.today().isoformat()}, "
        f"{platform.machine()}, torch {torch.__version__}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
