"""The study's page: nothing in it tells which image is which, wrong requests do nothing, and a browser goes through it."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2ibench import benchmark
from i2ibench.errors import ConfigError
from i2ibench.study import answers as kept
from i2ibench.study import server
from i2ibench.study.answers import Answers
from i2ibench.study.material import Material, of_store

SECRETS = ("cvae", "pix2pix", "cycle", "shapes", "judged", "noise", "check", "(real)", "scene-")


class Served:
    """A study that answers on loopback."""

    def __init__(self, file: Path, **options: Any) -> None:
        plan, self.store = benchmark.load(file)
        self.study = server.Study(Material(plan.trials, self.store), Answers(self.store.path), **options)
        self.server = server.serve(self.study)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
        return send(self.address, path, body, headers)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def send(address: str, path: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            content = reply.read()
            return reply.status, json.loads(content), content
    except urllib.error.HTTPError as error:
        content = error.read()
        return error.code, json.loads(content), content


@pytest.fixture
def serve(judged: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(**options: Any) -> Served:
        running.append(Served(judged, **options))
        return running[-1]

    yield start
    for one in running:
        one.close()


def pixels(content: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_nothing_tells_which_image_is_which(serve: Callable[..., Served]) -> None:
    """Every reply of a whole session: no name, no mark of a check, and two files of the same form and length."""
    served = serve(kinds=("real", "better"), questions=16, images=6)
    status, state, raw = served.post("/begin", {"consent": True})
    assert status == 200
    kinds = set()
    while (question := state["question"]) is not None:
        text = raw.decode().lower()
        for part in ("left", "right", "input"):
            text = text.replace((question[part] or "").lower(), "")
        assert not [secret for secret in SECRETS if secret in text.replace('"kind": "real"', "")]
        assert set(state) == {"code", "done", "total", "question"}
        assert set(question) == {"place", "kind", "practice", "exposure", "left", "right", "input"}
        left, right = (base64.b64decode(question[side]) for side in ("left", "right"))
        assert len(left) == len(right), "so that no length tells how smooth an image is"
        assert left[:33] == right[:33]
        assert left.count(b"IDAT") == 1 == right.count(b"IDAT")
        assert b"tEXt" not in left + right
        assert pixels(question["left"]).shape == pixels(question["right"]).shape == (32, 32, 3)
        assert (question["input"] is not None) == (question["kind"] == "better")
        kinds.add(question["kind"])
        answer = {"code": state["code"], "place": question["place"], "choice": "left", "seconds": 0.5}
        status, state, raw = served.post("/answer", answer)
        assert status == 200
    assert kinds == {"real", "better"}
    assert state["done"] == state["total"] == 18
    with urllib.request.urlopen(served.address, timeout=60) as reply:
        page, policy = reply.read().decode(), reply.headers["Content-Security-Policy"]
    assert not [secret for secret in ("cvae", "pix2pix", "cycle", "shapes", "judged") if secret in page]
    assert "default-src 'none'" in policy
    assert "http" not in page
    assert "innerHTML" not in page


def test_images_are_what_they_are_said_to_be(serve: Callable[..., Served]) -> None:
    served = serve(kinds=("real", "better"), questions=12, images=4)
    code = served.post("/begin", {"consent": True})[1]["code"]
    plan, store = benchmark.load(served.store.path.parent / "judged.yaml")
    images = plan.data["shapes"].source.decode()
    while (waiting := served.study.answers.state(code)[2]) is not None:
        state = served.post("/next", {"code": code})[1]["question"]
        cell, sides = waiting.question.cell, ("left", "right")
        a, b = sides if waiting.question.a_is_left else sides[::-1]
        for side, which in ((a, cell.a), (b, cell.b)):
            if which == "(real)":
                np.testing.assert_array_equal(pixels(state[side]), images.test_b[cell.image])
            elif which == "(noise)":
                assert pixels(state[side]).std() > 60
            else:
                outputs = store.trial(which).outputs()
                assert outputs is not None
                np.testing.assert_array_equal(pixels(state[side]), outputs[cell.image])
        if cell.kind == "better":
            np.testing.assert_array_equal(pixels(state["input"]), images.test_a[cell.image])
        served.study.answers.answer(code, waiting.place, True, 1.0)


def test_practice_tells_the_answer_and_counts_for_nothing(serve: Callable[..., Served]) -> None:
    served = serve(kinds=("real", "better"), questions=6, images=8, practice=5)
    images = benchmark.load(served.store.path.parent / "judged.yaml")[0].data["shapes"].source.decode()
    asked_about = {cell.image for cell in served.study.pool}
    assert len(asked_about) == 8
    state = served.post("/begin", {"consent": True})[1]
    told, kinds = [], []
    while (question := state["question"])["practice"]:
        assert (state["done"], state["total"]) == (len(told), 5)
        (image,) = {
            i for i, target in enumerate(images.test_b) for side in ("left", "right")
            if np.array_equal(pixels(question[side]), target)
        }  # fmt: skip
        truth = next(side for side in ("left", "right") if np.array_equal(pixels(question[side]), images.test_b[image]))
        assert image not in asked_about
        choice = "left" if len(told) % 2 else "right"
        answer = {"code": state["code"], "place": question["place"], "choice": choice, "seconds": 0.5}
        status, state, _ = served.post("/answer", answer)
        assert (status, state["told"]) == (200, {"right": choice == truth, "side": truth})
        assert served.post("/answer", answer)[1] == state, "a reply that was lost"
        told.append(choice == truth)
        kinds.append(question["kind"])
    assert sorted(kinds) in (["better"] * 2 + ["real"] * 3, ["better"] * 3 + ["real"] * 2)
    assert kinds == sorted(kinds, key=kinds.index), "one kind after the other"
    assert (state["done"], state["total"]) == (0, 8)
    assert kept.read(served.store.path) == []
    answer = {"code": state["code"], "place": state["question"]["place"], "choice": "left", "seconds": 0.5}
    assert "told" not in served.post("/answer", answer)[1]
    assert len(kept.read(served.store.path)) == 1


def test_wrong_requests_do_nothing(serve: Callable[..., Served]) -> None:
    served = serve(questions=3)
    assert served.post("/begin", {})[0] == 400, "no consent"
    assert served.post("/begin", {"consent": "yes"})[0] == 400
    code = served.post("/begin", {"consent": True})[1]["code"]
    good = {"code": code, "place": 0, "choice": "left", "seconds": 1.0}
    for wrong in (
        {"choice": "both"}, {"place": -1}, {"place": 99}, {"place": True}, {"place": 1 << 80}, {"place": "0"},
        {"seconds": -1}, {"seconds": float("nan")}, {"seconds": float("inf")}, {"seconds": 1e9}, {"seconds": None},
    ):  # fmt: skip
        status, answer, _ = served.post("/answer", good | wrong)
        assert status == 400, wrong
        assert "\n" not in answer["error"]
    for wrong in ({"code": "AAAAAAAA"}, {"code": None}, {"code": ["x"]}, {"code": "' OR 1=1 --"}):
        assert served.post("/answer", good | wrong)[0] == 404
        assert served.post("/next", wrong)[0] == 404
    assert served.post("/answer", b"not json")[0] == 400
    assert served.post("/answer", [1, 2])[0] in (400, 404)
    assert served.post("/answer", b"[" * 4000)[0] == 400
    assert served.post("/answer", b"", {"Content-Length": str(1 << 40)})[0] == 413
    assert served.post("/answer", good, {"Origin": "http://evil.example"})[0] == 403
    assert served.post("/answer", good, {"Host": "evil.example"})[0] == 403
    assert served.post("/answer", good, {"Content-Type": "text/plain"})[0] == 404, "what a foreign form could send"
    assert served.post("/results", {})[0] == 404
    for path in ("/results", "/../answers.py", "/_study/answers.db"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(served.address + path, timeout=60)
    assert kept.read(served.store.path) == []
    assert served.post("/answer", good)[1]["done"] == 1
    assert served.post("/answer", good | {"choice": "right"})[1]["done"] == 1, "an answer that comes twice"


def test_a_benchmark_that_changed_is_said_so(serve: Callable[..., Served]) -> None:
    served = serve(questions=3)
    code = served.post("/begin", {"consent": True})[1]["code"]
    served.study.material._outputs.clear()
    while (state := served.post("/next", {"code": code}))[0] == 200:  # a check first, which shows no output
        served.study.answers.answer(code, state[1]["question"]["place"], True, 1.0)
    assert state[0] == 410
    assert "begin anew" in state[1]["error"]


def test_the_store_alone_will_do(judged: Path) -> None:
    plan, store = benchmark.load(judged)
    by_file, by_store = Material(plan.trials, store), Material(of_store(store), store)
    assert {d: {r: sorted(ids) for r, ids in of.items()} for d, of in by_file.rows.items()} == by_store.rows
    assert set(by_file.rows["shapes"]) == {"cvae", "pix2pix", "<i>cycle"}, "no reference rows"
    assert by_file.chosen(20) == ({"shapes": list(range(12))}, {"shapes": []})
    assert by_file.chosen(4) == ({"shapes": [0, 4, 7, 11]}, {"shapes": []})
    assert by_file.chosen(4, 10) == ({"shapes": [0, 4, 7, 11]}, {"shapes": [1, 2, 3, 5, 6, 8, 9, 10]})
    asked, practised = by_file.chosen(20, 10)
    assert (len(asked["shapes"]), len(practised["shapes"])) == (10, 2), "a fifth, where there are not enough for both"
    assert not set(asked["shapes"]) & set(practised["shapes"])
    with pytest.raises(ConfigError, match="choose from shapes"):
        Material(plan.trials, store, ["facades"])
    (store.trial(plan.trials[1].id).path / "result.json").unlink()
    assert len(Material(plan.trials, store).rows["shapes"]["cvae"]) == 1, "a seed that is not trained"
    for spec in plan.trials:
        (store.trial(spec.id).path / "result.json").unlink(missing_ok=True)
    with pytest.raises(ConfigError, match="no trained trials"):
        Material(plan.trials, store)


@pytest.mark.slow
def test_a_killed_server_loses_nothing(judged: Path) -> None:
    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "i2ibench", "study", str(judged), "--questions", "6", "--practice", "0", "--port", "0"],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        assert "different questions, 6 for each rater" in process.stdout.readline()
        return process, process.stdout.readline().split()[1].rstrip("/")

    process, address = start()
    try:
        state = send(address, "/begin", {"consent": True})[1]
        for _ in range(3):
            answer = {"code": state["code"], "place": state["question"]["place"], "choice": "right", "seconds": 1}
            state = send(address, "/answer", answer)[1]
    finally:
        process.kill()
        process.communicate()
    process, address = start()
    try:
        again = send(address, "/next", {"code": state["code"]})[1]
        assert again == state
        assert again["done"] == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, "Ctrl-C ends it"
    finally:
        process.kill()
        process.communicate()
    assert len(kept.read(judged.parent / "runs")) == 3


@pytest.mark.slow
def test_in_a_browser(browser: Any, serve: Callable[..., Served]) -> None:
    """A rater with a keyboard: consent, timed and untimed questions, a reload on the way, and the code at the end."""
    served = serve(kinds=("real", "better"), questions=6, images=4, exposure=0.2)

    def press(key: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key=key, **({"text": text} if kind == "keyDown" else {}))

    browser.call("Log.enable")
    browser.call("Page.enable")
    browser.call("Page.navigate", url=served.address)
    browser.wait("document.body && document.body.dataset.state == 'start'")
    assert browser.value("$('begin').disabled")
    browser.value("$('agreed').focus()")
    press(" ", " ")
    browser.wait("!$('begin').disabled")
    browser.value("$('begin').focus()")
    press("Enter", "\r")
    browser.wait("document.body.dataset.state == '0'")
    assert browser.value("document.activeElement.id") == "task"
    code = browser.value("code")
    pressed = []
    for at in range(8):
        if at == 3:
            browser.value("document.body.dataset.state = 'left'")
            browser.call("Page.reload")
        browser.wait(f"document.body && document.body.dataset.state == '{at}' && !busy")
        assert browser.value("$('count').textContent") == f"question {at + 1} of 8"
        if browser.value("now.exposure !== null"):
            assert browser.value("getComputedStyle($('left').firstChild).visibility") == "hidden"
            press(" ", " ")
            browser.wait("$('hint').textContent.startsWith('Which was it')")
            assert not browser.value("$('left').firstChild.hasAttribute('src')"), "gone after its time"
            browser.value("document.body.dataset.state = 'left'")
            browser.call("Page.reload")
            browser.wait(f"document.body && document.body.dataset.state == '{at}' && !busy")
            assert not browser.value("$('left').firstChild.hasAttribute('src')"), "and not shown again"
        else:
            assert browser.value("getComputedStyle($('left').firstChild).visibility") == "visible"
            assert browser.value("$('input').naturalWidth") == 32
        browser.wait("shownAt !== null")
        pressed.append("left" if at % 3 else "right")
        press(f"Arrow{pressed[-1].title()}")
    browser.wait("document.body.dataset.state == 'end'")
    assert browser.value("$('yours').textContent") == f"{code[:4]}-{code[4:]}"
    given = kept.read(served.store.path)
    assert ["left" if one.chose_a == one.a_is_left else "right" for one in given] == pressed
    assert all(0 < one.seconds < 600 for one in given)
    assert {one.exposure for one in given if one.cell.kind == "real"} == {0.2}
    complaints = [e["params"]["entry"]["text"] for e in browser.events if e["method"] == "Log.entryAdded"]
    assert complaints == []


@pytest.mark.slow
def test_practice_in_a_browser(browser: Any, serve: Callable[..., Served]) -> None:
    """The answer is told, the image that was right is marked, and then it counts."""
    served = serve(kinds=("better",), questions=3, images=4, practice=2)

    def press(key: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key=key, **({"text": text} if kind == "keyDown" else {}))

    browser.call("Page.enable")
    browser.call("Page.navigate", url=served.address)
    browser.wait("document.body && document.body.dataset.state == 'start'")
    browser.value("$('agreed').click(); $('begin').click()")
    for at in range(2):
        browser.wait(f"document.body.dataset.state == '{at}' && !busy && shownAt !== null")
        assert browser.value("$('count').textContent") == f"practice {at + 1} of 2"
        assert not browser.value("document.querySelector('.truth')")
        press("ArrowLeft")
        browser.wait("document.body.dataset.state == 'told' && !busy")
        hint, side = browser.value("$('hint').textContent"), browser.value("document.querySelector('.truth').id")
        assert hint.startswith("Correct: the left" if side == "left" else "Wrong: the right")
        assert "From here on answers count" in hint if at else hint.endswith("to go on.")
        press("ArrowRight")  # does nothing
        press(" ", " ")
    browser.wait("document.body.dataset.state == '2' && !busy && shownAt !== null")
    assert browser.value("$('count').textContent") == "question 1 of 5"
    assert browser.value("$('told').hidden")
    assert kept.read(served.store.path) == []
    press("ArrowLeft")
    browser.wait("document.body.dataset.state == '3' && !busy")
    assert len(kept.read(served.store.path)) == 1
