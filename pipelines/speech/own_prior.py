"""A predictor of speech of one's own: contract and checks.

Mixtures of speakers that training has not heard are enhanced with the model, and with the one that
training began with, in one evaluation. From them comes the law of the model's error, too.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import xarray as xr

from sciddm.metrics.speech import si_sdr
from sciddm.physics.speech.error_law import Case, calibration
from sciddm.pipelines.own_prior.comparison import in_words
from sciddm.pipelines.own_prior.contract import Checks, Contract
from sciddm.pipelines.own_prior.split import Part
from sciddm.pipelines.speech.own_mixtures import KIND, OwnMixtures, read_recording
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.training_data import RATE
from sciddm.priors.predictor import Predictor
from sciddm.storage.durable import write_durably
from sciddm.zoo.catalog import find
from sciddm.zoo.folder import read_representation
from sciddm.zoo.names import CONFIG
from sciddm.zoo.pretrained import Model

__all__ = ["CONTRACT", "check"]

_MIXTURES = 12
_CASES = 4  # from which on there is a law of the error


def check(checks: Checks) -> dict[str, Any]:
    """SI-SDR of mixtures of other speakers, and the law of the error."""
    part: Part = "test" if checks.prepared.of("test") else "validate"
    if checks.start is not None:
        _keep_front(checks)
    pipelines = {"own": SpeechEnhancement.from_pretrained(checks.model)}
    if checks.start is not None:
        pipelines["start"] = SpeechEnhancement.from_pretrained(checks.start)
    mixtures = OwnMixtures(str(checks.prepared.folder), "validate", part=part)
    rows: dict[str, list[float]] = {label: [] for label in ("noisy", *pipelines)}
    cases: list[Case] = []
    begin = time.monotonic()
    for number in range(_MIXTURES):
        if number and time.monotonic() - begin > checks.seconds:
            break
        target, noisy = mixtures.waves(np.random.default_rng([number, 7]))
        rows["noisy"].append(si_sdr(noisy, target))
        recording = xr.DataArray(noisy[None], dims=("channel", "time"), attrs={"rate": RATE})
        for label, pipeline in pipelines.items():
            result = pipeline(recording, quality="fast", seed=number)
            answer = result["enhanced"].values[0]
            rows[label].append(si_sdr(answer, target))
            if label == "own":
                cases.append((noisy, answer, target))
    metrics = {label: round(float(np.mean(values)), 2) for label, values in rows.items()}
    checks.progress(f"SI-SDR: {in_words(metrics)} dB")
    count = len(rows["noisy"])
    parts: dict[str, Any] = {
        "metrics": {"what": f"SI-SDR dB of {count} mixtures of {part} speakers, fast", **metrics}
    }
    if count >= _CASES:
        parts["calibration"] = {"level": 0.9, "fast": calibration(cases, RATE)}
    return parts


def _keep_front(checks: Checks) -> None:
    """What the start's pipeline does before and after its model belongs to the new one, too."""
    assert checks.start is not None
    path = checks.model / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["representation"] = {
        **read_representation(find(checks.start)),
        **config["representation"],
    }
    write_durably(path, (json.dumps(config, indent=2) + "\n").encode())


def _accepts(model: Model) -> str:
    if not isinstance(model.model, Predictor):
        return "it is no predictor alone: train a recipe with start_from"
    return "" if model.representation.get("rate", RATE) == RATE else "it is of another rate"


CONTRACT = Contract(
    kind=KIND,
    recipe="speech-denoise-predictor",
    dataset="sciddm.pipelines.speech.own_mixtures.OwnMixtures",
    read=read_recording,
    check=check,
    crop=None,
    batches=(8, 4),
    accepts=_accepts,
)
