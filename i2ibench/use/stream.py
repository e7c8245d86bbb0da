"""Translates a stream of images, file after file in one pipe, as ffmpeg's image2pipe writes and reads them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from i2ibench.data import pixels
from i2ibench.errors import DataError
from i2ibench.use.ask import Ask
from i2ibench.use.model import Model

MOST = 256 << 20  # bytes of one image: a length that is larger is no length
PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM"
ALONE = {0x01, *range(0xD0, 0xD8)}  # markers of JPEG that nothing follows


def translate(
    model: Model, source: BinaryIO, sink: BinaryIO, ask: Ask, broken: Callable[[str], None] = lambda line: None
) -> int:
    """Write the translations of each image (PNG) as soon as it has come; return how many images were translated.

    Args:
        source: PNG, JPEG and BMP files, one after the other.
        broken: is told of an image that does not decode; the others go on.

    Raises:
        ConfigError: the method cannot do what is asked for.
        DataError: what comes is no image file, or the stream ends within one.
    """
    from PIL import Image

    model.require(ask)
    done = 0
    for number, content in enumerate(split(io.BufferedReader(_Raw(source))), start=1):
        try:
            image = np.asarray(pixels.decode(content, f"image {number} of the stream"))
        except DataError as error:
            broken(str(error))
            continue
        for output in model.outputs([image], ask)[0]:
            file = io.BytesIO()
            Image.fromarray(output).save(file, "PNG")
            sink.write(file.getvalue())
        sink.flush()
        done += 1
    return done


def split(stream: io.BufferedReader) -> Iterator[bytes]:
    """The image files of a stream, by the lengths that they say themselves.

    Raises:
        DataError: see `translate`.
    """
    number = 0
    while start := stream.read(2):
        number += 1
        try:
            if start == PNG[:2]:
                yield start + _png(stream)
            elif start == JPEG:
                yield start + _jpeg(stream)
            elif start == BMP:
                length = _exactly(stream, 4)
                yield start + length + _exactly(stream, struct.unpack("<I", length)[0] - 6)
            else:
                raise DataError(f"image {number} of the stream is no PNG, JPEG or BMP")
        except EOFError:
            raise DataError(f"the stream ends within image {number}") from None


def _png(stream: io.BufferedReader) -> bytes:
    """The rest of a PNG: chunks of length, name, content and checksum, up to the one called IEND."""
    parts = [_exactly(stream, len(PNG) - 2)]
    while parts[-1][4:8] != b"IEND":
        head = _exactly(stream, 8)
        parts.append(head + _exactly(stream, struct.unpack(">I", head[:4])[0] + 4))
    return b"".join(parts)


def _jpeg(stream: io.BufferedReader) -> bytes:
    """The rest of a JPEG: segments of marker, length and content, and compressed data up to the next marker."""
    parts = list[bytes]()
    while True:
        parts.append(_up_to_marker(stream))
        marker = parts[-1][-1]
        if marker == 0xD9:
            return b"".join(parts)
        if marker not in ALONE:
            length = _exactly(stream, 2)
            parts.append(length + _exactly(stream, struct.unpack(">H", length)[0] - 2))


def _up_to_marker(stream: io.BufferedReader) -> bytes:
    """All up to and with the next marker: 0xFF and a byte that is neither 0 (escaped data) nor 0xFF (filling)."""
    found = bytearray()
    while True:
        ahead = stream.peek(1)
        if not ahead:
            raise EOFError
        end = ahead.find(b"\xff")
        found += _exactly(stream, len(ahead) if end < 0 else end + 1)
        if end >= 0:
            found += _exactly(stream, 1)
            while found[-1] == 0xFF:
                found += _exactly(stream, 1)
            if found[-1]:
                return bytes(found)


def _exactly(stream: io.BufferedReader, count: int) -> bytes:
    if not 0 <= count <= MOST:
        raise DataError(f"an image of the stream says that it has a part of {count} bytes: it is damaged")
    content = stream.read(count)
    if len(content) < count:
        raise EOFError
    return content


class _Raw(io.RawIOBase):
    """A stream that gives what is there already, without waiting for a full buffer."""

    def __init__(self, source: BinaryIO) -> None:
        self._read = getattr(source, "read1", source.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
