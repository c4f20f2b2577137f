"""Long recordings in chunks that overlap, so that memory does not grow with the length.

Chunks start at multiples of the hop, so their frames are frames of the whole recording, and noise
that belongs to frames (`random.tiled_streams`) is the same in the overlap of two chunks.
Both chunks then have nearly the same estimate there, and a cross-fade joins them:

    out = (1 - w) left + w right,       w = sin^2(pi/2 n/N) over the N samples of the fade

The weights add to 1, as they should for estimates that agree. What lies between the fade and a
chunk's end is not used: there a network has seen too little of the surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.errors import InputError

__all__ = ["Chunk", "Chunking", "join", "windows"]


@dataclass(frozen=True)
class Chunk:
    """Samples [start, stop) of a recording, of which [fade_in, fade_out + fade) are used.

    Attributes:
        start: multiple of the hop.
        stop: end.
        fade_in: where it begins to replace the chunk before; `start` of the first chunk.
        fade_out: where the next chunk begins to replace it; `stop` of the last chunk.
        fade: samples of a cross-fade.
    """

    start: int
    stop: int
    fade_in: int
    fade_out: int
    fade: int

    @property
    def first(self) -> bool:
        """Whether nothing comes before."""
        return self.fade_in == self.start

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return self.fade_out == self.stop


@dataclass(frozen=True)
class Chunking:
    """How a recording is cut, in frames of `hop` samples.

    Attributes:
        frames: of the longest chunk.
        overlap: of two neighbours.
        fade: of the cross-fade, in the middle of the overlap.
        step: chunks begin at multiples of this; few lengths mean few compiled kernels.
    """

    frames: int = 2048
    overlap: int = 256
    fade: int = 64
    step: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.fade <= self.overlap or self.frames < self.overlap + self.step:
            raise InputError(
                f"{self}: the fade must fit into the overlap, and overlap and step into a chunk"
            )

    def cut(self, length: int, hop: int) -> list[Chunk]:
        """The chunks of `length` samples: of nearly equal lengths, none above `frames`."""
        overlap, fade = self.overlap * hop, self.fade * hop
        if length <= self.frames * hop:
            return [Chunk(0, length, 0, length, fade)]
        longest = (self.frames - self.overlap) // self.step
        count = math.ceil((length - overlap) / (longest * self.step * hop))
        stride = self.step * hop * math.ceil((length - overlap) / (count * self.step * hop))
        count = math.ceil((length - overlap) / stride)
        chunks = []
        for i in range(count):
            start = i * stride
            stop = min(start + stride + overlap, length)
            enter = start + (overlap - fade) // 2 if i else 0
            leave = start + stride + (overlap - fade) // 2 if i + 1 < count else stop
            chunks.append(Chunk(start, stop, enter, leave, fade))
        return chunks


def windows(blocks: Iterable[Tensor], chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Tensor]]:
    """Each chunk with its samples (..., stop - start), from blocks (..., n) read one after another.

    Only what a chunk covers is held.
    """
    source = iter(blocks)
    held: list[Tensor] = []
    begin = end = 0  # the samples that are held
    for chunk in chunks:
        while end < chunk.stop:
            block = next(source)
            held.append(block)
            end += block.shape[-1]
        whole = torch.cat(held, dim=-1)[..., chunk.start - begin :]
        held, begin = [whole], chunk.start
        yield chunk, whole[..., : chunk.stop - chunk.start]


def join(pieces: Iterable[tuple[Chunk, Tensor]]) -> Iterator[Tensor]:
    """The chunks' estimates (..., stop - start) as one signal, in consecutive pieces."""
    tail: Tensor | None = None  # the fading end of the chunk before
    for chunk, wave in pieces:
        begin = chunk.fade_in - chunk.start
        if tail is not None:
            ramp = torch.linspace(0, math.pi / 2, chunk.fade + 2, dtype=torch.float64)[1:-1]
            w = ramp.sin().square().to(wave.dtype)
            yield (1 - w) * tail + w * wave[..., begin : begin + chunk.fade]
            begin += chunk.fade
        leave = chunk.fade_out - chunk.start
        yield wave[..., begin:leave]
        tail = None if chunk.last else wave[..., leave : leave + chunk.fade].clone()
