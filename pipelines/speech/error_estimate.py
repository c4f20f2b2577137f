"""The standard deviation of an enhanced recording, block by block, from the model's error law."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from sciddm.physics.speech.error_law import ErrorLaw
from sciddm.pipelines.speech.enhance import Block

__all__ = ["with_error"]


def with_error(
    blocks: Iterable[Block],
    law: ErrorLaw,
    rate: int,
    offset: NDArray[np.float64],
    attenuation_limit: float | None,
) -> Iterator[Block]:
    """The blocks with a standard deviation, cut anew: what the law needs of the future is awaited.

    The variance is the law's and that of the draws together. With out = e + k (y - e), k the share
    that an attenuation limit keeps, the truth that is meant is x + k (y - x), and the error
    (1 - k) (e - x).

    Args:
        blocks: of a run, in order.
        law: of the model and quality.
        rate: of the recording in Hz.
        offset: of each channel, (channel, 1).
        attenuation_limit: in dB, or None.
    """
    share = 0.0 if attenuation_limit is None else float(10 ** (-attenuation_limit / 20))
    buffer = Block(*(np.zeros((len(offset), 0), np.float32) for _ in fields(Block)))

    def signals() -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        nonlocal buffer
        for block in blocks:
            buffer = _concatenate(buffer, block)
            noisy = block.noisy - offset
            answer = block.enhanced - offset
            yield noisy, (answer - share * noisy) / (1 - share) if share < 1 else noisy

    for std in law.stream(signals(), rate):
        n = std.shape[1]
        assert buffer.std is not None
        whole = np.hypot((1 - share) * std, buffer.std[:, :n])
        yield Block(buffer.noisy[:, :n], buffer.enhanced[:, :n], whole.astype(np.float32))
        buffer = Block(buffer.noisy[:, n:], buffer.enhanced[:, n:], buffer.std[:, n:])


def _concatenate(first: Block, second: Block) -> Block:
    std = np.zeros_like(second.noisy) if second.std is None else second.std
    assert first.std is not None
    pairs = ((first.noisy, second.noisy), (first.enhanced, second.enhanced), (first.std, std))
    return Block(*(np.concatenate(pair, axis=1) for pair in pairs))
