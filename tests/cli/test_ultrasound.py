"""`sciddm ultrasound`, with untrained models or with priors whose answer is known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from scipy import ndimage
from ultrasound_helpers import White, save_pair

from sciddm.data_adapters.hdf5 import read_hdf5
from sciddm.data_adapters.ultrasound import build_frames, open_frames, save_frames
from sciddm.physics.ultrasound.waves import envelope
from sciddm.pipelines.engine.unfinished import Unfinished
from sciddm.pipelines.ultrasound import requests
from sciddm.pipelines.ultrasound.describe import facts
from sciddm.pipelines.ultrasound.page import ultrasound_page
from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan
from sciddm.priors.joint import JointDenoiser
from sciddm.zoo.model_card import Card

SMALL = Wanted(depth=96, lines=24, frames=3, seed=1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that choose a pair of untrained models for echoes."""
    folder = save_pair(tmp_path_factory.mktemp("us"))
    return ["--tissue-model", str(folder / "tissue"), "--haze-model", str(folder / "haze")]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    save_frames(simulate_scan(SMALL)[0], folder / "scan.h5")
    return folder / "scan.h5"


@dataclass(frozen=True)
class _Named:
    name: str
    weights_sha256: str = "0"
    representation: dict[str, Any] = field(default_factory=lambda: {"mu": 255.0})
    card: Card = field(default_factory=lambda: Card(name="white"))


@dataclass(frozen=True)
class _White:
    tissue: _Named = _Named("white")
    haze: _Named = _Named("white too")
    prior: JointDenoiser = field(default_factory=lambda: JointDenoiser([White(0.4), White(0.15)]))


@pytest.fixture
def white(monkeypatch: pytest.MonkeyPatch) -> None:
    """White Gaussian priors: haze is expected to be little, so most of a scan is tissue."""
    monkeypatch.setattr(UltrasoundDehazing, "load", lambda self, kind: _White())


def test_dehaze_writes_all_that_repeats_the_run(sciddm, scan, models, tmp_path):
    out = tmp_path / "clean.h5"
    words = ["ultrasound", "dehaze", scan, "-o", out, "--quality", "fast", "--gamma", 1, *models]
    answer = sciddm(*words, "--report", "--seed", 3, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)["results"][0]
    assert told["size"] == [3, 96, 24]
    result = read_hdf5(out, "result")
    assert {"frames", "haze", "std", "hazy"} <= set(result)
    assert np.allclose(result["frames"] + result["haze"], result["hazy"], atol=1e-6)
    assert np.array_equal(result["hazy"], open_frames(scan)["frames"])
    attrs = json.loads(out.with_suffix(".json").read_text())
    assert attrs["model"] == "tiny-tissue, tiny-haze"
    assert attrs["weights_sha256"]
    assert (attrs["seed"], attrs["gamma"], attrs["quality"]) == (3, 1.0, "fast")
    page = out.with_suffix(".html").read_text()
    assert "&quot;moves&quot;: 12.0" in page  # the clip, which stands still until it is played
    assert "image/gif" not in page
    assert "Standard deviation" in page
    assert not list(tmp_path.glob(".*"))  # nothing is left of unfinished work
    again = sciddm(*words, "--seed", 3)
    assert again.code == 2
    assert "exists" in again.error_lines[0]
    # The command that is told makes the same bits.
    repeated = sciddm(*words, "--seed", 3, "--overwrite")
    assert repeated.code == 0
    assert np.array_equal(read_hdf5(out, "result")["frames"], result["frames"])


def test_python_and_the_command_line_give_the_same_bits(sciddm, scan, models, tmp_path):
    folder = Path(models[1]).parent
    out = tmp_path / "clean.h5"
    words = ["ultrasound", "dehaze", scan, "-o", out, "--quality", "fast", "--gamma", 1, *models]
    assert sciddm(*words).code == 0
    result = requests.dehaze(
        scan,
        quality="fast",
        gamma=1.0,
        tissue_model=str(folder / "tissue"),
        haze_model=str(folder / "haze"),
    )
    assert np.array_equal(result.estimate, read_hdf5(out, "result")["frames"])
    assert result.std is not None
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["request"] == result.attrs["request"]
    assert told["input_sha256"] == result.attrs["input_sha256"]
    result.save(tmp_path / "again.npz", report=True)
    assert {p.name for p in tmp_path.glob("again*")} == {
        "again.npz",
        "again_parts.h5",
        "again.json",
        "again.html",
    }


