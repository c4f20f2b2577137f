"""A regeneration whose answer lies between its predictor's and its own.

    python recipes/shrink_regeneration.py runs/speech-denoise/model 0.5 OUT

With the parametrization "mask" the denoiser gives (1 + m) D(y) + n y + r, where m, n and r are
linear in the network's last layer. That layer times a share k makes it D(y) + k (what it was less
D(y)). Two estimates that err differently have a mean that errs less than either: k is chosen on
validation mixtures (`python -m benchmarks.speech_tuning --model OUT`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from sciddm import zoo
from sciddm.priors.regeneration import StochasticRegeneration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of the trained model")
    parser.add_argument("share", type=float, help="k: 0 the predictor's answer, 1 its own")
    parser.add_argument("out", type=Path, help="folder of the new one")
    args = parser.parse_args()
    found = zoo.from_pretrained(args.model)
    model = found.model
    if not isinstance(model, StochasticRegeneration) or model.denoiser.parametrization != "mask":
        parser.error(f"{args.model} is no regeneration whose denoiser gives masks")
    last: Any = model.denoiser.network.last
    with torch.no_grad():
        last.weight *= args.share
        last.bias *= args.share
    card = found.card.model_dump(exclude_defaults=True, exclude={"weights_sha256", "calibration"})
    card["training"] = {**found.card.training, "share of its own answer": args.share}
    zoo.save_model(model, args.out, card=card, representation=found.representation)


if __name__ == "__main__":
    main()
