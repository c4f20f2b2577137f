"""What `sciddm speech` reads, writes and says, with a model that needs no training."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_helpers import Sciddm, everything
from click.testing import Result
from speech_models import regeneration

from sciddm.data_adapters.audio import open_audio
from sciddm.physics.speech.chunks import Chunking
from sciddm.pipelines.speech import requests as speech_run
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> SpeechEnhancement:
    """The command line uses this pipeline whatever model it is asked for: D(y) = 0.9 y."""
    chunking = Chunking(frames=160, overlap=64, fade=16, step=16)
    pipeline = SpeechEnhancement(regeneration(0.9), chunking=chunking)
    monkeypatch.setattr(speech_run, "load_pipeline", lambda model: pipeline)
    return pipeline


def noisy_wave(seconds: float = 0.6, rate: int = 16000, channels: int = 1) -> np.ndarray:
    clean = speech_like(seconds, rate, seed=1)
    waves = [mix(clean, pink_noise(len(clean), c), 5.0) for c in range(channels)]
    wave = np.stack(waves, axis=1)
    return 0.8 * wave / np.abs(wave).max()


def write(path: Path, rate: int = 16000, channels: int = 1, subtype: str | None = None) -> Path:
    soundfile.write(path, noisy_wave(rate=rate, channels=channels), rate, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("suffix", "rate", "channels", "subtype"),
    [
        (".wav", 8000, 1, "PCM_16"),
        (".wav", 16000, 2, "PCM_24"),
        (".wav", 22050, 1, "FLOAT"),
        (".flac", 44100, 2, "PCM_16"),
        (".flac", 48000, 1, "PCM_24"),
        (".ogg", 16000, 1, "VORBIS"),
        (".mp3", 44100, 2, "MPEG_LAYER_III"),
    ],
)
def test_the_output_has_the_form_of_the_input(
    sciddm: Sciddm,
    fake: SpeechEnhancement,
    tmp_path: Path,
    suffix: str,
    rate: int,
    channels: int,
    subtype: str,
) -> None:
    source = write(tmp_path / f"in{suffix}", rate, channels, subtype)
    target = tmp_path / f"out{suffix}"
    answer = sciddm("speech", "enhance", source, "-o", target)
    assert answer.code == 0, answer.err
    before, after = soundfile.info(source), soundfile.info(target)
    for what in ("samplerate", "channels", "frames", "subtype", "format"):
        assert getattr(after, what) == getattr(before, what), what
    # What the file holds is what the pipeline gives for the file.
    expected = fake(source)["enhanced"].values
    tolerance = 0.03 if suffix in (".ogg", ".mp3") else 2**-15
    np.testing.assert_allclose(open_audio(target).values, expected, atol=tolerance)
    assert everything(tmp_path) == {source.name, target.name, "out.json"}


def test_json_report_and_spread(sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path) -> None:
    source = write(tmp_path / "in.wav")
    target = tmp_path / "out.wav"
    words = ["--samples", 3, "--report", "--json", "--seed", 2, "--attenuation-limit", 20]
    answer = sciddm("speech", "enhance", source, "-o", target, *words)
    assert answer.code == 0, answer.err
    [result] = json.loads(answer.out)["results"]
    made = ["out.wav", "out_std.wav", "out.json", "out.html"]
    assert result["outputs"] == [str(tmp_path / name) for name in made]
    assert result["rate_hz"] == 16000
    assert result["duration_s"] == pytest.approx(0.6)
    expected = fake(source, samples=3, seed=2, attenuation_limit=20.0)
    std = open_audio(tmp_path / "out_std.wav")
    assert std.attrs["subtype"] == "FLOAT"
    np.testing.assert_allclose(std.values, expected["std"].values, atol=1e-7)
    kept = json.loads((tmp_path / "out.json").read_text())
    assert kept["samples"] == 3
    assert kept["request"]["attenuation_limit"] == 20.0
    assert kept["level_change_db"] == pytest.approx(expected.attrs["level_change_db"], abs=1e-6)
    page = (tmp_path / "out.html").read_text()
    assert page.count("<audio controls") == 3
    assert page.count("data:image/png") == 4
    # The command that is kept makes the same again.
    again = [w.replace("out.wav", "again.wav") for w in shlex.split(kept["command"])[1:]]
    assert sciddm(*again).code == 0
    np.testing.assert_array_equal(open_audio(tmp_path / "again.wav"), open_audio(target))


def test_std_without_a_law_is_refused_in_one_sentence(
    sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path
) -> None:
    words = [write(tmp_path / "in.wav"), "-o", tmp_path / "out.wav", "--quality", "fast", "--std"]
    answer = sciddm("speech", "enhance", *words)
    assert answer.code == 2
    assert "two samples" in answer.err
    assert not (tmp_path / "out.wav").exists()


def test_one_damaged_file_among_many_and_resuming(
    sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [f"r{i:02d}.wav" for i in range(6)] + ["s.flac"]
    for name in names:
        write(folder / name)
    content = (folder / "s.flac").read_bytes()
    (folder / "s.flac").write_bytes(content[: len(content) // 2])
    (folder / "notes.txt").write_text("no audio")
    answer = sciddm("speech", "enhance", folder, "-o", out, "--quality", "fast")
    assert answer.code == 1
    assert len(answer.error_lines) == 1
    assert "s.flac" in answer.error_lines[0]
    assert "failed" in answer.out
    made = {f"r{i:02d}{end}" for i in range(6) for end in (".wav", ".json")}
    assert everything(out) == made
    before = {name: (out / name).stat().st_mtime_ns for name in made}

    answer = sciddm("speech", "enhance", folder, "-o", out, "--quality", "fast", "--json")
    assert answer.code == 1
    told = json.loads(answer.out)
    assert (told["done"], told["skipped"], told["failed"]) == (0, 6, 1)
    assert {name: (out / name).stat().st_mtime_ns for name in made} == before

    write(folder / "s.flac")
    answer = sciddm("speech", "enhance", folder, "-o", out, "--quality", "fast")
    assert answer.code == 0, answer.err
    assert everything(out) == made | {"s.flac", "s.json"}


def test_a_format_for_the_folder(sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path) -> None:
    write(tmp_path / "a.wav", subtype="PCM_24")
    words = ["-o", tmp_path / "out", "--format", "flac", "--quality", "fast"]
    (tmp_path / "out").mkdir()
    assert sciddm("speech", "dereverb", tmp_path / "a.wav", *words).code == 0
    assert soundfile.info(tmp_path / "out" / "a.flac").subtype == "PCM_24"


def test_two_inputs_whose_names_differ_in_their_suffix_keep_it(
    sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.wav")
    write(tmp_path / "in" / "a.flac")
    write(tmp_path / "in" / "b.wav")
    out = tmp_path / "out"
    assert sciddm("speech", "enhance", tmp_path / "in", "-o", out, "--quality", "fast").code == 0
    names = {"a_wav.wav", "a_wav.json", "a_flac.flac", "a_flac.json", "b.wav", "b.json"}
    assert names <= {p.name for p in out.iterdir()}


def test_the_same_name_in_two_folders_is_refused(
    sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.wav")
    answer = sciddm("speech", "enhance", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "would both be written" in answer.err


def test_the_input_is_never_the_output(
    sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path
) -> None:
    source = write(tmp_path / "a.wav")
    content = source.read_bytes()
    for words in ([source, "-o", source], [tmp_path, "-o", tmp_path]):
        answer = sciddm("speech", "enhance", *words, "--overwrite")
        assert answer.code == 2
        assert "is the input itself" in answer.err
    assert source.read_bytes() == content
    assert everything(tmp_path) == {"a.wav"}


def test_a_peak_that_would_clip_is_said(
    sciddm: Sciddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    louder = SpeechEnhancement(regeneration(1.5, variance=1e-9))
    monkeypatch.setattr(speech_run, "load_pipeline", lambda model: louder)
    source = write(tmp_path / "a.wav")
    answer = sciddm("speech", "enhance", source, "-o", tmp_path / "b.wav")
    assert answer.code == 0, answer.err
    assert "would have been clipped" in answer.err
    written = open_audio(tmp_path / "b.wav").values
    expected = louder(source)["enhanced"].values
    gain = 10 ** (json.loads((tmp_path / "b.json").read_text())["gain_db"] / 20)
    assert np.abs(expected).max() > 1.02
    assert np.abs(written).max() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(written, gain * expected, atol=2**-15)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.wav", "-o", "b.m4a"], ".wav"),
        (["a.wav", "-o", "b.wav", "--attenuation-limit", "-3"], "--attenuation-limit"),
        (["a.wav", "-o", "b.wav", "--samples", "0"], "samples"),
        (["a.wav", "-o", "b.wav", "--quality", "fast", "--samples", "2"], "same answer"),
        (["no.wav", "-o", "b.wav"], "no such file"),
        (["text.wav", "-o", "b.wav"], "text.wav"),
        (["a.wav", "text.wav", "-o", "b.wav"], "folder"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    sciddm: Sciddm,
    fake: SpeechEnhancement,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.wav")
    (tmp_path / "text.wav").write_text("this is text")
    answer = sciddm("speech", "enhance", *words)
    assert answer.code == 2, answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert everything(tmp_path) == {"a.wav", "text.wav"}


def test_a_model_of_another_domain(sciddm: Sciddm, tmp_path: Path, model: Path) -> None:
    speech_run.load_pipeline.cache_clear()
    source = write(tmp_path / "a.wav")
    answer = sciddm("speech", "enhance", source, "-o", tmp_path / "b.wav", "--model", model)
    assert answer.code == 2
    assert "not made for speech" in answer.err
    assert everything(tmp_path) == {"a.wav"}


def test_evaluate_measures_pairs(sciddm: Sciddm, tmp_path: Path) -> None:
    for folder in ("clean", "enhanced"):
        (tmp_path / folder).mkdir()
    clean = speech_like(1.5, 16000, seed=1)
    for name, snr in (("a", 0.0), ("b", 10.0)):
        noisy = mix(clean, pink_noise(len(clean), 2), snr)
        for folder, wave in (("clean", clean), ("enhanced", noisy)):
            soundfile.write(tmp_path / folder / f"{name}.wav", 0.3 * wave, 16000, subtype="FLOAT")
    words = ["--clean", tmp_path / "clean", "--enhanced", tmp_path / "enhanced"]
    answer = sciddm("speech", "evaluate", *words, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    values = {r["name"]: r for r in told["results"]}
    assert values["a"]["si_sdr_db"] == pytest.approx(0.0, abs=0.5)
    assert values["b"]["si_sdr_db"] == pytest.approx(10.0, abs=0.5)
    assert 0 < values["a"]["estoi"] < values["b"]["estoi"] < 1
    assert told["mean"]["si_sdr_db"] == pytest.approx(
        (values["a"]["si_sdr_db"] + values["b"]["si_sdr_db"]) / 2
    )
    assert "SI-SDR" in sciddm("speech", "evaluate", *words).out


def test_evaluate_names_what_is_missing_or_different(sciddm: Sciddm, tmp_path: Path) -> None:
    for folder in ("clean", "enhanced"):
        (tmp_path / folder).mkdir()
    wave = speech_like(1.0, 16000, seed=1)
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / "clean" / f"{name}.wav", wave, 16000)
    soundfile.write(tmp_path / "enhanced" / "a.flac", wave, 16000)
    soundfile.write(tmp_path / "enhanced" / "b.wav", wave[:-1], 16000)
    words = ["--clean", tmp_path / "clean", "--enhanced", tmp_path / "enhanced"]
    answer = sciddm("speech", "evaluate", *words)
    assert answer.code == 1
    assert len(answer.error_lines) == 2
    assert "number of samples is 15999" in answer.error_lines[0]
    assert "no recording named c" in answer.error_lines[1]
    assert "a " in answer.out


def test_demo_makes_enhances_and_measures(
    sciddm: Sciddm, fake: SpeechEnhancement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciddm.pipelines.speech import demo

    monkeypatch.setattr(demo, "_SECONDS", 1.0)
    answer = sciddm("demo", "speech", "-o", tmp_path / "out", "--quality", "fast")
    assert answer.code == 0, answer.err
    names = {"clean.wav", "noisy.wav", "enhanced.wav", "enhanced.json", "enhanced.html"}
    assert everything(tmp_path / "out") == names
    assert "noisy SI-SDR" in answer.out
    assert "5.0 dB" in answer.out


@pytest.mark.parametrize("wav", [False, True])
def test_stream_gives_back_what_it_reads_enhanced(wav: bool) -> None:
    from typer.testing import CliRunner

    from sciddm.pipelines.engine.commands import domain_app
    from sciddm.pipelines.speech.stream import Sound

    sound = Sound(16_000, 1, "s16", wav)
    rng = np.random.default_rng(0)
    wave = (0.05 * rng.standard_normal((1, 8000))).astype(np.float32)
    content = sound.header() + sound.encode(wave)[0]
    words = ["stream"] if wav else ["stream", "--rate", "16000", "--format", "s16"]
    answer = CliRunner().invoke(domain_app(speech_run.DOMAIN), words, input=content)
    assert answer.exit_code == 0, answer.output
    head = len(sound.header())
    out = sound.decode(answer.stdout_bytes[head : head + 16_000])
    assert len(answer.stdout_bytes) == len(content)
    assert np.mean(out[:, 4000:] ** 2) < 0.1 * np.mean(wave[:, 4000:] ** 2)
    assert "delay 31.9 ms" in answer.stderr or "delay 23.9 ms" in answer.stderr


def _piped(words: list[str], content: bytes) -> Result:
    from typer.testing import CliRunner

    from sciddm.pipelines.cli import app

    return CliRunner().invoke(app, ["speech", "enhance", *words], input=content)


def test_enhance_reads_and_writes_pipes(fake: SpeechEnhancement, tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", 22_050, 2, "PCM_24")
    content = bytearray(source.read_bytes())
    at = content.index(b"data")
    content[4:8] = content[at + 4 : at + 8] = b"\xff" * 4  # of a program that writes to a pipe
    answer = _piped(["-", "-o", "-"], bytes(content))
    assert answer.exit_code == 0, answer.stderr
    with soundfile.SoundFile(io.BytesIO(answer.stdout_bytes)) as file:
        assert (file.samplerate, file.channels, file.subtype) == (22_050, 2, "PCM_24")
        out = file.read(dtype="float32").T
    np.testing.assert_allclose(out, fake(source)["enhanced"].values, atol=2**-22)
    assert "rate" in answer.stderr  # the table
    assert "/standard-input" not in answer.stderr  # a file that nobody knows of
    assert everything(tmp_path) == {"a.wav"}
    # One end may be a file, and the stored command says what the other was.
    assert _piped(["-", "-o", str(tmp_path / "b.wav")], source.read_bytes()).exit_code == 0
    np.testing.assert_allclose(open_audio(tmp_path / "b.wav"), out, atol=2**-22)
    kept = json.loads((tmp_path / "b.json").read_text())
    assert kept["command"].startswith(f"sciddm speech enhance - -o {tmp_path / 'b.wav'}")
    answer = _piped([str(source), "-o", "-"], b"")
    np.testing.assert_allclose(
        soundfile.read(io.BytesIO(answer.stdout_bytes), dtype="float32")[0].T, out, atol=2**-22
    )


@pytest.mark.parametrize(
    ("words", "content", "said"),
    [
        (["-", "-o", "-"], b"", "standard input is empty"),
        (["-", "-o", "-"], b"no sound", "standard-input.wav"),
        (["-", "-o", "-", "--json"], b"x", "--json need -o FILE"),
        (["-", "a.wav", "-o", "out"], b"x", "give it alone"),
    ],
)
def test_misuse_of_pipes_writes_nothing(
    fake: SpeechEnhancement, words: list[str], content: bytes, said: str
) -> None:
    answer = _piped(words, content)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert answer.stdout_bytes == b""


@pytest.mark.parametrize("block_ms", ["1", "7.3", "1000"])
@pytest.mark.parametrize("rate", [11_025, 44_100])
def test_the_size_of_a_streams_blocks_does_not_matter(block_ms: str, rate: int) -> None:
    from sciddm.pipelines.speech.stream import Sound, opener, run_stream

    sound = Sound(rate, 2, "s24")
    wave = (0.1 * np.random.default_rng(0).standard_normal((2, 6007))).astype(np.float32)
    content = sound.encode(wave)[0] + b"xy"  # a part of a frame is no sample
    outs = []
    for seconds in (float(block_ms) / 1000, 0.01):
        out = io.BytesIO()
        run_stream(_Dripping(content), out, opener("log-mmse"), sound, block_s=seconds)
        outs.append(sound.decode(out.getvalue()))
    assert outs[0].shape == (2, 6007)
    np.testing.assert_allclose(outs[0], outs[1], atol=2**-22)


class _Dripping(io.BytesIO):
    """Gives fewer bytes than it is asked for, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 997))