def test_a_stopped_clip_goes_on_and_ends_alike(scan, white, tmp_path):
    scan = open_frames(scan)
    scan["frames"].values[2] *= 0.9  # else it is the second frame again
    whole = UltrasoundDehazing()(scan, quality="fast", gamma=1.0)

    class Stopping(Unfinished):
        def store(self, frame: int, **arrays: Any) -> None:
            super().store(frame, **arrays)
            if frame == 1:
                raise KeyboardInterrupt

    key = {"seed": 0}
    first = Stopping(tmp_path / "out.h5", key)
    first.open()
    with pytest.raises(KeyboardInterrupt):
        UltrasoundDehazing()(scan, quality="fast", gamma=1.0, store=first)
    seen: list[int] = []

    class Counting(Unfinished):
        def store(self, frame: int, **arrays: Any) -> None:
            seen.append(frame)

    second = Counting(tmp_path / "out.h5", key)
    second.open()
    result = UltrasoundDehazing()(scan, quality="fast", gamma=1.0, store=second)
    assert seen == [2]
    assert np.allclose(result["frames"][:2], whole["frames"][:2])
    assert (
        np.abs(result["frames"][2] - whole["frames"][2]).max() < 0.02
    )  # its start was kept in half
    other = Unfinished(tmp_path / "out.h5", {"seed": 1})
    other.open()
    assert other.load(0) is None  # frames of another run are not used


def test_the_card_widens_the_standard_deviation(scan, white, monkeypatch):
    """sqrt(std^2 + (c taken)^2) times q, in amplitude; the frames stay."""
    plain = UltrasoundDehazing()(scan, quality="fast")
    card = Card(name="white", calibration={"fast": {"spread": 1.5, "taken": 0.4}})
    models = _White(tissue=_Named("white", card=card))
    monkeypatch.setattr(UltrasoundDehazing, "load", lambda self, kind: models)
    wide = UltrasoundDehazing()(scan, quality="fast")
    assert np.array_equal(wide["frames"], plain["frames"])
    taken = envelope(plain["haze"].values[0])
    expected = 1.5 * np.hypot(plain["std"].values[0], 0.4 * taken)
    # Haze in the file is that within the models' band, up to resampling at the borders.
    inside = (slice(8, -8), slice(None))
    assert np.allclose(wide["std"].values[0][inside], expected[inside], rtol=0.1, atol=1e-3)
    assert wide.attrs["std_spread"] == 1.5
    assert wide.attrs["std_taken"] == 0.4
    assert plain.attrs["std_spread"] == 1.0


def test_the_deviation_of_a_picture_has_a_floor_but_where_it_is_black(white, monkeypatch):
    """q sqrt(std^2 + (c taken)^2 + b^2) in grey values, at most 1; the card's entry is bmode's."""
    frame = columns(0.03).astype(np.float32) / 255
    frame[:, 60:70] = 0
    data = build_frames(Path("a"), frame, "bmode", form="x")
    plain = UltrasoundDehazing()(data, quality="fast", gamma=1.0)
    law = {"spread": 2.0, "taken": 0.5, "floor": 0.1}
    calibration = {"fast": {"spread": 9.0}, "bmode": {"fast": law}}
    models = _White(tissue=_Named("white", card=Card(name="white", calibration=calibration)))
    monkeypatch.setattr(UltrasoundDehazing, "load", lambda self, kind: models)
    wide = UltrasoundDehazing()(data, quality="fast", gamma=1.0)
    taken = plain["haze"].values[0]
    total = np.sqrt(plain["std"].values[0] ** 2 + (0.5 * taken) ** 2 + 0.1**2)
    expected = np.where(frame > 0, np.minimum(2 * total, 1), 0)
    assert np.allclose(wide["std"].values[0], expected, atol=1e-5)
    assert np.array_equal(wide["frames"], plain["frames"])


def test_gamma_nothing_is_taken_away(sciddm, scan, white, tmp_path):
    """At gamma 0 haze explains nothing: the scan comes back to the noise of the measurement."""
    shares = []
    for gamma in (0, 1):
        out = tmp_path / f"{gamma}.h5"
        assert sciddm("ultrasound", "dehaze", scan, "-o", out, "--gamma", gamma).code == 0
        shares.append(json.loads(out.with_suffix(".json").read_text())["haze_share"])
    assert shares[0] < 0.02
    assert shares[1] > shares[0]


