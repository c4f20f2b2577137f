"""The quick convolution against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sciddm.networks import convolution
from sciddm.networks.convolution import Conv2d


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": (3, 1), "padding": (3, 1)}])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_torchs(monkeypatch, options, bias, layout):
    monkeypatch.setattr(convolution, "native_precision", lambda device: "float32")
    torch.manual_seed(0)
    options = {"padding": 1, **options}
    reference = nn.Conv2d(5, 7, 3, bias=bias, **options)
    quick = Conv2d(5, 7, 3, bias=bias, **options)
    quick.load_state_dict(reference.state_dict())
    x = torch.randn(2, 5, 12, 9)
    results = []
    for layer in (reference, quick):
        layer.to(memory_format=layout)
        seen = x.to(memory_format=layout).requires_grad_(True)
        out = layer(seen)
        wanted = [seen, *layer.parameters()]
        results.append([out, *torch.autograd.grad(out.square().sum(), wanted)])
    assert type(results[1][0].grad_fn) is not type(results[0][0].grad_fn)
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_frozen_weights_leave_the_way_of_torch():
    layer = Conv2d(2, 3, 3, padding=1).requires_grad_(False)
    out = layer(torch.randn(1, 2, 6, 6, requires_grad=True))
    assert "Convolution" in type(out.grad_fn).__name__
