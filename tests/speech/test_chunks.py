"""Cutting and joining: what is cut is all there is, and joining undoes it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.errors import InputError
from sciddm.physics.speech.chunks import Chunking, join, windows

HOP = 4
SMALL = Chunking(frames=64, overlap=16, fade=8, step=8)


@settings(deadline=None)
@given(
    length=st.integers(1, 5000),
    frames=st.integers(24, 80),
    overlap=st.integers(1, 16),
    fade=st.integers(1, 16),
)
def test_chunks_cover_everything(length, frames, overlap, fade):
    chunking = Chunking(frames, overlap, min(fade, overlap), step=8)
    chunks = chunking.cut(length, HOP)
    assert chunks[0].first
    assert chunks[-1].last
    assert (chunks[0].start, chunks[-1].stop) == (0, length)
    for chunk in chunks:
        assert chunk.start % (8 * HOP) == 0
        assert 0 < chunk.stop - chunk.start <= frames * HOP
    for left, right in pairwise(chunks):
        assert left.fade_out == right.fade_in
        assert right.start <= right.fade_in
        assert left.fade_out + left.fade <= left.stop
        # The fade lies in the middle of what both know.
        assert abs((right.fade_in - right.start) - (left.stop - left.fade_out - left.fade)) <= 1
    strides = {b.start - a.start for a, b in pairwise(chunks)}
    assert len(strides) <= 1  # lengths do not vary within a recording


@settings(deadline=None)
@given(
    length=st.integers(1, 3000),
    block=st.integers(1, 500),
    channels=st.integers(1, 2),
)
def test_joining_undoes_cutting(length, block, channels):
    wave = torch.randn(channels, length, generator=torch.Generator().manual_seed(length))
    chunks = SMALL.cut(length, HOP)
    cut = list(windows(wave.split(block, dim=-1), chunks))
    for chunk, part in cut:
        assert torch.equal(part, wave[:, chunk.start : chunk.stop])
    joined = torch.cat(list(join(cut)), dim=-1)
    torch.testing.assert_close(joined, wave, rtol=0, atol=1e-6)


def test_a_seam_is_a_smooth_crossfade():
    chunks = SMALL.cut(600, HOP)
    levels = [
        (chunk, torch.full((1, chunk.stop - chunk.start), float(i)))
        for i, chunk in enumerate(chunks)
    ]
    joined = torch.cat(list(join(levels)), dim=-1)[0]
    second = chunks[1]
    fade = joined[second.fade_in : second.fade_in + second.fade]
    n = torch.arange(1, second.fade + 1) / (second.fade + 1)
    torch.testing.assert_close(fade, (torch.pi / 2 * n).sin().square())
    assert (joined[: second.fade_in] == 0).all()
    assert (joined[second.fade_in + second.fade : chunks[1].fade_out] == 1).all()


def test_only_one_chunk_is_held():
    """A block is not asked for before a chunk needs it."""
    asked = []

    def blocks():
        for i in range(100):
            asked.append(i)
            yield torch.full((1, 50), float(i))

    chunks = SMALL.cut(5000, HOP)
    for chunk, _ in windows(blocks(), chunks):
        assert len(asked) * 50 < chunk.stop + 50


@pytest.mark.parametrize("bad", [{"fade": 0}, {"fade": 20}, {"frames": 20}])
def test_chunkings_that_cannot_be(bad):
    with pytest.raises(InputError, match="fit into"):
        Chunking(**{"frames": 64, "overlap": 16, "fade": 8, "step": 8, **bad})
