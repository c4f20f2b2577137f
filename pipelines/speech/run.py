"""One file in, its outputs out: what `sciddm speech` does with each recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.audio import AudioFile, AudioSink, encoding_for
from sciddm.data_adapters.staging import staged
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.report.page import write
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.speech.describe import facts
from sciddm.pipelines.speech.enhance import Block
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.report import Excerpt, speech_report
from sciddm.progress import Progress

__all__ = ["enhance_file", "load_pipeline", "outputs"]

#: A clipped peak would have been cut by less than this, in dB: not worth a remark.
_UNHEARD_DB = 0.01


@lru_cache(maxsize=1)
def load_pipeline(model: str) -> SpeechEnhancement:
    """The pipeline of a model; read once for all files of a batch."""
    return SpeechEnhancement.from_pretrained(model)


def outputs(path: Path, *, spread: bool, report: bool) -> list[Path]:
    """All that is written for a main output.

    Args:
        path: the enhanced recording.
        spread: with the standard deviation of the samples.
        report: with the HTML page.
    """
    page = [path.with_suffix(".html")] if report else []
    std = [path.with_name(f"{path.stem}_std.wav")] if spread else []
    return [path, *std, path.with_suffix(".json"), *page]


def enhance_file(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Enhances a recording block by block and writes the outputs, all of them or none.

    Args:
        job: the recording and the main output, which gets the recording's rate, channels, subtype
            and number of samples.
        options: model, quality, samples, seed, attenuation_limit.
        command: what makes the same again; kept with the result.
        report: write the HTML page.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    progress(0, 1, "reading")
    recording = AudioFile(job.source)
    shape = recording.rate, recording.channels
    encoding = encoding_for(
        job.target,
        *shape,
        container=recording.container,
        subtype=recording.subtype,
        frames=recording.frames,
    )
    progress(0, 1, "loading the model")
    run = load_pipeline(options["model"]).open(
        recording,
        quality=options["quality"],
        samples=options["samples"],
        seed=options["seed"],
        attenuation_limit=options["attenuation_limit"],
        progress=progress,
    )
    spread = run.settings.samples > 1
    # `outputs` was asked before the quality's own number of samples was known: the standard
    # deviation is written for samples that were asked for.
    asked = options["samples"] is not None and options["samples"] > 1
    targets = outputs(job.target, spread=asked and spread, report=False)
    excerpt = Excerpt(recording.rate, recording.frames) if report else None
    with staged(targets[::-1], overwrite) as at:
        metadata = recording.metadata
        sinks = {"enhanced": AudioSink(at[job.target], encoding, metadata)}
        if asked and spread:
            kept = encoding_for(targets[1], *shape, subtype="FLOAT", frames=recording.frames)
            sinks["std"] = AudioSink(at[targets[1]], kept)
        _write(run, sinks, excerpt)
        attrs = run.attrs | {"command": command, "request": jsonable(options)}
        attrs |= {"container": encoding.container, "subtype": encoding.subtype}
        gain = sinks["enhanced"].gain_db
        if gain < -_UNHEARD_DB:
            told = f"Scaled by {gain:.2f} dB, since its peak would have been clipped."
            attrs["warnings"] = [*warnings_of(attrs), told]
        attrs["gain_db"] = gain
        if lost := metadata.lost_in(encoding.container):
            attrs["warnings"] = [*warnings_of(attrs), *lost]
        at[targets[-1]].write_text(sidecar(attrs, "result", sciddm.__version__), encoding="utf-8")
    if excerpt is not None:
        page = speech_report(
            excerpt, attrs, channels=recording.channels, source=job.source.name, command=command
        )
        write(page, outputs(job.target, spread=False, report=True)[-1], overwrite=overwrite)
    return Outcome(
        job,
        "done",
        facts=facts(attrs, recording.channels),
        outputs=[p for p in outputs(job.target, spread=asked, report=report) if p.exists()],
        warnings=warnings_of(attrs),
    )


def _write(
    blocks: Iterable[Block], sinks: Mapping[str, AudioSink], excerpt: Excerpt | None
) -> None:
    """Gives every sink its part of the blocks, and the excerpt the whole of them."""
    with ExitStack() as stack:
        for sink in sinks.values():
            stack.enter_context(sink)
        for block in blocks:
            for name, sink in sinks.items():
                sink.write(getattr(block, name))
            if excerpt is not None:
                excerpt.push(block)
