"""The exported step under onnxruntime is torch's, frame after frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from speech_models import scaling

from sciddm import zoo
from sciddm.errors import ModelError
from sciddm.networks.causal_dual_path import CausalDualPath
from sciddm.physics.speech.stft import STFT
from sciddm.priors.predictor import Predictor
from sciddm.zoo.onnx_export import Step, export_onnx

SMALL = STFT(n_fft=62, hop=16)


@pytest.fixture
def model() -> Predictor:
    torch.manual_seed(0)
    network = CausalDualPath(bins=32, width=4, channels=8, blocks=1)
    torch.nn.init.normal_(network.last.weight, std=0.2)
    return Predictor(network, scale=0.1).eval().requires_grad_(False)


def _spectrogram(frames: int) -> torch.Tensor:
    noise = torch.randn(1, 1, 32, frames, dtype=torch.complex64)
    loudness = torch.linspace(-3, 2, frames).exp()
    return 0.1 * loudness * noise


def test_a_step_is_the_predictors_with_real_numbers(model: Predictor) -> None:
    Z = _spectrogram(12)
    expected, _ = model.run(Z, model.start(1))
    step = Step(model)
    state, parts = step.start(), []
    for k in range(0, 12, 2):
        noisy = torch.cat([Z.real, Z.imag], 1)[..., k : k + 2]
        estimate, *state = step(noisy, *state)
        parts.append(torch.complex(estimate[:, :1], estimate[:, 1:]))
    torch.testing.assert_close(torch.cat(parts, -1), expected, rtol=0, atol=1e-6)


def test_the_exported_file_gives_what_torch_gives(model: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from typer.testing import CliRunner

    from sciddm.pipelines.cli import app

    representation = {**SMALL.config, "rate": 16_000}
    zoo.save_model(model, tmp_path / "model", card={"name": "tiny"}, representation=representation)
    target = tmp_path / "m.onnx"
    words = ["models", "export", str(tmp_path / "model"), "-o", str(target)]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "model"]
    assert CliRunner().invoke(app, words).exit_code == 2  # there already

    loaded = zoo.load_model(tmp_path / "model")
    assert isinstance(loaded, Predictor)
    loaded.precision = "float32"  # as the export's
    Z = _spectrogram(200)
    expected, _ = loaded.run(Z, loaded.start(1))
    session = runtime.InferenceSession(target, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    assert [i.name for i in inputs][:2] == ["noisy", "state_0"]
    assert [o.name for o in session.get_outputs()][:2] == ["estimate", "next_0"]
    noisy = torch.cat([Z.real, Z.imag], 1).numpy()
    state = [np.zeros(i.shape, np.float32) for i in inputs[1:]]
    parts = []
    for k in range(0, 200, 2):
        feed = dict(zip((i.name for i in inputs), [noisy[..., k : k + 2], *state], strict=True))
        estimate, *state = session.run(None, feed)
        parts.append(estimate)
    out = np.concatenate(parts, -1)
    np.testing.assert_allclose(out[:, 0] + 1j * out[:, 1], expected[:, 0], rtol=0, atol=1e-4)
    assert np.abs(out).max() > 0.1
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["representation"]) == representation


def test_models_that_see_the_future_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sees the future"):
        export_onnx(scaling(1.0), tmp_path / "a.onnx", representation={})
