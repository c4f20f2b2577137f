"""The verbs of speech: ``sciddm speech`` on the command line, ``sciddm.speech`` in Python."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from sciddm.data_adapters.audio import FOREIGN, SUFFIXES
from sciddm.errors import InputError
from sciddm.pipelines.engine.action import Action
from sciddm.pipelines.engine.calls import on_path, on_result
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import Model, Option, Quality, Seed, option
from sciddm.pipelines.engine.request import (
    JudgedRequest,
    NetworkRequest,
    Request,
    SamplerRequest,
)
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.data_adapters.audio import AudioFile

__all__ = ["dereverb", "enhance", "evaluate", "stream"]

_P, _FILES = "sciddm.pipelines.speech", "sciddm.data_adapters.audio"

Samples = Annotated[
    int | None,
    Option(
        "Number of posterior samples; their mean is the result. The quality decides if not given.",
        ge=1,
    ),
]
Limit = Annotated[float | None, Option("Remove at most this much noise or echo / dB.", ge=0)]


class Enhance(JudgedRequest, SamplerRequest):
    """Remove noise from recordings.

    OUT has the rate, channels, number of samples, level and subtype of IN. Beside it lies a JSON
    file with all that repeats the run. A batch goes on after a failure, and keeps finished
    recordings when the command is run again.
    """

    model: Model = "speech-denoise"
    quality: Quality = "balanced"
    samples: Samples = None
    attenuation_limit: Limit = None
    std: bool = option(
        False, "Write the error's standard deviation, NAME_std.wav, of 1 sample, too."
    )
    seed: Seed = 0


class Dereverb(Enhance):
    """Remove the echo of the room from recordings.

    The outputs are those of `enhance`.
    """

    model: Model = "speech-dereverb"


class Stream(NetworkRequest):
    """Enhance sound as it comes, from standard input to standard output.

    Reads a WAV file or raw samples, and writes as many of the same kind, at most 40 ms later.
    `enhance` with the same causal model gives the same. Delay and speed are told at the end, on
    standard error.
    """

    model: str = option(
        "log-mmse", "log-mmse (untrained), speech-live, or the folder of a causal model."
    )
    rate: int | None = option(
        None, "Rate of raw samples / Hz; a WAV file is expected without it.", ge=1
    )
    channels: int = option(1, "Channels of raw samples, interleaved.", ge=1)
    form: Literal["s16", "s24", "s32", "f32"] = option(
        "s16", "Format of raw samples, little endian.", flags=("--format",)
    )
    attenuation_limit: Limit = None
    block_ms: float = option(10.0, "Sound that is read at a time / ms.", ge=1, le=1000)


class Evaluate(Request):
    """Measure enhanced recordings against clean ones: SI-SDR, PESQ, ESTOI, level, length.

    PESQ and ESTOI are measured at 16 kHz (at 8 kHz: narrow band) where their packages are
    installed (`pip install 'sciddm[speech-metrics]'`).
    """


load_pipeline = lru_cache(maxsize=1)(deferred(f"{_P}.pipeline:SpeechEnhancement.from_pretrained"))


def _enhance(data: AudioFile | xr.DataArray, request: Enhance, context: Context) -> xr.Dataset:
    from sciddm.pipelines.speech.collect import collected

    context.progress(0, 1, "loading the model")
    run = load_pipeline(request.model).open(
        data, **request.without("model"), progress=context.progress
    )
    return collected(run, context.scratch)


def _outputs(path: Path, request: Enhance) -> list[Path]:
    # Asked before the number of samples of the quality is known: that number writes none.
    with_std = request.std or (request.samples or 1) > 1
    std = [path.with_name(f"{path.stem}_std.wav")] if with_std else []
    return [path, *std, path.with_suffix(".json")]


def _stream(request: Stream) -> int:
    import sys

    from sciddm.pipelines.speech.stream import Sound, opener, run_stream

    if sys.stdout.isatty():
        raise InputError("standard output is a terminal: send it to a file or another program")
    sound = None
    if request.rate is not None:
        sound = Sound(request.rate, request.channels, request.form)
    opened = opener(request.model, request.attenuation_limit)
    try:
        totals = run_stream(
            sys.stdin.buffer, sys.stdout.buffer, opened, sound, block_s=request.block_ms / 1000
        )
    except BrokenPipeError:
        # Whoever listened has gone; Python would complain again when it closes the pipe.
        sys.stdout = None
        return 1
    print(totals.text, file=sys.stderr)
    return 0


def _recognises(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (*SUFFIXES, *FOREIGN)


enhance = Transform(
    Enhance,
    source=Source(
        on_path(f"{_FILES}:AudioFile"),
        (*SUFFIXES, *FOREIGN),
        "Recordings, or a folder of them; - for a file on standard input.",
        pipe=".wav",
    ),
    compute=_enhance,
    target=Target(
        _outputs,
        on_result(f"{_FILES}.result:save_enhanced", source="source"),
        SUFFIXES,
        "File, its suffix choosing the format; a folder for several recordings; - for a WAV file "
        "on standard output.",
        formats=("wav", "flac", "ogg", "mp3"),
        follow=True,
        pipe=".wav",
    ),
    facts=deferred(f"{_P}.describe:facts"),
    page=deferred(f"{_P}.page:speech_page"),
    prepare=lambda request: load_pipeline(request.model),
    estimate="enhanced",
)
dereverb = enhance.of(Dereverb)
stream = Action(Stream, run=_stream)
evaluate = Comparison(
    Evaluate,
    source=Source(on_path(f"{_FILES}:open_audio"), SUFFIXES),
    compare=deferred(f"{_P}.comparison:compare"),
    columns={
        "si_sdr_db": ("SI-SDR / dB", "{:.2f}"),
        "pesq": ("PESQ", "{:.2f}"),
        "estoi": ("ESTOI", "{:.3f}"),
        "level_difference_db": ("level / dB", "{:+.1f}"),
    },
    kind="recording",
    flags=("--clean", "--enhanced"),
)
DOMAIN = Domain(
    "speech",
    "Speech: recordings without their noise and echo.",
    (enhance, dereverb, stream, evaluate),
    Demo(
        enhance,
        deferred(f"{_P}.demo:simulate"),
        "8 s of synthetic speech in pink noise at 5 dB",
        "see and hear",
    ),
    _recognises,
    deferred(f"{_FILES}:open_audio"),
)
__dir__ = DOMAIN.names
