"""Fine-tuning `mri-brain` on 40 slices of limbs: one command, one table.

    python -m benchmarks.own_prior [--run FOLDER] [--max-time 30min] [--qualities fast balanced]

Writes two slices of each of 20 training patients as NIfTI, and as the folder to keep 240 slices of
heads of the patients that `mri-brain` was trained on; trains as `sciddm train --domain mri --from
mri-brain --keep HEADS` does, on one thread; then reconstructs limbs of the validation patients
037-042 and the heads of the MRI benchmark at R = 4 with both models. Neither the training nor a
choice has seen these. Everything is resumed: a second call makes what is missing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import resource
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.metrics import psnr
from benchmarks.mri import CACHE
from benchmarks.ours import LEVEL, dataset_of
from benchmarks.problems import TEST, Problem, data_root, simulated
from benchmarks.publish import publish
from benchmarks.shift import limbs
from benchmarks.validation_scans import Case
from sciddm.data_adapters.volume_files import write_volume
from sciddm.pipelines.engine.threads import use_threads
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.mri.training_data import TRAIN_PATIENTS
from sciddm.pipelines.own_prior.run import OwnPrior, train_own_prior
from sciddm.posterior import half_width

START, R = "mri-brain", 4
PATIENTS, LAST = 20, 36
FOLDER = CACHE.parent / "own_prior"
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=FOLDER / "run", help="folder of the training")
    parser.add_argument("--max-time", default="30min")
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced"])
    parser.add_argument("--limbs", type=int, default=1, help="slices of each of the six patients")
    parser.add_argument("--heads", type=int, default=4, help="slices of the MRI benchmark")
    parser.add_argument("--note", default="", help="a sentence for the foot of the table")
    args = parser.parse_args()
    use_threads(1)
    own = FOLDER / "limbs"
    keep = FOLDER / "heads"
    write_limbs(own)
    write_heads(keep)
    model = train_own_prior(
        OwnPrior(
            "mri",
            own,
            start=START,
            keep=keep,
            licence="CC BY 3.0 (TCIA Soft-tissue-Sarcoma); heads CC BY (openms)",
            name="mri-limb",
            max_time=args.max_time,
            qualities=tuple(args.qualities),
        ),
        args.run,
        say=print,
    )
    print(f"processor time so far: {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} s")
    problems = [("limb", p) for p in limb_problems(args.limbs)]
    problems += [
        ("head", simulated(c, "test", R, seed=n)) for n, c in enumerate(TEST[: args.heads])
    ]
    rows = []
    for quality in args.qualities:
        for source in (START, str(model)):
            pipeline = MRIReconstruction.from_pretrained(source)
            for kind, problem in problems:
                rows.append(measured(pipeline, problem, kind, quality, source == START))
                print(rows[-1], flush=True)
    publish("own_prior", report(rows, model, args), rows)


def write_limbs(folder: Path) -> None:
    """Two slices of each of 20 training patients, a NIfTI file a patient."""
    numbers = sorted({round(x) for x in np.linspace(1, LAST, PATIENTS)})
    with h5py.File(data_root() / "mri" / "sts_t1_limb_1p5mm.h5") as file:
        for number in numbers:
            name = f"STS_{number:03}"
            n = len(file[name])
            _write(folder / name / "t1.nii.gz", file[name][[n // 3, 2 * n // 3]])


def write_heads(folder: Path) -> None:
    """Eight slices of each head that `mri-brain` was trained on."""
    with h5py.File(data_root() / "mri" / "openms_brain_axial_224x192_u8.h5") as file:
        who, contrast, study = (file[k][:].astype(str) for k in ("patient", "contrast", "study"))
        scans = sorted({*zip(who, contrast, study, strict=True)})
        for patient, c, s in scans:
            if patient[-2:] not in TRAIN_PATIENTS:
                continue
            places = np.flatnonzero((who == patient) & (contrast == c) & (study == s))
            some = places[(np.linspace(0.15, 0.9, 8) * len(places)).astype(int)]
            _write(folder / patient / f"{c}_{s}.nii.gz", file["images"][np.sort(some)])
    with h5py.File(data_root() / "mri" / "openms_mni_skullstripped_u8.h5") as file:
        for patient in ("patient07", "patient26"):
            for c in file[patient]:
                _write(folder / patient / f"{c}.nii.gz", file[f"{patient}/{c}"][3:27:3])


def _write(path: Path, slices: np.ndarray) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([1.0, 1.0, 3.0, 1.0]).tolist()
    write_volume(slices.astype(np.float32), path, {"affine": affine, "orientation_known": True})


def limb_problems(count: int) -> list[Problem]:
    """Scans of the validation patients 037-042, the middle slices first."""
    order = (1, 0, 2)[:count]
    cases: list[Case] = [slices[k] for k in order for slices in limbs().values()]
    return [simulated(case, "validation", R, seed=10 * n + R) for n, case in enumerate(cases)]


def measured(
    pipeline: MRIReconstruction, p: Problem, kind: str, quality: Any, is_start: bool
) -> Row:
    """A row, kept from an earlier call where there is one."""
    weights = str(pipeline.provenance["weights_sha256"])
    settings = pipeline.settings(quality, acceleration=R)
    path = FOLDER / "rows" / f"{p.info['name']}-{p.digest()}-{quality}-{weights[:12]}.json"
    if path.exists():
        row: Row = json.loads(path.read_text())
        if row.pop("settings") == str(settings):
            return row
    out = pipeline(dataset_of(p), quality=quality, seed=0)
    image, a = out["reconstruction"].values[0], out.attrs
    half = half_width(a["samples"], LEVEL) * out["std"].values[0]
    inside = np.abs(image - p.reference) <= half
    row = {
        "case": p.info["name"],
        "kind": kind,
        "model": START if is_start else "fine-tuned",
        "quality": quality,
        "psnr": round(psnr(image, p.reference), 3),
        "zero_filled": round(psnr(p.zero_filled, p.reference), 3),
        "coverage90": round(float(inside[p.head].mean()), 4),
        "fits": a["verdict_fits"],
        "calibrated": a["verdict_calibrated"],
        "familiar": a["verdict_familiar"],
        "shift": a.get("shift", ""),
        "shift_limit": a.get("shift_limit", ""),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**row, "settings": str(settings)}))
    return row


def report(rows: list[Row], model: Path, args: argparse.Namespace) -> str:
    """The table in Markdown."""
    card = json.loads((model / "card.json").read_text())
    training = card["training"]
    lines = [
        "# A prior of one's own: limbs from 40 slices",
        "",
        f"`mri-brain` fine-tuned on 40 slices of limbs of 20 patients ({card['split']}), with "
        f"heads kept: {training['steps']} steps of {training['batch_size']}, {training['hours']} h "
        f"of wall clock on {training['hardware']}, shared. Reconstruction of simulated scans, 8 "
        f"coils, 30 dB, R = {R}, 16 calibration lines; PSNR (dB), data range the maximum. "
        'Limbs: patients 037-042, in neither training. Familiar: scans with the verdict "yes".',
        "",
        "| data, quality | zero-filled | mri-brain | fine-tuned | gain dB | coverage mri-brain | "
        "coverage fine-tuned | familiar mri-brain | familiar fine-tuned |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for quality in args.qualities:
            both = [
                [r for r in rows if (r["kind"], r["quality"], r["model"]) == (kind, quality, m)]
                for m in (START, "fine-tuned")
            ]
            before, after = (float(np.mean([r["psnr"] for r in part])) for part in both)
            zero = float(np.mean([r["zero_filled"] for r in both[0]]))
            cover = [float(np.mean([r["coverage90"] for r in part])) for part in both]
            yes = [f"{sum(r['familiar'] == 'yes' for r in part)} of {len(part)}" for part in both]
            lines.append(
                f"| {kind}, {quality} | {zero:.2f} | {before:.2f} | {after:.2f} | "
                f"{after - before:+.2f} | {cover[0]:.3f} | {cover[1]:.3f} | {yes[0]} | {yes[1]} |"
            )
    lines += [
        "",
        f"Made by `python -m benchmarks.own_prior --max-time {args.max_time}` on "
        f"{datetime.date.today().isoformat()}, {platform.machine()}. Every case: "
        "[own_prior.csv](own_prior.csv).",
        *([args.note] if args.note else []),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
