"""Names of devices, their errors, and random numbers that are the same on each."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch
from separate import SEPARATE, separate_device

from sciddm import device
from sciddm.errors import InputError, OptionError
from sciddm.pipelines.domains import DOMAINS, load_domain
from sciddm.pipelines.engine.exhaustion import memory_advice
from sciddm.pipelines.engine.request import NetworkRequest
from sciddm.pipelines.engine.verb import Verb
from sciddm.pipelines.hsi import requests as hsi
from sciddm.pipelines.mri import requests as mri
from sciddm.random.brownian import BrownianStreams
from sciddm.random.plane_streams import PlaneStreams
from sciddm.random.streams import AntitheticStreams, Streams
from sciddm.random.tiled_streams import TiledStreams

CPU, FIRST, SECOND = (torch.device(name) for name in ("cpu", "cuda:0", "cuda:1"))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two CUDA devices."""
    monkeypatch.setattr(device, "available", lambda: [FIRST, SECOND, CPU])
    monkeypatch.delenv(device.VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("auto", FIRST), ("cuda", FIRST), ("cuda:1", SECOND), ("cpu", CPU)],
)
def test_a_name_is_a_device(two: None, name: str, expected: torch.device) -> None:
    assert device.resolve(name) == expected


def test_auto_takes_no_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(device.VARIABLE, raising=False)
    monkeypatch.setattr(device, "available", lambda: [torch.device("mps", 0), CPU])
    assert device.resolve() == CPU
    assert device.resolve("mps") == torch.device("mps", 0)


def test_the_variable_decides_where_no_option_does(
    two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(device.VARIABLE, "cuda:1")
    assert device.resolve() == SECOND
    assert device.resolve("cpu") == CPU
    monkeypatch.setenv(device.VARIABLE, "gpu")
    with pytest.raises(InputError, match="SCIDDM_DEVICE=gpu: take one of auto, cpu, cuda"):
        device.resolve()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gpu", "device gpu: take one of auto, cpu, cuda, cuda:N, mps"),
        ("cuda:2", "device cuda:2: this machine has no such device, only cuda:0, cuda:1, cpu"),
        ("mps", "device mps: this machine has no such device, only cuda:0, cuda:1, cpu"),
    ],
)
def test_a_wrong_device_is_one_sentence(two: None, name: str, problem: str) -> None:
    with pytest.raises(OptionError) as raised:
        device.resolve(name)
    assert str(raised.value) == problem
    assert raised.value.about("--device").startswith(f"--device {name}: ")


def test_a_verb_refuses_it_before_it_loads_a_model() -> None:
    with pytest.raises(OptionError, match="device gpu: take one of"):
        mri.reconstruct("nowhere.h5", device="gpu", model="nowhere")


def test_the_verbs_with_a_model_have_a_device() -> None:
    for name in DOMAINS:
        for verb in load_domain(name).verbs:
            options = verb.request.declared()
            has_model = any(option.endswith("model") for option in options)
            assert ("device" in options) == has_model, (name, verb.name)
            if has_model:
                assert issubclass(verb.request, NetworkRequest)
                assert "device" in [*options][-4:]  # beside the other options of all domains


def test_it_says_where_and_not_what() -> None:
    request = mri.Reconstruct(device="cpu", seed=3)
    assert "device" not in request.stored()
    assert request.stored() == mri.Reconstruct(seed=3).stored()


@pytest.mark.parametrize(
    ("request_", "where", "advice"),
    [
        (mri.Reconstruct(quality="best"), "cuda:0",
         "take quality balanced or fast, fewer samples or device cpu"),
        (hsi.Denoise(quality="balanced", samples=2), "cuda:0",
         "take quality fast, a smaller tile or device cpu"),
        (mri.Reconstruct(quality="fast", samples=2), "cuda:0", "take device cpu"),
        (mri.Reconstruct(quality="fast", samples=2), "cpu",
         "close other programs or give a smaller input"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory")],
)
def test_exhausted_memory_says_what_to_take(
    request_: NetworkRequest, where: str, advice: str, error: RuntimeError
) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def compute() -> None:
        values = torch.ones(3)
        held.append(weakref.ref(values))
        raise error

    with pytest.raises(OptionError) as raised, memory_advice(request_, where):
        compute()
    assert str(raised.value) == f"device {where}: out of memory: {advice}"
    # The error is kept, and with it its frames: their tensors are not.
    assert held[0]() is None


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_advice(mri.Reconstruct(), "cuda:0"):
        raise RuntimeError("shape mismatch")


def test_a_verb_computes_on_its_device_and_leaves_it(two: None) -> None:
    verb: Verb[..., mri.Reconstruct] = mri.reconstruct
    with verb.on_device(mri.Reconstruct(device="cuda:1")) as name:
        assert (name, device.current()) == ("cuda:1", SECOND)
    assert device.current() == CPU


@pytest.mark.parametrize(
    "streams",
    [
        lambda: Streams(3, 2),
        lambda: AntitheticStreams(3, 2),
        lambda: PlaneStreams(3, 2, (5, 40), antithetic=True),
        lambda: TiledStreams(3, [0, 1], [7, 70]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_a_seed_gives_the_same_draw_on_every_device(
    streams: Callable[[], Streams], dtype: torch.dtype
) -> None:
    like = torch.empty(2, 1, 6, 9, dtype=dtype)
    expected = streams().randn(like, step=4)
    with separate_device() as there:
        drawn = streams().randn(like.to(there), step=4)
        assert drawn.device == SEPARATE
        assert torch.equal(drawn.cpu(), expected)


def test_so_does_a_path() -> None:
    from sciddm.process import EDM

    process, like = EDM(), torch.empty(2, 1, 4, 4)
    expected = BrownianStreams(0, 2, process, [1.0, 0.5, 0.1]).at(0)(like)
    with separate_device() as there:
        drawn = BrownianStreams(0, 2, process, [1.0, 0.5, 0.1]).at(0)(like.to(there))
        assert torch.equal(drawn.cpu(), expected)


def test_the_separate_device_refuses_what_an_accelerator_refuses() -> None:
    values = torch.ones(2, 3)
    with separate_device() as there:
        x = values.to(there)
        assert torch.equal((2 * x + torch.tensor(1.0)).cpu(), torch.full((2, 3), 3.0))
        for mixture in (
            lambda: x + values,
            lambda: torch.cat([values, x]),
            lambda: values[x > 0],
            lambda: torch.randn(3, generator=torch.Generator(), device=there),
        ):
            with pytest.raises(RuntimeError, match="expected"):
                mixture()
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()
        assert device.to_numpy(x).tolist() == values.tolist()
