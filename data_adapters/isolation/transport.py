"""Objects between two processes over a socket; large arrays in memory that both can map.

A message is a header (bytes of the pickle, number of large buffers), the lengths of the buffers,
and the pickle (protocol 5, buffers out of band). The buffers lie one after the other in an
anonymous file, whose descriptor goes with the header: nothing of it has a name, so that nothing is
left of it when both processes are gone. Both ends are the same user's and the same program.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import tempfile
from typing import Any

__all__ = ["ClosedError", "receive", "send"]

_HEADER = struct.Struct("<QQ")
_LENGTH = struct.Struct("<Q")
_LARGE = 2**18  # below, a pipe is quicker than pages of memory that both map
_ALIGNMENT = 64


class ClosedError(EOFError):
    """The other process is gone."""


def send(to: socket.socket, content: Any) -> None:
    """Sends an object.

    Raises:
        OSError: the other process is gone, or there is no memory for the buffers.
    """
    buffers: list[memoryview] = []

    def large(buffer: pickle.PickleBuffer) -> bool:
        """Whether a buffer goes with the pickle."""
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        buffers.append(view)
        return False

    packed = pickle.dumps(content, protocol=5, buffer_callback=large)
    lengths = b"".join(_LENGTH.pack(b.nbytes) for b in buffers)
    header = _HEADER.pack(len(packed), len(buffers))
    if not buffers:
        to.sendall(header + packed)
        return
    handle = _shared()
    try:
        for buffer in buffers:
            _write(handle, buffer)
            _write(handle, memoryview(bytes(-buffer.nbytes % _ALIGNMENT)))
        socket.send_fds(to, [header], [handle])
    finally:
        os.close(handle)
    to.sendall(lengths + packed)


def receive(source: socket.socket) -> Any:
    """Receives an object; its large arrays can be written to and belong to nobody else.

    Raises:
        ClosedError: the other process is gone.
        TimeoutError: the socket's time is over.
    """
    header, handles, _, _ = socket.recv_fds(source, _HEADER.size, 1)
    try:
        if not header:
            raise ClosedError
        header += _exactly(source, _HEADER.size - len(header))
        size, count = _HEADER.unpack(header)
        lengths = [n for (n,) in _LENGTH.iter_unpack(_exactly(source, count * _LENGTH.size))]
        packed = _exactly(source, size)
        buffers = []
        if count:
            total = sum(n + -n % _ALIGNMENT for n in lengths)
            whole = memoryview(mmap.mmap(handles[0], total, mmap.MAP_PRIVATE))
            start = 0
            for n in lengths:
                buffers.append(whole[start : start + n])
                start += n + -n % _ALIGNMENT
    finally:
        for handle in handles:
            os.close(handle)
    return pickle.loads(packed, buffers=buffers)


def _shared() -> int:
    """An anonymous file in memory, or on the disk where the system has no such thing."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sciddm")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(handle: int, content: memoryview) -> None:
    while content.nbytes:
        content = content[os.write(handle, content) :]


def _exactly(source: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    view, at = memoryview(content), 0
    while at < size:
        got = source.recv_into(view[at:])
        if not got:
            raise ClosedError
        at += got
    return content
