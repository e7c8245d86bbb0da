"""Shows a benchmark's report on localhost while it runs: the same page, drawn again as results come, with progress."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import threading
import time
from collections import Counter
from functools import cache, partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from i2ibench import benchmark, loopback, monitor
from i2ibench.errors import I2IBenchError

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.store import Store

QUIET_SHARE = 0.25  # of the time, at most, that goes into drawing: the processors are there for the trials
MOST_ROWS = 60  # of the progress table
POLICY = (  # of pages that hold their own script and style, and frame each other
    "default-src 'none'; frame-src 'self'; frame-ancestors 'self'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


def serve(file: Path, host: str = "127.0.0.1", port: int = 8000, every: float = 10.0) -> None:
    """Listen until Ctrl-C. The page is drawn into a folder of its own, which goes with the end.

    Args:
        file: the benchmark file.
        host: the address to listen at.
        port: 0 takes one that is free; the address is printed.
        every: seconds between two looks at the store. The page is drawn again when there are new results, and never
            for more than a quarter of the time.

    Raises:
        ConfigError: the file is wrong, or the address cannot be had.
    """
    plan, store = benchmark.load(file)
    with tempfile.TemporaryDirectory(prefix="i2ibench-serve-", ignore_cleanup_errors=True) as folder:
        drawer = Drawer(file, plan, store, Path(folder), every)
        server = listen(drawer, host, port)
        with drawer:
            loopback.serve_until_interrupted(server, plan.name)


class Drawer:
    """Draws the report again and again, in a process of its own, while the block runs."""

    def __init__(self, file: Path, plan: Plan, store: Store, folder: Path, every: float) -> None:
        self.plan, self.store, self.folder, self.every = plan, store, folder, every
        self.version = 0  # of the page; 0: there is none yet
        self.error = ""
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Drawer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        drawn_from, pause = "", 0.0
        while not self._stop.wait(pause):
            began, pause = time.monotonic(), self.every
            try:
                state = benchmark.digest(self.plan, self.store)
            except OSError:
                continue  # a file that goes while it is looked at: look again
            if state != drawn_from:
                drawn_from = state
                self._draw()
                pause = max(pause, (time.monotonic() - began) * (1 / QUIET_SHARE - 1))

    def _draw(self) -> None:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(
            target=_draw, args=(self._file, self.folder, theirs), daemon=True
        )
        process.start()
        theirs.close()
        while process.is_alive() and not self._stop.wait(0.2):
            pass
        if process.is_alive():
            process.kill()
        process.join()
        with ours:
            try:
                self.error = ours.recv() if ours.poll() else "drawing the page was killed"
            except EOFError:
                self.error = "drawing the page was killed"
        self.version += not self.error


def _draw(file: Path, folder: Path, answer: Any) -> None:
    """In the drawing process: write the page as far as there is one; answer with what is wrong, or ""."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    try:
        from i2ibench.data import cache as images
        from i2ibench.report import write

        plan, store = benchmark.load(file)
        begun = {spec.data for spec in plan.trials if store.trial(spec.id).result() is not None}
        shown = {label: images.load(plan.data[label].source, store.data_cache) for label in sorted(begun)}
        write(plan, store, shown, folder, live=True)
        answer.send("")
    except I2IBenchError as error:
        answer.send(str(error))
    except Exception as error:  # whatever it is, the people who look at the page should know
        answer.send(f"{type(error).__name__}: {error}")


def listen(drawer: Drawer, host: str, port: int) -> loopback.PageServer:
    """A server of a drawer's folder, and of the progress of its benchmark; as `loopback.listen`."""
    return loopback.listen(partial(Handler, drawer=drawer), host, port)


class Handler(loopback.PageHandler, SimpleHTTPRequestHandler):
    """GET and HEAD of files of the report's folder; nothing else is there to be asked for."""

    def __init__(self, *request: Any, drawer: Drawer) -> None:
        self.drawer = drawer
        super().__init__(*request, directory=str(drawer.folder))  # answers

    def send_head(self) -> Any:
        """The headers of a file, whose body the base class has; any other answer is given here."""
        if not self.is_ours():
            return None
        asked = urlsplit(self.path)
        if asked.path == "/progress":
            self._answer(progress(self.drawer, parse_qs(asked.query).get("drawn", ["0"])[0]))
            return None
        if asked.path in ("/", "/index.html"):
            self._answer(self._page())
            return None
        place = Path(self.translate_path(self.path))
        if any(part.startswith(".") for part in place.relative_to(self.directory).parts):
            self.send_error(HTTPStatus.NOT_FOUND)  # what is being written
            return None
        try:
            return super().send_head()
        except ValueError:  # no file can have such a name: a null byte is in it, say
            self.send_error(HTTPStatus.NOT_FOUND)
            return None

    def _page(self) -> bytes:
        drawer = self.drawer
        version = drawer.version  # before the page is read: who sees an older one is told of the newer
        page = drawer.folder / "index.html"
        if not page.exists():
            return _template("waiting.html").render(name=drawer.plan.name).encode()
        return page.read_bytes().replace(b'src="progress"', f'src="progress?drawn={version}"'.encode(), 1)

    def _answer(self, content: bytes) -> None:
        self.answer(HTTPStatus.OK, content, "text/html; charset=utf-8", POLICY)


def progress(drawer: Drawer, seen: str) -> bytes:
    """The progress of all trials as a small page that loads itself again; it loads the report anew if `seen` is old."""
    rows = monitor.rows(drawer.plan, drawer.store)
    told = [row for row in rows if row.state not in ("done", "waiting")]
    shown = sorted(told, key=lambda row: row.state not in monitor.AT_WORK)[:MOST_ROWS]
    text = _template("progress.html").render(
        rows=shown,
        left_out=len(told) - len(shown),
        states=Counter(row.state for row in sorted(rows, key=lambda row: row.state != "done")),
        trials=len(rows),
        done=sum(row.state == "done" for row in rows),
        duration=monitor.duration,
        every=max(1, round(drawer.every / 2)),
        error=drawer.error,
        newer=drawer.version != 0 and seen != str(drawer.version),
        now=time.strftime("%H:%M:%S"),
    )
    return text.encode()


@cache
def _template(name: str) -> Template:
    loader = FileSystemLoader(Path(__file__).parent / "report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)
