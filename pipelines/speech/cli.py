"""`sciddm speech`: the verbs of speech enhancement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciddm.errors import InputError
from sciddm.pipelines.command import execute, repeat
from sciddm.pipelines.options import (
    Json,
    Overwrite,
    Quality,
    QualityOption,
    Threads,
    use_threads,
)

if TYPE_CHECKING:
    from sciddm.pipelines.engine.batch import Job, Outcome
    from sciddm.progress import Progress

__all__ = ["app"]

app = typer.Typer(help="Speech: recordings without their noise and echo.", no_args_is_help=True)

# The adapters' suffixes once more, since importing them takes seconds; a test compares them.
#: Suffixes of recordings that are written.
AUDIO = (
    *(".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".caf", ".w64", ".au"),
    ".snd",
)
#: Those that are read as well.
OTHERS = (
    *(".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wma", ".amr", ".3gp"),
    *(".mka", ".m4b", ".ac3"),
)


class Form(StrEnum):
    """Formats of recordings in a folder."""

    wav = "wav"
    flac = "flac"
    ogg = "ogg"
    mp3 = "mp3"


Inputs = Annotated[
    list[Path], typer.Argument(metavar="IN", help="Recordings, or a folder of them.")
]
Target = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, its suffix choosing the format; a folder for several recordings.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Draws whose mean is the result; two or more give their standard deviation too, "
        "NAME_std.wav. The quality decides if not given.",
    ),
]
Limit = Annotated[
    float | None,
    typer.Option("--attenuation-limit", help="Take away at most so many dB of noise or echo."),
]
Seed = Annotated[int, typer.Option(min=0, help="Determines the samples.")]
FormOption = Annotated[
    Form | None,
    typer.Option("--format", help="Format of the outputs in a folder; that of each input."),
]
Page = Annotated[bool, typer.Option("--report", help="Write an HTML page to see and hear it.")]


def _verb(name: str, standard_model: str, text: str) -> Callable[..., None]:
    """A verb that gives recordings back cleaner, by `standard_model` if not told otherwise."""

    @app.command(name, help=text)
    def command(
        context: typer.Context,
        inputs: Inputs,
        target: Target,
        model: Annotated[
            str, typer.Option(help="Name, folder, hub id, or an official .ckpt of SGMSE+ or StoRM.")
        ] = standard_model,
        quality: QualityOption = Quality.balanced,
        samples: Samples = None,
        attenuation_limit: Limit = None,
        seed: Seed = 0,
        form: FormOption = None,
        report: Page = False,
        overwrite: Overwrite = False,
        as_json: Json = False,
        threads: Threads = None,
    ) -> None:
        if attenuation_limit is not None and not 0 <= attenuation_limit < float("inf"):
            raise InputError(f"--attenuation-limit {attenuation_limit:g}: give 0 dB or more")
        wanted: dict[str, Any] = {
            "model": model,
            "quality": quality.value,
            "samples": samples,
            "seed": seed,
            "attenuation_limit": attenuation_limit,
        }

        def work(job: Job, replace: bool, progress: Progress) -> Outcome:
            from sciddm.pipelines.speech.run import enhance_file

            command = repeat(context, job)
            return enhance_file(
                job, wanted, command=command, report=report, overwrite=replace, progress=progress
            )

        def prepare() -> None:
            from sciddm.pipelines.speech.run import load_pipeline

            load_pipeline(model)

        use_threads(threads)
        execute(
            context,
            inputs,
            target,
            work=work,
            outputs_of=lambda path: _outputs(path, samples, report),
            check=_check,
            request=wanted,
            read=(*AUDIO, *OTHERS),
            written=AUDIO,
            suffix=None if form is None else f".{form.value}",
            overwrite=overwrite,
            as_json=as_json,
            prepare=prepare,
        )

    return command


enhance = _verb(
    "enhance",
    "speech-denoise",
    """Take noise out of recordings.

    OUT has the rate, channels, number of samples, level and subtype of IN. Beside it lies a JSON
    file with all that repeats the run. Several recordings go on after a failure, and finished ones
    are kept when the command is run again.
    """,
)
dereverb = _verb(
    "dereverb",
    "speech-dereverb",
    """Take the echo of the room out of recordings.

    Outputs as those of `enhance`.
    """,
)


class SampleForm(StrEnum):
    """Codings of raw samples, little endian."""

    s16 = "s16"
    s24 = "s24"
    s32 = "s32"
    f32 = "f32"


@app.command()
def stream(
    model: Annotated[
        str, typer.Option(help="log-mmse, which needs no training, or a causal model's folder.")
    ] = "log-mmse",
    rate: Annotated[
        int | None, typer.Option(help="Of raw samples, in Hz. Without it a WAV file is expected.")
    ] = None,
    channels: Annotated[int, typer.Option(min=1, help="Of raw samples, interleaved.")] = 1,
    form: Annotated[
        SampleForm, typer.Option("--format", help="Of raw samples, little endian.")
    ] = SampleForm.s16,
    attenuation_limit: Limit = None,
    block_ms: Annotated[
        float, typer.Option(min=1, max=1000, help="Sound that is read at a time.")
    ] = 10.0,
    threads: Threads = None,
) -> None:
    """Enhance sound as it comes, from standard input to standard output.

    Reads a WAV file or raw samples, and writes as many of the same kind, at most 40 ms later.
    `enhance` with the same causal model gives the same. Delay and speed are told at the end, on
    standard error.
    """
    import sys

    from sciddm.pipelines.speech.stream import Sound, opener, run_stream

    if sys.stdout.isatty():
        raise InputError("standard output is a terminal: send it to a file or another program")
    if attenuation_limit is not None and not 0 <= attenuation_limit < float("inf"):
        raise InputError(f"--attenuation-limit {attenuation_limit:g}: give 0 dB or more")
    use_threads(threads)
    sound = None if rate is None else Sound(rate, channels, form.value)
    opened = opener(model, attenuation_limit)
    try:
        totals = run_stream(
            sys.stdin.buffer, sys.stdout.buffer, opened, sound, block_s=block_ms / 1000
        )
    except BrokenPipeError:
        # Whoever listened has gone; Python would complain again when it closes the pipe.
        sys.stdout = None
        raise typer.Exit(1) from None
    typer.echo(totals.text, err=True)


@app.command()
def evaluate(
    clean: Annotated[Path, typer.Option(help="Folder (or file) of clean recordings.")],
    enhanced: Annotated[Path, typer.Option(help="Folder (or file) of the same names.")],
    as_json: Json = False,
) -> None:
    """Measure enhanced recordings against clean ones: SI-SDR, PESQ, ESTOI, level, length.

    PESQ and ESTOI are measured at 16 kHz (at 8 kHz: narrow band) where their packages are
    installed (`pip install 'sciddm[speech-metrics]'`).
    """
    from sciddm.pipelines.speech.evaluate import evaluate_folders

    if not evaluate_folders(clean, enhanced, AUDIO, as_json=as_json):
        raise typer.Exit(1)


def _outputs(path: Path, samples: int | None, report: bool) -> list[Path]:
    from sciddm.pipelines.speech.run import outputs

    return outputs(path, spread=samples is not None and samples > 1, report=report)


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.staging import check_outputs

    check_outputs(paths, overwrite=overwrite)
