"""Fits the temperature of a PET/CT model on patients it was not trained on, and stores it.

    python -m benchmarks.petct_tuning --tuned runs/petct-sarcoma-tune/model \
        --into runs/petct-sarcoma/model

``--tuned`` is a model of the same recipe trained without patients 031-036
(``data.arguments.train_patients=[1,30]``); its temperature is written to the model ``--into``,
which saw them. No validation patient is looked at.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from sciddm import zoo
from sciddm.metrics.masks import calibration_error, dice
from sciddm.pipelines.petct.calibrate import fit_temperature
from sciddm.pipelines.petct.pipeline import TumourSegmentation, tempered
from sciddm.pipelines.petct.representation import Representation
from sciddm.pipelines.petct.sarcoma import sarcoma_volumes

PATIENTS = (31, 36)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuned", required=True, help="model trained on 001-030")
    parser.add_argument("--into", type=Path, help="model folder that gets the temperature")
    parser.add_argument("--quality", default="balanced")
    args = parser.parse_args()

    pipeline = TumourSegmentation.from_pretrained(args.tuned)
    pipeline.representation = replace(pipeline.representation, temperature=1.0)
    probability, truth = [], []
    for name, pet, ct, mask in sarcoma_volumes(None, PATIENTS):
        result = pipeline(pet, ct, quality=args.quality)
        probability.append(result["probability"].values)
        truth.append(mask)
        print(
            f"{name}: Dice {dice(result['mask'].values, mask):.3f}, "
            f"samples agree {result.attrs['sample_dice']:.3f}",
            flush=True,
        )
    temperature = fit_temperature(probability, truth)
    before, after = (
        sum(calibration_error(tempered(p, t), m) for p, m in zip(probability, truth, strict=True))
        / len(truth)
        for t in (1.0, temperature)
    )
    print(f"temperature {temperature:.3f}: calibration error {before:.4f} to {after:.4f}")
    if args.into is not None:
        store(args.into, temperature)


def store(folder: Path, temperature: float) -> None:
    """Writes the temperature into a model folder; weights and card stay as they are."""
    model = zoo.from_pretrained(folder)
    seen = replace(
        Representation.from_config(model.representation, model.name),
        temperature=round(temperature, 3),
    )
    card = json.loads((folder / "card.json").read_text())
    zoo.save_model(model.model, folder, card=card, representation=seen.config)


if __name__ == "__main__":
    main()