def test_empty_frames_and_what_is_outside_the_mask_stay(sciddm, white, tmp_path):
    values = np.random.default_rng(0).random((3, 64, 48)).astype(np.float32)
    values[1] = 0
    mask = np.zeros((64, 48), bool)
    mask[10:60, 5:40] = True
    data = build_frames(tmp_path / "a.h5", values, "bmode", form="test", mask=mask)
    save_frames(data, tmp_path / "a.h5")
    words = [tmp_path / "a.h5", "-o", tmp_path / "b.h5", "--gamma", 1]
    answer = sciddm("ultrasound", "dehaze", *words)
    assert answer.code == 0, answer.err
    assert "Frames without any signal were left as they are: 2" in answer.err
    result = read_hdf5(tmp_path / "b.h5", "result")
    assert np.array_equal(result["frames"][1], values[1])
    assert np.array_equal(result["frames"].values[:, ~mask], values[:, ~mask])
    assert not np.array_equal(result["frames"].values[0][mask], values[0][mask])
    assert (result["std"].values[:, ~mask] == 0).all()


def columns(haze: float, seed: int = 0) -> np.ndarray:
    """A picture, 0 to 255: bright and dark columns of speckle, receiver noise, and haze of three
    times the speckle's width. Fields of complex noise, made apart from the package's simulation."""
    rng = np.random.default_rng(seed)
    power = np.zeros((160, 160))
    dark = np.where(np.arange(160) // 32 % 2 == 1, 1e-9, 1.0)[None]
    for weight, width in ((dark, 1.5), (2e-5, 0.3), (haze, 4.5)):
        field = rng.standard_normal((2, 160, 160))
        speckle = sum(ndimage.gaussian_filter(f, (1.0, width), mode="wrap") ** 2 for f in field)
        power += weight * speckle / speckle.mean()
    level = np.clip(1 + (10 * np.log10(power + 1e-9) - 10) / 60, 0, 1)
    return np.round(255 * level).astype(np.uint8)


def test_a_picture_without_haze_comes_back_bit_for_bit(sciddm, white, tmp_path):
    for name, haze in (("clean", 0.0), ("hazy", 0.03)):
        iio.imwrite(tmp_path / f"{name}.png", columns(haze))
    told = {}
    for name in ("clean", "hazy"):
        words = [tmp_path / f"{name}.png", "-o", tmp_path / f"{name}_out.png", "--quality", "fast"]
        answer = sciddm("ultrasound", "dehaze", *words)
        assert answer.code == 0, answer.err
        told[name] = json.loads((tmp_path / f"{name}_out.json").read_text())
        same = np.array_equal(iio.imread(tmp_path / f"{name}_out.png"), iio.imread(words[0]))
        assert same == (name == "clean")
    assert told["clean"]["unchanged"] == 1
    assert told["clean"]["haze_evidence"] < 0 < told["hazy"]["haze_evidence"]
    assert told["clean"]["nfe"] == 0
    assert "returned unchanged" in told["clean"]["warnings"]
    assert told["hazy"]["verdict_familiar"] == "yes"
    words = [tmp_path / "clean.png", "-o", tmp_path / "forced.png", "--gamma", 1]
    answer = sciddm("ultrasound", "dehaze", *words, "--quality", "fast")
    assert "may be tissue" in answer.err
    assert not np.array_equal(iio.imread(tmp_path / "forced.png"), columns(0.0))


def test_drawings_stay_and_do_not_shine_on_what_is_around(white):
    plain = columns(0.03).astype(np.float32) / 255
    drawn = plain.copy()
    drawing = np.zeros((1, 160, 160), bool)
    drawing[0, 80:82, 20:140] = True
    drawn[drawing[0]] = 1.0
    results = []
    for frame, overlay in ((plain, None), (drawn, drawing)):
        data = build_frames(Path("a"), frame, "bmode", form="x", overlay=overlay)
        results.append(UltrasoundDehazing()(data, quality="balanced", gamma=1.0))
    both = [r["frames"].values[0] for r in results]
    assert (both[1][drawing[0]] == 1).all()
    away = ~ndimage.binary_dilation(drawing[0], iterations=8)
    assert np.abs(both[1] - both[0])[away].mean() < 0.01


def test_two_images_of_a_clip_are_judged_and_dehazed_apart(white):
    """A clean image beside a hazy one: the first comes back, the second as it would alone."""
    clean, hazy = (columns(h).astype(np.float32) / 255 for h in (0.0, 0.03))
    frame = np.concatenate([clean, np.zeros((160, 8), np.float32), hazy], axis=1)
    region = np.zeros(frame.shape, np.uint8)
    region[:, :160], region[:, 168:] = 1, 2
    data = build_frames(Path("a"), frame, "bmode", form="x", mask=region > 0, region=region)
    both = UltrasoundDehazing()(data, quality="fast")
    assert np.array_equal(both["frames"].values[0, :, :160], clean)
    alone = UltrasoundDehazing()(build_frames(Path("a"), hazy, "bmode", form="x"), quality="fast")
    assert np.array_equal(both["frames"].values[0, :, 168:], alone["frames"].values[0])
    assert both.attrs["images"] == 2
    assert "image 1 give no evidence of haze" in both.attrs["warnings"]
    # The clean image came back, so the verdict is on the other one.
    assert both.attrs["verdict_familiar"] == "yes"


def test_the_uncertainty_is_that_of_the_image(white):
    """Black around the image and drawings over it do not count."""
    frame = np.zeros((200, 200), np.float32)
    frame[20:180, 20:180] = columns(0.03).astype(np.float32) / 255
    mask = np.zeros((200, 200), bool)
    mask[20:180, 20:180] = True
    data = build_frames(Path("a"), frame, "bmode", form="x", mask=mask)
    result = UltrasoundDehazing()(data, quality="fast", gamma=1.0)
    told = next(fact.value for fact in facts(result) if fact.key == "std_median")
    shown = result["std"].values[0][mask & (frame > 0)]
    assert told == pytest.approx(float(np.median(shown)))
    assert told > float(np.median(result["std"].values))


def test_the_deviation_of_an_unchanged_scan_looks_like_zero(white):
    """Zero on a scale that ends far above it; the scale of a result is that of its image alone."""
    scale = {}
    for name, haze in (("clean", 0.0), ("hazy", 0.03)):
        frame = np.zeros((400, 400), np.float32)  # five sixths of it black
        frame[120:280, 120:280] = columns(haze).astype(np.float32) / 255
        mask = np.pad(np.ones((160, 160), bool), 120)
        data = build_frames(Path("a"), frame, "bmode", form="x", mask=mask)
        result = UltrasoundDehazing()(data, quality="fast")
        section = ultrasound_page(None, result).sections[0]
        panel = next(p for p in section.panels if p.title == "Standard deviation")
        scale[name] = panel.window[1]
        assert ("Zero everywhere" in panel.note) == (name == "clean")
        assert bool(section.viewers[0].overlays) == (name == "hazy")
    assert scale["clean"] == pytest.approx(0.1)
    inside = result["std"].values[0][mask]
    assert scale["hazy"] == pytest.approx(np.percentile(inside[inside > 0], 99.5), rel=1e-3)


def test_a_still_clip_does_not_flicker(white):
    frame = columns(0.03).astype(np.float32) / 255
    data = build_frames(Path("a"), np.stack([frame] * 3), "bmode", form="x")
    clip = UltrasoundDehazing()(data, quality="fast")
    result = clip["frames"].values
    assert not np.array_equal(result[0], frame)
    assert not np.diff(result, axis=0).any()
    one = UltrasoundDehazing()(data.isel(frame=[0]), quality="fast")
    assert clip.attrs["nfe"] == pytest.approx(one.attrs["nfe"] / 3)  # of three frames


def test_an_all_black_picture_comes_back(sciddm, white, tmp_path):
    iio.imwrite(tmp_path / "a.png", np.zeros((40, 40), np.uint8))
    answer = sciddm("ultrasound", "dehaze", tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert answer.code == 0
    assert "without any signal" in answer.err
    assert not iio.imread(tmp_path / "b.png").any()


def test_a_batch_goes_on_and_resumes(sciddm, scan, models, tmp_path):
    (scan.parent / "broken.h5").write_bytes(b"nothing")
    out = tmp_path / "out"
    words = ["ultrasound", "dehaze", scan.parent, "-o", out, "--quality", "fast", *models]
    answer = sciddm(*words)
    assert answer.code == 1
    assert "broken.h5" in answer.error_lines[0]
    assert (out / "scan.h5").exists()
    again = sciddm(*words, "--json")
    counts = json.loads(again.out)
    assert (counts["skipped"], counts["failed"]) == (1, 1)


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        ({"rf": np.ones((80, 16))}, ["--fc", "2e6"], "does not say fs"),
        ({"rf": np.ones((2, 3, 80, 16))}, [], "(frame, depth, lateral)"),
        ({"rf": np.ones((80, 16)), "fs": 1e7, "fc": 2e6}, ["--gamma", "-1"], "'--gamma'"),
        ({"rf": np.ones((80, 16)), "fs": 1e7, "fc": 2e6}, ["--samples", "3"], "in pairs"),
        ({"rf": np.ones((80, 16)), "fs": 1e7, "fc": 2e6}, ["--haze-model", "x"], "belong together"),
    ],
)
def test_bad_input_is_one_line(sciddm, white, tmp_path, arrays, options, words):
    np.savez(tmp_path / "a.npz", **arrays)
    answer = sciddm("ultrasound", "dehaze", tmp_path / "a.npz", "-o", tmp_path / "b.h5", *options)
    assert answer.code == 2
    assert len(answer.error_lines) == 1
    assert words in answer.error_lines[0]
    assert not (tmp_path / "b.h5").exists()


