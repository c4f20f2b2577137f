"""How often are several talkers named, where there are some and where there are none?

    python -m benchmarks.speech_talkers [--model speech-talkers] [--repeats 3]
    python -m benchmarks.speech_talkers --validation MORE...

The utterances of dev/clean, `mfa_*` apart, alone, in dev/noise, white noise, recorded rooms and
music; with another utterance of another source 0, 5, 10 dB below; six at once. With `--validation`
the utterances, noises and rooms are those that the model is validated on, MORE being the folders of
its recipe: the limit (`sciddm.physics.speech.talkers.LIMIT`) is set there. The table is
benchmarks/results/speech_talkers.md. SCIDDM_DATA names the data.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.publish import publish
from benchmarks.speech_problems import RATE, data_root
from sciddm import zoo
from sciddm.data_adapters.audio import open_audio
from sciddm.physics.speech.talkers import LIMIT, TalkerCount
from sciddm.pipelines.speech.training_data import RESERVED_ROOMS, convolve
from sciddm.pipelines.speech.training_talkers import TalkerMixtures, speech_level
from sciddm.simulation.speech.music import music
from sciddm.simulation.speech.noises import at_ratio

Wave = NDArray[np.float32]

#: Cases in which several talk.
SEVERAL = ("0 dB", "5 dB", "10 dB", "0 dB, in noise at 10 dB", "0 dB, in a room", "six talkers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="speech-talkers", help="name or folder")
    parser.add_argument("--repeats", type=int, default=3, help="cases of each utterance")
    parser.add_argument("--validation", nargs="+", metavar="MORE", help="folders of the recipe")
    args = parser.parse_args()
    count = TalkerCount(zoo.from_pretrained(args.model).model.logits)
    torch.set_num_threads(1)
    material = _validation(args.validation) if args.validation else _development()
    shares: dict[str, list[float]] = {}
    for name, wave in cases(*material, args.repeats):
        share = count.share([torch.from_numpy(wave[None])])
        shares.setdefault(name, []).append(0.0 if share is None else share)
    rows: list[dict[str, Any]] = [
        {
            "case": name,
            "several": name in SEVERAL,
            "recordings": len(values),
            "named": float(np.mean(np.array(values) > LIMIT)),
            "share of frames, median": float(np.median(values)),
            "share of frames, 95 %": float(np.quantile(values, 0.95)),
        }
        for name, values in shares.items()
    ]
    if args.validation:
        for row in rows:
            print(row)
    else:
        publish("speech_talkers", report(rows), rows)


def cases(
    talkers: Sequence[Sequence[Wave]],
    noises: Sequence[Wave],
    rooms: Sequence[NDArray[np.float64]],
    repeats: int,
) -> Iterator[tuple[str, Wave]]:
    """(name, recording) of every case, from the utterances of each talker."""
    for k, own in enumerate(talkers):
        for i, wave in enumerate(own):
            for repeat in range(repeats):
                rng = np.random.default_rng([7, k, i, repeat])
                n = len(wave)
                noise = np.resize(np.roll(pick(noises, rng), -int(rng.integers(n))), n)
                room = pick(rooms, rng)
                other = _other(talkers, k, n, rng)
                if repeat == 0:
                    yield "alone", wave
                    yield "music alone", music(n, RATE, rng).astype(np.float32)
                yield "recorded noise, 10 dB", wave + at_ratio(noise, wave, 10)
                yield "recorded noise, 0 dB", wave + at_ratio(noise, wave, 0)
                white = rng.standard_normal(n).astype(np.float32)
                yield "white noise, 5 dB", wave + at_ratio(white, wave, 5)
                yield "room", convolve(wave, room, 0)[:n]
                tune = music(n, RATE, rng).astype(np.float32)
                yield "music, 10 dB", wave + at_ratio(tune, wave, 10)
                half = n // 2
                yield "one after the other", np.concatenate([wave[:half], other[:half]])
                for db in (0, 5, 10):
                    yield f"{db} dB", wave + _below(other, wave, db)
                both = wave + _below(other, wave, 0)
                yield SEVERAL[3], both + at_ratio(noise, both, 10)
                yield SEVERAL[4], convolve(both, room, 0)[:n]
                crowd = sum((_below(_other(talkers, k, n, rng), wave, 0) for _ in range(5)), wave)
                yield SEVERAL[5], crowd


def pick(items: Sequence[Any], rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))]


def _other(
    talkers: Sequence[Sequence[Wave]], k: int, length: int, rng: np.random.Generator
) -> Wave:
    others = [own for j, own in enumerate(talkers) if j != k]
    return np.resize(pick(pick(others, rng), rng), length)


def _below(wave: Wave, beside: Wave, db: float) -> Wave:
    level = speech_level(beside) * 10 ** (-db / 20)
    return np.asarray(wave * (level / max(speech_level(wave), 1e-9)), np.float32)


def _development() -> tuple[list[list[Wave]], list[Wave], list[NDArray[np.float64]]]:
    root = data_root()
    sources: dict[str, list[Wave]] = {}
    for path in sorted((root / "dev" / "clean").glob("*.flac")):
        name = path.stem
        # A talker's utterances have one prefix; of Common Voice each has its own talker.
        talker = name if name.startswith("commonvoice") else name.split("-")[0].rsplit("_", 1)[0]
        if not name.startswith("mfa_"):
            sources.setdefault(talker, []).append(_read(path))
    noises = [_read(p) for p in sorted((root / "dev" / "noise").iterdir()) if p.suffix != ".md"]
    with np.load(root / "rirs_16k_f32.npz") as file:
        rooms = [file[name].astype(np.float64) for name in RESERVED_ROOMS]
    return list(sources.values()), noises, rooms


def _validation(more: Sequence[str]) -> tuple[list[list[Wave]], list[Wave], list[Any]]:
    talkers = []
    for name in TalkerMixtures.validation_shards:
        own = type("Own", (TalkerMixtures,), {"validation_shards": (name,)})
        try:
            data = own(split="validate", more=more)
        except ValueError:  # every utterance is too noisy
            continue
        waves = [u for u in data.utterances if len(u) >= 2 * RATE]
        chosen = np.random.default_rng(1).permutation(len(waves))[:24]
        talkers.append([(waves[i][: 8 * RATE] / 32768).astype(np.float32) for i in chosen])
    data = TalkerMixtures(split="validate", more=more)
    noises = [(noise / 32768).astype(np.float32) for noise in data.noises]
    return talkers, noises, data.rooms


def _read(path: Path) -> Wave:
    sound = open_audio(path)
    return np.asarray(sound.values[0], np.float32)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "# Several talkers",
        "",
        "Share of recordings of the development test set that are named as several talkers "
        f"(more than {100 * LIMIT:g} % of the loud frames). `python -m benchmarks.speech_talkers`.",
        "",
        "| recording | several talk | recordings | named | share of frames: median | 95 % |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['case']} | {'yes' if row['several'] else 'no'} | {row['recordings']} "
            f"| {100 * row['named']:.0f} % | {100 * row['share of frames, median']:.1f} % "
            f"| {100 * row['share of frames, 95 %']:.1f} % |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
