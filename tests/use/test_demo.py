"""The demo page: what its server answers and refuses, and a real browser that uploads, slides, draws and downloads."""

from __future__ import annotations

import base64
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2ibench.store import Store
from i2ibench.use import demo, trials
from i2ibench.use.model import Model

Post = Callable[..., tuple[int, dict[str, Any]]]
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 33, 3), np.uint8)


def png(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def opened(content: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture(scope="module")
def models(store: Path) -> list[Model]:
    return [trials.opened(name, Store(store), "cpu") for name in ("plain", "munit")]


@pytest.fixture(scope="module")
def address(models: list[Model]) -> Iterator[str]:
    server = demo.serve(models)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def post(address: str) -> Post:
    def send(body: object, headers: dict[str, str] | None = None, path: str = "/translate") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(address + path, data, {"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return send


def test_a_translation_is_that_of_the_model(post: Post, models: list[Model]) -> None:
    asks: list[dict[str, Any]] = [{}, {"seed": 3}, {"direction": "BtoA"}, {"fit": "tile"}, {"style": png(IMAGE[:20])}]
    for ask in asks:
        status, answer = post({"model": 1, "image": png(IMAGE), **ask})
        assert (status, answer["width"], answer["height"]) == (200, 33, 40), answer
        options = {"style_from" if key == "style" else key: IMAGE[:20] if key == "style" else ask[key] for key in ask}
        np.testing.assert_array_equal(opened(answer["image"]), models[1].translate(IMAGE, **options))
    assert answer["milliseconds"] > 0


def test_models_are_told_apart_by_as_little_as_it_takes(models: list[Model]) -> None:
    plain, munit = models
    others = replace(plain, about=plain.about | {"data": "others"})
    shown = [
        [one["name"] for one in demo.Demo(these).described()]
        for these in (models, [plain, others, munit], [plain, plain])
    ]
    label, data = plain.about["label"], plain.about["data"]
    assert shown[0] == [label, munit.about["label"]]
    assert shown[1] == [f"{label} on {data}", f"{label} on others", munit.about["label"]]
    assert shown[2] == [plain.name, plain.name]


def test_several_users_at_once_get_each_their_own(post: Post, models: list[Model]) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), np.uint8)
    answers: dict[int, Any] = {}
    users = [
        threading.Thread(target=lambda i=i: answers.update({i: post({"model": i % 2, "image": png(images[i]), "seed": i})}))
        for i in range(len(images))
    ]  # fmt: skip
    for user in users:
        user.start()
    for user in users:
        user.join()
    for i, (status, answer) in answers.items():
        assert status == 200
        np.testing.assert_array_equal(opened(answer["image"]), models[i % 2].translate(images[i], seed=i))
    assert len(answers) == len(images)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"model": 2, "image": png(IMAGE)}, "no such model"),
        ({"model": "../x", "image": png(IMAGE)}, "no such model"),
        ({"model": 0}, "no image that can be read"),
        ({"model": 0, "image": "%%%"}, "no image that can be read"),
        ({"model": 0, "image": base64.b64encode(b"GIF89a" + bytes(20)).decode()}, "no image that can be read"),
        ({"model": 0, "image": png(IMAGE)[:200]}, "no image that can be read|does not decode"),
        ({"model": 0, "image": png(np.zeros((2049, 2049, 3), np.uint8))}, "2049 x 2049 pixels, and 4,194,304 in all"),
        ({"model": 0, "image": png(IMAGE), "direction": "BtoA"}, "goes AtoB only"),
        ({"model": 0, "image": png(IMAGE), "seed": -1}, "whole number"),
        ({"model": 0, "image": png(IMAGE), "fit": ["x"]}, "none of auto"),
        ([1, 2], "no such model"),
    ],
)
def test_what_cannot_be_done_is_one_line(post: Post, ask: Any, message: str) -> None:
    import re

    status, answer = post(ask)
    assert status == 400
    assert re.search(message, answer["error"])
    assert "\n" not in answer["error"]


