"""NCSN++: the published names and shapes, its parts against definitions, its walk by hand."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from support import F64, randn
from torch import Tensor, nn
from torch.nn import functional

from sciddm.denoiser import NetworkDenoiser
from sciddm.networks import NCSNpp, build_network
from sciddm.networks.ncsnpp import _Attention, _downsample, _FourierFeatures, _upsample
from sciddm.process import OUVE
from sciddm.zoo.official_sgmse import VARIANTS

TINY = {"channels": 16, "multipliers": (1, 1, 2), "num_res_blocks": 1, "attention": (1,)}
# The tiny network written in the notation of `expanded`, by the rules of the published one.
TINY_LAYOUT = """
0 F 16; 1 L 32>64; 2 L 64>64; 3 C3 4>16; 4 R 16>16; 5 D 16>16; 6 M 4>16; 7 R 16>16; 8 A 16;
9 D 16>16; 10 M 4>16; 11 S 16>32; 12 R 32>32; 13 A 32; 14 R 32>32; 15 S 64>32; 16 S 48>32;
17 G 32; 18 C3 32>4; 19 U 32>32; 20 S 48>16; 21 S 32>16; 22 A 16; 23 G 16; 24 C3 16>4;
25 U 16>16; 26 S 32>16; 27 S 32>16; 28 G 16; 29 C3 16>4
"""


def expanded(layout: str, inputs: int, time: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters of modules written as "index type in>out"."""
    shapes: dict[str, tuple[int, ...]] = {
        "output_layer.weight": (2, inputs, 1, 1),
        "output_layer.bias": (2,),
    }
    for entry in re.split(r"[;\n]", layout.strip()):
        if not entry.strip():
            continue
        index, kind, size = entry.split()
        a, b = (int(n) for n in (size if ">" in size else f"{size}>{size}").split(">"))
        norm0 = {"GroupNorm_0.weight": (a,), "GroupNorm_0.bias": (a,)}
        block = {
            **norm0,
            "Conv_0.weight": (b, a, 3, 3),
            "Conv_0.bias": (b,),
            "Dense_0.weight": (b, time),
            "Dense_0.bias": (b,),
            "GroupNorm_1.weight": (b,),
            "GroupNorm_1.bias": (b,),
            "Conv_1.weight": (b, b, 3, 3),
            "Conv_1.bias": (b,),
        }
        skip = {"Conv_2.weight": (b, a, 1, 1), "Conv_2.bias": (b,)}
        attention = dict(norm0)
        for i in range(4):
            attention |= {f"NIN_{i}.W": (a, a), f"NIN_{i}.b": (a,)}
        parts = {
            "F": {"W": (a,)},
            "L": {"weight": (b, a), "bias": (b,)},
            "C3": {"weight": (b, a, 3, 3), "bias": (b,)},
            "G": {"weight": (a,), "bias": (a,)},
            "M": {"Conv_0.weight": (b, a, 1, 1), "Conv_0.bias": (b,)},
            "A": attention,
            "R": block,
            "S": block | skip,
            "D": block | skip,
            "U": block | skip,
        }[kind]
        shapes |= {f"all_modules.{index}.{name}": shape for name, shape in parts.items()}
    return shapes


def shapes_of(**config) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = NCSNpp(**config)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


PREDICTOR = {"in_channels": 2, "conditional": False, "division": "none"}


@pytest.mark.parametrize(
    ("variant", "options", "modules", "tensors", "values"),
    [
        ("ncsnpp 65M", {}, 77, 647, 65_590_822),
        ("ncsnpp_48k", {}, 56, 581, 64_739_854),
        ("ncsnpp 28M", PREDICTOR, 34, 267, 27_342_350),
        ("ncsnpp 28M", {"in_channels": 6}, 36, 271, 27_776_038),
        ("ncsnpp 28M", {}, 36, 271, 27_756_314),
        ("ncsnpp12M", {}, 36, 273, 11_675_546),
        ("ncsnpp6M", {}, 36, 269, 5_216_762),
    ],
)
def test_published_totals(variant, options, modules, tensors, values):
    shapes = shapes_of(**VARIANTS[variant], **options)
    assert len({name.split(".")[1] for name in shapes if name.startswith("all_")}) == modules
    assert len(shapes) == tensors
    assert sum(math.prod(shape) for shape in shapes.values()) == values


def test_names_shapes_and_order_of_the_tiny_network():
    assert list(shapes_of(**TINY).items()) == list(expanded(TINY_LAYOUT, 4, 64).items())


RECORDED = Path(__file__).parents[3] / "shared" / "anchors" / "ncsnpp_state_dict.txt"


