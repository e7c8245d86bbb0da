"""A stream of image files in one pipe: cut where each ends, translated as each comes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import i2ibench
from i2ibench import cli
from i2ibench.data import pixels
from i2ibench.errors import DataError
from i2ibench.use import stream
from i2ibench.use.ask import Ask


def encoded(image: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def cut(content: bytes) -> list[bytes]:
    return list(stream.split(io.BufferedReader(io.BytesIO(content))))


KINDS = st.sampled_from(
    [("PNG", {}), ("BMP", {}), ("JPEG", {}), ("JPEG", {"progressive": True, "restart_marker_rows": 1})]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40), KINDS), max_size=4))
def test_files_are_cut_where_they_end(several: list[tuple[int, int, tuple[str, dict[str, object]]]]) -> None:
    files = [encoded(noise(h, w, i), kind, **options) for i, (h, w, (kind, options)) in enumerate(several)]
    assert cut(b"".join(files)) == files


def test_a_thumbnail_within_a_jpeg_does_not_end_it() -> None:
    thumbnail = encoded(noise(8, 8), "JPEG")
    outer = encoded(noise(16, 16), "JPEG")
    held = outer[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + outer[2:]
    assert cut(held + outer) == [held, outer]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a", "image 1 of the stream is no PNG, JPEG or BMP"),
        (encoded(noise(4, 4), "PNG") + b"\n", "image 2 of the stream is no"),
        (encoded(noise(4, 4), "PNG")[:-3], "the stream ends within image 1"),
        (encoded(noise(4, 4), "JPEG")[:-3], "the stream ends within image 1"),
        (b"BM" + bytes(4), "is damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 8, "is damaged"),
    ],
)
def test_what_is_no_stream_of_images_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cut(content)


def test_translate_from_pipe_to_pipe(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [noise(32, 32), noise(40, 33, 1)]
    files = [encoded(images[0], "PNG"), encoded(images[1], "JPEG")]
    damaged = bytearray(files[0])
    damaged[60] ^= 255
    sink = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(files[0] + bytes(damaged) + files[1])))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink))
    monkeypatch.setattr(sys, "argv", ["i2ibench", "translate", "munit", "-", "-", "--n", "2", "--store", str(store)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1, "one of them is damaged"
    model = i2ibench.load("munit", store=store)
    expected = [*model.translate(images[0], n=2), *model.translate(np.asarray(pixels.decode(files[1], "it")), n=2)]
    made = [np.asarray(Image.open(io.BytesIO(each))) for each in cut(sink.getvalue())]
    assert len(made) == len(expected)
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_is_answered_before_the_next_has_come(store: Path) -> None:
    model, sink = i2ibench.load("munit", store=store), io.BytesIO()

    class Pipe(io.RawIOBase):
        """Gives one file at a time, and notes how much had been answered by then."""

        def __init__(self) -> None:
            self.files = [encoded(noise(32, 32, i), "PNG") for i in range(3)]
            self.answered: list[int] = []

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.answered.append(len(cut(sink.getvalue())))
            return self.files.pop(0) if self.files else b""

    pipe = Pipe()
    assert stream.translate(model, pipe, sink, Ask()) == 3
    assert pipe.answered == [0, 1, 2, 3]