def test_it_answers_to_its_own_page_alone(post: Post, address: str) -> None:
    ask = {"model": 0, "image": png(IMAGE)}
    assert post(ask, {"Host": "evil.example"})[0] == 403
    assert post(ask, {"Origin": "http://evil.example"})[0] == 403
    assert post(ask, {"Origin": address})[0] == 200
    assert post(ask, {"Content-Type": "text/plain"})[0] == 404, "what a foreign form could send"
    assert post(ask, path="/other")[0] == 404
    assert post(b"not json")[0] == 400
    assert post(b"", {"Content-Length": str(1 << 40)})[0] == 413
    for path in ("/../demo.py", "/etc/passwd", "/models/x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path, timeout=60)


def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    with urllib.request.urlopen(address, timeout=60) as reply:
        page, policy = reply.read().decode(), reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in page.replace("http-equiv", "")
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert page.count(f'nonce="{nonce}"') == 2
    assert "innerHTML" not in page


def _a_webcam_is_a_drawing_too(browser: Any, picture: Callable[[int], np.ndarray], models: list[Model]) -> None:
    """Chromium's own stand-in for one, which shows a moving test card."""
    browser.value("document.querySelectorAll('figure img').forEach(i => i.removeAttribute('src')); $('camera').click()")
    browser.wait("$('video').videoWidth > 0 && !$('snap').hidden")
    browser.value("$('snap').click()")
    taken = picture(0)
    seen = opened(browser.value("$('canvas').toDataURL()").split(",")[1])[..., :3]
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 5, "the card has colours"
    np.testing.assert_array_equal(taken, models[0].translate(seen))
    assert browser.value("$('video').hidden && $('video').srcObject.getTracks().every(t => t.readyState == 'ended')")


def _a_file_that_is_no_image_is_refused_at_once(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    chooser = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=chooser, files=[str(tmp_path / "notes.txt")])
    assert "notes.txt: this is no PNG" in browser.wait("$('error').textContent")


@pytest.mark.slow
def test_in_a_browser(browser: Any, address: str, models: list[Model], tmp_path: Path) -> None:
    """Upload, style, drawing, download: each picture on the page is the model's own, pixel for pixel."""
    shown = "document.querySelectorAll('figure img')[{}].src"
    finished = "[...document.querySelectorAll('.note')].filter(n => n.textContent.endsWith(' ms')).length == 2"

    def picture(number: int) -> np.ndarray:
        return opened(browser.wait(shown.format(number)).split(",")[1])

    Image.fromarray(IMAGE).save(tmp_path / "in.png")
    browser.call("Log.enable")
    browser.call("Page.enable")
    browser.call("Page.navigate", url=address)
    browser.wait("document.body && document.body.dataset.ready")
    assert browser.value("[...document.querySelectorAll('figure img')].every(i => i.hidden)"), "no broken picture"
    assert browser.value("document.querySelector('.place').textContent") == "waits for an image"
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    chooser = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=chooser, files=[str(tmp_path / "in.png")])
    browser.wait(finished)
    for number, model in enumerate(models):
        np.testing.assert_array_equal(picture(number), model.translate(IMAGE))
    assert browser.value("document.querySelector('figure a').download") == "plain.png"
    assert "33 x 40" in browser.value("document.querySelector('.note').textContent")

    before = browser.value(shown.format(1))
    browser.value("$('seed').value = 7; $('seed').dispatchEvent(new Event('change'))")
    browser.wait(f"{shown.format(1)} != {json.dumps(before)}")
    np.testing.assert_array_equal(picture(1), models[1].translate(IMAGE, seed=7))

    browser.value("$('clear').click(); document.querySelectorAll('figure img').forEach(i => i.removeAttribute('src'))")
    box = browser.value("(({left, top}) => [left, top])($('canvas').getBoundingClientRect())")
    for kind, x in (("mousePressed", 60), ("mouseMoved", 120), ("mouseMoved", 180), ("mouseReleased", 180)):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=box[0] + x, y=box[1] + 90, button="left", buttons=1, clickCount=1
        )
    drawn = opened(browser.value("$('canvas').toDataURL()").split(",")[1])[..., :3]
    assert 40 < (drawn < 128).all(axis=-1).sum() < 3000, "a line of the pen"
    np.testing.assert_array_equal(picture(0), models[0].translate(drawn))
    _a_webcam_is_a_drawing_too(browser, picture, models)
    _a_file_that_is_no_image_is_refused_at_once(browser, tmp_path)
    complaints = [e["params"]["entry"]["text"] for e in browser.events if e["method"] == "Log.entryAdded"]
    assert complaints == []