@pytest.mark.skipif(not RECORDED.exists(), reason=f"{RECORDED} is not there")
@pytest.mark.parametrize(
    ("section", "options"),
    [
        (1, VARIANTS["ncsnpp 65M"]),
        (2, VARIANTS["ncsnpp_48k"]),
        (3, {**VARIANTS["ncsnpp 28M"], **PREDICTOR}),
        (4, {**VARIANTS["ncsnpp 28M"], "in_channels": 6}),
    ],
)
def test_names_shapes_and_order_as_recorded(section, options):
    text = RECORDED.read_text().split(f"\n[{section}] ")[1].split(f"\n[{section + 1}] ")[0]
    layout = "\n".join(line for line in text.splitlines() if re.match(r"\d+ [A-Z]", line))
    expected = expanded(layout, options.get("in_channels", 4), 512)
    assert list(shapes_of(**options).items()) == list(expected.items())


# Parts --------------------------------------------------------------------------------------------


def fir(x: Tensor, gain: float) -> Tensor:
    """Convolution with gain outer([1,3,3,1])/64, one output per full overlap, by sums."""
    weights = [1.0, 3.0, 3.0, 1.0]
    ny, nx = x.shape[2] - 3, x.shape[3] - 3
    out = torch.zeros(*x.shape[:2], ny, nx, dtype=x.dtype)
    for i, wi in enumerate(weights):
        for j, wj in enumerate(weights):
            out += gain * wi * wj / 64 * x[:, :, i : i + ny, j : j + nx]
    return out


def test_downsampling_smooths_and_keeps_every_other():
    x = randn(2, 3, 8, 12)
    expected = fir(functional.pad(x, (1, 1, 1, 1)), 1)[:, :, ::2, ::2]
    assert torch.allclose(_downsample(x), expected)
    flat = _downsample(torch.ones(1, 1, 8, 8, dtype=F64))
    assert torch.allclose(flat[:, :, 1:-1, 1:-1], torch.ones(1, 1, 2, 2, dtype=F64))


def test_upsampling_puts_zeros_between_and_smooths():
    x = randn(2, 3, 5, 4)
    spread = torch.zeros(2, 3, 10, 8, dtype=F64)
    spread[:, :, ::2, ::2] = x
    expected = fir(functional.pad(spread, (2, 1, 2, 1)), 4)
    assert torch.allclose(_upsample(x), expected)
    flat = _upsample(torch.ones(1, 1, 6, 6, dtype=F64))
    assert torch.allclose(flat[:, :, 1:-1, 1:-1], torch.ones(1, 1, 10, 10, dtype=F64))


def test_resampling_is_the_same_on_every_channel():
    x = randn(1, 2, 8, 8)
    for resample in (_downsample, _upsample):
        apart = torch.cat([resample(x[:, :1]), resample(x[:, 1:])], dim=1)
        assert torch.allclose(resample(x), apart)


def test_attention_by_its_definition():
    torch.manual_seed(0)
    layer = _Attention(8).double()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    x = randn(2, 8, 3, 5)
    h = functional.group_norm(x, 2, layer.GroupNorm_0.weight, layer.GroupNorm_0.bias, 1e-6)
    q, k, v = (
        torch.einsum("bchw,cd->bdhw", h, nin.W) + nin.b[:, None, None]
        for nin in (layer.NIN_0, layer.NIN_1, layer.NIN_2)
    )
    weight = torch.einsum("bchw,bcij->bhwij", q, k) / 8**0.5
    weight = weight.flatten(3).softmax(-1).unflatten(3, (3, 5))
    h = torch.einsum("bhwij,bcij->bchw", weight, v)
    h = torch.einsum("bchw,cd->bdhw", h, layer.NIN_3.W) + layer.NIN_3.b[:, None, None]
    assert torch.allclose(layer(x), (x + h) / 2**0.5)