def test_colour_is_refused_and_models_must_fit(sciddm, models, tmp_path):
    pages = np.zeros((40, 40, 3), np.uint8)
    pages[5:30, 5:30] = (200, 20, 20)
    iio.imwrite(tmp_path / "a.png", pages)
    answer = sciddm("ultrasound", "dehaze", tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert answer.code == 2
    assert "colour" in answer.error_lines[0]
    iio.imwrite(tmp_path / "c.png", np.full((40, 40), 90, np.uint8))
    answer = sciddm("ultrasound", "dehaze", tmp_path / "c.png", "-o", tmp_path / "b.png", *models)
    assert answer.code == 2
    assert "envelope data" in answer.error_lines[0]


def test_simulate_and_evaluate(sciddm, tmp_path):
    hazy, clean = tmp_path / "hazy.h5", tmp_path / "clean.h5"
    words = ["--depth", 256, "--lines", 64, "--seed", 4]
    answer = sciddm("ultrasound", "simulate", "-o", hazy, "--clean", clean, *words)
    assert answer.code == 0, answer.err
    told = {}
    for name, path in (("hazy", hazy), ("clean", clean)):
        answer = sciddm("ultrasound", "evaluate", "--clean", clean, "--dehazed", path, "--json")
        assert answer.code == 0, answer.err
        told[name] = json.loads(answer.out)["results"][0]
    assert told["clean"]["ks_tissue"] == 0
    assert told["clean"]["gcnr"] == told["clean"]["gcnr_clean"] > told["hazy"]["gcnr"]
    assert told["hazy"]["psnr_db"] < 40
    boxes = ["--roi", "tissue:10-60,5-20", "--roi", "blood:100-150,5-20"]
    alone = sciddm("ultrasound", "evaluate", "--dehazed", hazy, *boxes, "--json")
    assert set(json.loads(alone.out)["results"][0]) >= {"gcnr", "cnr", "cnr_db"}
    for bad in (["--roi", "tissue:1-2,3-4"], ["--roi", "heart:1-2,3-4"], []):
        assert sciddm("ultrasound", "evaluate", "--dehazed", hazy, *bad).code in (1, 2)


def test_beamform(sciddm, tmp_path):
    rf = np.random.default_rng(0).standard_normal((1, 16, 600)).astype(np.float32)
    np.savez(tmp_path / "a.npz", rf=rf, fs=2e7, fc=5e6)
    answer = sciddm("ultrasound", "beamform", tmp_path / "a.npz", "-o", tmp_path / "b.h5")
    assert answer.code == 2
    assert "--pitch" in answer.error_lines[0]
    words = ["--pitch", "3e-4", "--depth", "4-9", "--lines", 12]
    answer = sciddm("ultrasound", "beamform", tmp_path / "a.npz", "-o", tmp_path / "b.h5", *words)
    assert answer.code == 0, answer.err
    made = open_frames(tmp_path / "b.h5")
    assert made.attrs["kind"] == "iq"
    assert 4e-3 <= float(made["depth"][0]) < float(made["depth"][-1]) <= 9e-3
