"""A causal predictor as an ONNX graph: one step, with the state as explicit inputs and outputs.

A step takes ``patch`` frames of the compressed spectrogram Z of one channel,

    (noisy, state_0, ..., state_n) -> (estimate, next_0, ..., next_n)

``noisy`` and ``estimate`` are (1, 2, F, patch), real and imaginary part. Every state begins at
zero, and ``next_k`` of a step is ``state_k`` of the following one. The graph holds standard
operators only. Its metadata say what Z is: ``representation`` is a JSON object with ``n_fft``,
``hop``, ``factor``, ``exponent`` and ``rate`` (see ``sciddm.physics.speech.stft``).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sciddm.errors import ModelError
from sciddm.networks.causal_dual_path import CausalDualPath, CausalState
from sciddm.priors.predictor import Predictor

__all__ = ["Step", "export_onnx"]

_OPSET = 20
_PACKAGES = ("onnx", "onnxscript")


class Step(nn.Module):
    """One step of a causal predictor on real tensors.

    Args:
        model: its arithmetic is float32, whatever its precision says.

    Raises:
        ModelError: it sees the future.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not (isinstance(model, Predictor) and isinstance(model.network, CausalDualPath)):
            raise ModelError(
                f"a {type(model).__name__} that sees the future cannot be exported step by step: "
                "give the folder of a causal model (recipes/speech-live.yaml)"
            )
        self.network, self.output = model.network, model.output
        self.scale, self.unit = model.scale, model.scale / 2**0.5
        self.eval()

    def start(self) -> tuple[Tensor, ...]:
        """The state before the first frame: zeros."""
        state = self.network.start(1, next(self.network.parameters()))
        return (state.level, *state.frames, *state.hidden)

    def forward(self, noisy: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The estimate of the next frames, and the state behind them.

        Args:
            noisy: (1, 2, F, patch), real and imaginary part of Z.
            state: of ``start`` or of the step before.
        """
        level, *rest = state
        hidden = len(self.network.blocks) // 2
        out, after = self.network.run(
            noisy / self.unit, CausalState(level, rest[:-hidden], rest[-hidden:])
        )
        return (self._estimate(noisy, out), after.level, *after.frames, *after.hidden)

    def _estimate(self, noisy: Tensor, out: Tensor) -> Tensor:
        """As ``Predictor`` with complex numbers."""
        if self.output == "direct":
            return self.unit * out
        mask, rest = out.chunk(2, dim=1)
        size = (mask.square().sum(1, keepdim=True) + 1e-12).sqrt()
        mask = (2 * torch.tanh(size) / size) * mask
        real = mask[:, :1] * noisy[:, :1] - mask[:, 1:] * noisy[:, 1:]
        imaginary = mask[:, :1] * noisy[:, 1:] + mask[:, 1:] * noisy[:, :1]
        return torch.cat([real, imaginary], dim=1) + self.scale * rest


def export_onnx(
    model: nn.Module, path: str | Path, *, name: str = "", representation: Mapping[str, object]
) -> None:
    """Writes the step of a causal predictor.

    Args:
        model: a causal ``Predictor``.
        path: of the new file; an existing one is replaced.
        name: of the model, for the file's metadata.
        representation: of the model's spectrogram, likewise.

    Raises:
        ModelError: the model sees the future, or a package is missing.
    """
    step = Step(model)
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise ModelError(f"the export needs packages: pip install {' '.join(missing)}")
    state = step.start()
    frames = torch.zeros(1, 2, step.network.bins, step.network.patch)
    names = [f"{k}" for k in range(len(state))]
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about torch's own use of deprecated names
        logger.setLevel(logging.ERROR)  # about operators of packages that are not installed
        try:
            program = torch.onnx.export(
                step,
                (frames, *state),
                dynamo=True,
                opset_version=_OPSET,
                verbose=False,
                input_names=["noisy", *(f"state_{n}" for n in names)],
                output_names=["estimate", *(f"next_{n}" for n in names)],
            )
        finally:
            logger.setLevel(level)
    assert program is not None
    program.model.metadata_props.update(
        {"model": name, "representation": json.dumps(dict(representation))}
    )
    program.save(str(path))
