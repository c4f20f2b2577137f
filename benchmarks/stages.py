"""Where the processor seconds of commands go, without acceleration and with it, in turn.

    python -m benchmarks.stages [--rounds 3] [--only PATTERN ...]

Each run is one command line on generated input, in a process of its own with one thread
(`staged_command`). A command whose network has a plan runs with ``--accelerate none`` and with
``--accelerate plan`` in turn. Runs lie in benchmarks/results/stages.csv and are not repeated;
benchmarks/results/stages.md is the table of their medians.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from statistics import median

import torch

from benchmarks.staged_command import STAGES

__all__ = ["CASES", "Case", "main", "stages_of"]

RESULTS = Path(__file__).parent / "results"
FIELDS = ("case", "mode", "round", *STAGES, "total", "gib")

_LABELS = {"before": "before", "none": "without", "plan": "with"}

#: What makes the input of a case in a folder; its command line, IN and OUT standing for files.
Case = tuple[Callable[[Path], None], str]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN")
    args = parser.parse_args()
    path = RESULTS / "stages.csv"
    for number in range(args.rounds):
        for case, (_, words) in CASES.items():
            if not any(fnmatch(case, p) for p in args.only):
                continue
            modes = ("none", "plan") if "mri reconstruct" in words else ("plan",)
            for mode in modes:
                if any(
                    (r["case"], r["mode"], r["round"]) == (case, mode, str(number))
                    for r in _rows(path)
                ):
                    continue
                options = ("--accelerate", mode) if len(modes) > 1 else ()
                seconds = stages_of(case, *options)
                _append(path, {"case": case, "mode": mode, "round": number, **seconds})
                print(f"{case}, {mode}: {seconds['total']:.1f} s", flush=True)
    text = _table(_rows(path))
    (RESULTS / "stages.md").write_text(text)
    print(text)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _append(path: Path, row: Mapping[str, object]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, restval=0.0, extrasaction="ignore")
        if new:
            writer.writeheader()
        values = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
        writer.writerow(values)


def _table(rows: list[dict[str, str]]) -> str:
    lines = [
        "# Where the seconds go",
        "",
        "Processor seconds of whole commands with one thread, child processes included: medians. "
        "Without and with: `--accelerate none` and `plan`, run in turn; before: the commit before "
        "there was acceleration, which has no plans and other imports.",
        "",
        f"| command | acceleration | runs | {' | '.join(STAGES)} | total | GiB |",
        "|" + "---|" * (len(STAGES) + 5),
    ]
    for case in CASES:
        for mode, label in _LABELS.items():
            own = [r for r in rows if r["case"] == case and r["mode"] == mode]
            if not own:
                continue
            values = [median(float(r[name] or 0) for r in own) for name in FIELDS[3:]]
            numbers = " | ".join(f"{v:.2f}" for v in values)
            lines.append(f"| {case} | {label} | {len(own)} | {numbers} |")
    lines += [
        "",
        f"Made by `python -m benchmarks.stages` on {datetime.date.today().isoformat()}, "
        f"{platform.machine()}, torch {torch.__version__}.",
        "",
    ]
    return "\n".join(lines)


def stages_of(case: str, *options: str) -> dict[str, float]:
    """Processor seconds by stage, their ``total``, and ``gib``, the largest resident set.

    Args:
        case: of ``CASES``.
        options: more words of the command line.
    """
    make, words = CASES[case]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        arguments = [
            w.replace("IN/", f"{folder}/").replace("OUT/", f"{folder}/") for w in words.split()
        ]
        command = [sys.executable, "-m", "benchmarks.staged_command", *arguments, *options]
        one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | one
        )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _mri(side: tuple[int, int], coils: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from benchmarks.speed import scan
        from sciddm.data_adapters.mri.save import write_kspace

        write_kspace(scan(side, coils), folder / "in.h5")

    return make


def _ct_series(slices: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from sciddm.data_adapters.ct import save_ct
        from sciddm.simulation.ct.phantom import body_phantom

        save_ct(body_phantom((512, 512), slices), folder / "full.nii.gz", description="full dose")
        _sciddm("ct simulate-dose", folder / "full.nii.gz", folder / "in.nii.gz", "--dose 0.25")

    return make


def _ct_sinogram(folder: Path) -> None:
    from sciddm.data_adapters.ct import save_ct
    from sciddm.simulation.ct.phantom import body_phantom

    save_ct(body_phantom((512, 512), 1), folder / "full.nii.gz", description="full dose")
    options = "--dose 0.25 --views 180 --projections"
    _sciddm("ct simulate-dose", folder / "full.nii.gz", folder / "in.h5", options)


def _hsi(lines: int, samples: int, bands: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        options = f"--lines {lines} --samples {samples} --bands {bands} --noise mixture"
        _sciddm("hsi simulate", None, folder / "in.hdr", options)

    return make


def _ultrasound(picture: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        options = "--depth 256 --lines 256"
        _sciddm("ultrasound simulate", None, folder / "in.h5", options)
        if picture:
            _picture(folder)

    return make


def _picture(folder: Path) -> None:
    from benchmarks.fingerprint_inputs import INPUTS

    INPUTS["ultrasound"](folder)


def _petct(folder: Path) -> None:
    from sciddm.data_adapters.petct.images import save_volume
    from sciddm.simulation.petct.phantom import thigh_phantom

    phantom = thigh_phantom(0, shape=(64, 160, 160))
    save_volume(phantom.pet, folder / "pet.nii.gz")
    save_volume(phantom.ct, folder / "ct.nii.gz")


def _sciddm(verb: str, source: Path | None, out: Path, options: str) -> None:
    words = verb.split() + ([] if source is None else [str(source)]) + ["-o", str(out)]
    command = [sys.executable, "-m", "sciddm.pipelines.cli", *words, *options.split()]
    subprocess.run(command, check=True, capture_output=True)


def _tiny(domain: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from benchmarks.fingerprint_inputs import INPUTS

        INPUTS[domain](folder)

    return make


_MRI = "mri reconstruct IN/in.h5 -o OUT/out.h5"
_CT = "ct denoise IN/in.nii.gz -o OUT/out.nii.gz"
_US = "ultrasound dehaze IN/in.h5 -o OUT/out.h5"
CASES: Mapping[str, Case] = {
    "MRI 256 x 256, 8 coils, fast": (_mri((256, 256), 8), f"{_MRI} --quality fast"),
    "MRI 256 x 256, 8 coils, balanced": (_mri((256, 256), 8), _MRI),
    "MRI 256 x 256, 8 coils, conditional": (
        _mri((256, 256), 8),
        f"{_MRI} --model mri-brain-conditional",
    ),
    "MRI 384 x 320, 16 coils, fast": (_mri((384, 320), 16), f"{_MRI} --quality fast"),
    "CT 512 x 512, denoise, 1 slice": (_ct_series(1), _CT),
    "CT 512 x 512, denoise, 5 slices": (_ct_series(5), _CT),
    "CT 512 x 512, 180 views": (_ct_sinogram, "ct reconstruct IN/in.h5 -o OUT/out.nii.gz"),
    "HSI 145 x 145 x 200, balanced": (_hsi(145, 145, 200), "hsi denoise IN/in.hdr -o OUT/out.nc"),
    "ultrasound 256 x 256, RF, balanced": (_ultrasound(False), _US),
    "ultrasound 256 x 256, RF, fast": (_ultrasound(False), f"{_US} --quality fast"),
    "PET/CT 64 x 160 x 160, balanced": (
        _petct,
        "petct segment --pet IN/pet.nii.gz --ct IN/ct.nii.gz -o OUT/mask.nii.gz",
    ),
    "tiny MRI": (_tiny("mri"), f"{_MRI.replace('in.h5', 'coils.h5')} --quality fast"),
    "tiny CT": (_tiny("ct"), "ct denoise IN/low.nii.gz -o OUT/out.nii.gz --quality fast"),
    "tiny speech": (_tiny("speech"), "speech enhance IN/noisy.wav -o OUT/out.wav --quality fast"),
    "tiny undersample": (_tiny("mri"), "mri undersample IN/full.h5 -o OUT/less.h5 -R 4 --acs 8"),
    "tiny HSI": (_tiny("hsi"), "hsi denoise IN/scene.hdr -o OUT/out.nc --quality fast"),
    "tiny ultrasound": (
        _tiny("ultrasound"),
        "ultrasound dehaze IN/hazy.h5 -o OUT/out.h5 --quality fast",
    ),
}

if __name__ == "__main__":
    main()