def test_the_time_embedding_stays_in_single_precision_under_autocast():
    """Arguments reach 1e3 radians, where bfloat16 knows no phase at all."""
    torch.manual_seed(0)
    features = _FourierFeatures(64)
    t = torch.tensor([0.03, 0.5, 1.0])
    seen = []
    network = filled(NCSNpp(**TINY))
    network.all_modules[0].register_forward_hook(lambda m, args, out: seen.append(out))
    x = torch.randn(3, 4, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(x, t)
    angle = 2 * math.pi * t.double().log()[:, None] * network.all_modules[0].W.double()
    expected = torch.cat([angle.sin(), angle.cos()], dim=1)
    assert seen[0].dtype == torch.float32
    assert (seen[0] - expected).abs().max() < 2e-4
    assert float(features.W.std()) == pytest.approx(16, rel=0.4)
    assert not features.W.requires_grad


# The walk -----------------------------------------------------------------------------------------


def filled(network: NCSNpp) -> NCSNpp:
    torch.manual_seed(1)
    for name, p in network.named_parameters():
        if not name.endswith(".0.W"):
            nn.init.normal_(p, std=0.2)
    return network.eval()


def by_hand(network: NCSNpp, x: Tensor, t: Tensor) -> Tensor:
    """The tiny network, module by module, in the published order."""
    m = network.all_modules
    emb = m[2](functional.silu(m[1](m[0](t.log()))))

    def head(i: int, h: Tensor) -> Tensor:
        return m[i + 1](functional.silu(m[i](h)))

    x1, x2 = _downsample(x), _downsample(_downsample(x))
    h3 = m[3](x)
    h4 = m[4](h3, emb)
    h6 = m[6].Conv_0(x1) + m[5](h4, emb)
    h8 = m[8](m[7](h6, emb))
    h10 = m[10].Conv_0(x2) + m[9](h8, emb)
    h11 = m[11](h10, emb)
    h = m[14](m[13](m[12](h11, emb)), emb)
    h = m[15](torch.cat([h, h11], 1), emb)
    h = m[16](torch.cat([h, h10], 1), emb)
    pyramid = head(17, h)
    h = m[19](h, emb)
    h = m[20](torch.cat([h, h8], 1), emb)
    h = m[22](m[21](torch.cat([h, h6], 1), emb))
    pyramid = _upsample(pyramid) + head(23, h)
    h = m[25](h, emb)
    h = m[26](torch.cat([h, h4], 1), emb)
    h = m[27](torch.cat([h, h3], 1), emb)
    pyramid = _upsample(pyramid) + head(28, h)
    return network.output_layer(pyramid / t[:, None, None, None])


@torch.no_grad()
def test_forward_takes_the_modules_in_order():
    network = filled(NCSNpp(**TINY))
    x, t = torch.randn(2, 4, 8, 12), torch.tensor([0.1, 0.9])
    assert torch.allclose(network(x, t), by_hand(network, x, t), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_division_by_time_before_and_after_the_last_layer():
    before, after, none = (
        filled(NCSNpp(**TINY, division=place)) for place in ("before", "after", "none")
    )
    for network in (before, after):
        network.load_state_dict(none.state_dict())
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([0.25, 0.5])
    plain = none(x, t)
    weight = t[:, None, None, None]
    bias = none.output_layer.bias[:, None, None]
    assert torch.allclose(after(x, t), plain / weight, rtol=1e-4, atol=1e-5)
    assert torch.allclose(before(x, t), (plain - bias) / weight + bias, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_network_without_time_ignores_it():
    options = {**TINY, "in_channels": 2, "conditional": False, "division": "none"}
    network = filled(NCSNpp(**options))
    x = torch.randn(2, 2, 8, 8)
    assert torch.equal(network(x, torch.zeros(2)), network(x, torch.ones(2)))
    with pytest.raises(ValueError, match="cannot divide"):
        NCSNpp(**{**options, "division": "before"})


@torch.no_grad()
def test_padding_mapping_and_selection_of_the_input():
    network = filled(NCSNpp(**TINY))
    x, t = torch.randn(2, 4, 7, 10), torch.tensor([0.2, 0.7])
    padded = functional.pad(x, (0, 2, 0, 1))
    assert torch.allclose(network(x, t), network(padded, t)[:, :, :7, :10], atol=1e-5)

    mapped = NCSNpp(**TINY, centered=False).eval()
    mapped.load_state_dict(network.state_dict())
    assert torch.allclose(mapped(x, t), network(2 * padded - 1, t)[:, :, :7, :10], atol=1e-5)

    chosen = NCSNpp(**TINY, select=[0, 1, 4, 5]).eval()
    chosen.load_state_dict(network.state_dict())
    cond = torch.randn(2, 2, 7, 10)
    expected = network(torch.cat([x[:, :2], cond], dim=1), t)
    assert torch.equal(chosen(x, t, cond), expected)


@torch.no_grad()
def test_a_denoiser_tells_it_the_time():
    """With the exact formula of the score: x0 = (x - b y + s^2 score) / a."""
    network = filled(NCSNpp(**{**TINY, "in_channels": 4}))
    process = OUVE()
    denoiser = NetworkDenoiser(network, process, "score", scale=2**0.5, complex_data=True)
    x, y = (torch.randn(1, 1, 8, 8, dtype=torch.complex64) for _ in range(2))
    a, b, s = process(0.4)
    parts = torch.cat([x.real, x.imag, y.real, y.imag], dim=1)
    out = network(parts, torch.tensor([0.4]))
    # A real channel's noise has s / sqrt 2, so its score is twice that of the complex variable.
    score = torch.complex(out[:, :1], out[:, 1:]) / 2
    expected = (x - b * y + s**2 * score) / a
    assert torch.allclose(denoiser(x, 0.4, y), expected, rtol=1e-4, atol=1e-5)


def test_built_again_from_its_configuration():
    network = filled(NCSNpp(**TINY, select=[0, 1, 2, 3], centered=False))
    copy = build_network(json.loads(json.dumps({"name": "NCSNpp", **network.config})))
    copy.load_state_dict(network.state_dict())
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([0.3])
    with torch.no_grad():
        assert torch.equal(copy.eval()(x, t), network(x, t))
