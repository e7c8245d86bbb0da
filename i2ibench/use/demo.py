"""A web page on loopback that shows what chosen models make of an image, side by side. Nothing leaves the machine."""

from __future__ import annotations

import base64
import binascii
import io
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from i2ibench import loopback
from i2ibench.data import pixels
from i2ibench.errors import ConfigError, DataError, I2IBenchError
from i2ibench.use.ask import Ask
from i2ibench.use.model import Model

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
BYTES = 16 << 20  # of an upload, and
PIXELS = 2048 * 2048  # of the image in it
WAITING = 16  # translations that may wait for their turn; further ones are sent away


class Demo:
    """The models of the page, and what it asks of them: several users at once, one translation at a time."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        for model in models:  # now, and not while the first visitor waits
            for direction in model.directions:
                model.multiple(direction)
        self._turn = threading.Lock()  # torch's seed is the whole process's, and so are its threads
        self._places = threading.BoundedSemaphore(WAITING)

    def described(self) -> list[dict[str, Any]]:
        """What the page needs to know of each model."""
        abouts = [model.about for model in self.models]
        labels = [str(about.get("label", model.name)) for about, model in zip(abouts, self.models, strict=True)]
        longer = [f"{label} on {about.get('data')}" for label, about in zip(labels, abouts, strict=True)]
        return [
            {
                "name": next((one for one, of in ((short, labels), (long, longer)) if of.count(one) == 1), model.name),
                "title": f"{model.name}, {model.size} x {model.size} pixels in training",
                "size": model.size,
                "directions": list(model.directions),
                "multimodal": model.method.multimodal,
                "exemplars": model.method.exemplars,
            }
            for short, long, model in zip(labels, longer, self.models, strict=True)
        ]

    def translate(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One model's answer: {"image": PNG in base64, "width", "height", "milliseconds"}.

        Args:
            asked: "model" (its number), "image" (a file in base64); and if wanted "style" (another), "direction",
                "seed" and "fit".

        Raises:
            I2IBenchError: one line that says what is wrong.
        """
        number, seed = asked.get("model"), asked.get("seed", 0)
        if not (isinstance(number, int) and 0 <= number < len(self.models)):
            raise ConfigError("there is no such model")
        if not (isinstance(seed, int) and 0 <= seed < 2**32):
            raise ConfigError("a seed is a whole number from 0 on")
        model, image = self.models[number], decoded(asked.get("image"))
        styles = (decoded(asked["style"]),) if asked.get("style") else ()
        ask = Ask(None, styles, asked.get("direction"), asked.get("fit", "auto"), seed)
        model.require(ask)
        if not self._places.acquire(blocking=False):
            raise Busy("too many are waiting: try again in a moment")
        try:
            with self._turn:
                started = time.perf_counter()
                output = model.outputs([image], ask)[0][0]
                took = time.perf_counter() - started
        finally:
            self._places.release()
        height, width = output.shape[:2]
        return {"image": _png(output), "width": width, "height": height, "milliseconds": round(1000 * took, 1)}


class Busy(I2IBenchError):
    """More people ask than are answered."""


def decoded(content: object) -> np.ndarray:
    """An uploaded file, in base64, as uint8 (H, W, 3).

    Raises:
        DataError: it is none of the formats, too large, or damaged.
    """
    from PIL import Image

    try:
        data = base64.b64decode(content if isinstance(content, str) else b"", validate=True)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:  # reads the header alone
            width, height = image.size
    except (OSError, ValueError, binascii.Error, Image.DecompressionBombError):
        raise DataError(f"this is no image that can be read: send {', '.join(FORMATS)}") from None
    if width * height > PIXELS:
        raise DataError(f"the image has {width} x {height} pixels, and {PIXELS:,} in all are the most here")
    return np.asarray(pixels.decode(data, "the image"))


class Handler(loopback.AppHandler):
    """GET / is the page, GET /models what it shows, POST /translate one translation."""

    file = Path(__file__).with_name("demo.html")
    most = 2 * BYTES * 4 // 3 + 4096, f"images of {BYTES >> 20} MB"  # two of them in base64
    statuses: ClassVar = {Busy: 503}


def serve(models: Sequence[Model], port: int = 0, host: str = "127.0.0.1") -> loopback.PageServer:
    """A server that listens; as `loopback.listen`."""
    demo = Demo(models)
    gets, posts = {"/models": lambda: {"models": demo.described()}}, {"/translate": demo.translate}
    return loopback.listen(partial(Handler, gets=gets, posts=posts), host, port)


def _png(image: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
