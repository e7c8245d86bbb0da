"""A web page on loopback that shows what chosen models make of an image, side by side. Nothing leaves the machine."""

from __future__ import annotations

import base64
import binascii
import io
import json
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from i2ibench import loopback
from i2ibench.data import pixels
from i2ibench.errors import ConfigError, DataError, I2IBenchError, one_line
from i2ibench.use.ask import Ask
from i2ibench.use.model import Model

PAGE = Path(__file__).with_name("demo.html")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
BYTES = 16 << 20  # of an upload, and
PIXELS = 2048 * 2048  # of the image in it
MOST = 2 * BYTES * 4 // 3 + 4096  # of a request: two images in base64
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


def serve(models: Sequence[Model], port: int = 0, host: str = "127.0.0.1") -> loopback.PageServer:
    """A server that listens (on any free port if 0); `serve_forever` answers.

    Raises:
        ConfigError: the port is taken, or is not ours to take.
    """
    return loopback.listen(partial(Handler, app=Demo(models)), host, port)


class Handler(loopback.PageHandler):
    """GET / is the page, GET /models what it shows, POST /translate one translation. All else is refused."""

    def __init__(self, *request: Any, app: Demo) -> None:
        self.app = app
        super().__init__(*request)  # answers

    def do_GET(self) -> None:
        if not self.is_ours():
            return
        path = urlsplit(self.path).path
        if path == "/":
            self.page(PAGE)
        elif path == "/models":
            self.json(200, {"models": self.app.described()})
        else:
            self.json(404, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        if not self.is_ours():
            return
        if urlsplit(self.path).path != "/translate" or self.headers.get_content_type() != "application/json":
            self.json(404, {"error": "POST JSON to /translate"})
        elif (sent := self.content(MOST, f"images of {BYTES >> 20} MB")) is not None:
            try:
                asked = json.loads(sent)
                self.json(200, self.app.translate(asked if isinstance(asked, dict) else {}))
            except Busy as error:
                self.json(503, {"error": str(error)})
            except (I2IBenchError, ValueError) as error:
                self.json(400, {"error": one_line(error)})
            except Exception as error:  # the page goes on, whatever a method file does
                self.json(500, {"error": f"the model failed: {type(error).__name__}"})


def _png(image: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
