"""What the pages that this machine serves have in common: they answer to their own address alone, and load nothing."""

from __future__ import annotations

import io
import ipaddress
import json
import secrets
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from i2ibench.errors import ConfigError, I2IBenchError, one_line

SECONDS = 30  # for a request to arrive
LOCAL = {"localhost", "127.0.0.1", "::1"}  # names of a machine for itself


class PageServer(ThreadingHTTPServer):
    """Listens at an address of either family, and knows by which names browsers may call it."""

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: Callable[..., PageHandler]) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), handler)
        address = ipaddress.ip_address(str(self.server_address[0]))
        self.is_loopback, self._is_every = address.is_loopback, address.is_unspecified
        self._names = {host.lower(), str(address)} | LOCAL  # a tunnel ends at localhost; no foreign page can say so

    @property
    def address(self) -> str:
        """Of the page."""
        host, port = cast("tuple[str, int]", self.server_address[:2])
        return f"http://[{host}]:{port}/" if self.address_family == socket.AF_INET6 else f"http://{host}:{port}/"

    def is_called(self, host: str) -> bool:
        """Whether a header `Host` means this server, at whichever port: a tunnel (`ssh -L`) may end at another."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return self._is_every or name in self._names


class PageHandler(BaseHTTPRequestHandler):
    """Answers with pages and JSON. A subclass asks `is_ours` before anything else."""

    server: PageServer
    timeout = SECONDS
    server_version, sys_version = "i2ibench", ""

    def is_ours(self) -> bool:
        """Refuse requests that a page of another site had the browser send (also by a name that leads here)."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        own = (None, f"http://{host}", f"https://{host}")  # https: from a web server in front of this one
        if self.server.is_called(host) and origin in own:
            return True
        self.json(403, {"error": "this page answers to its own address alone"})
        return False

    def content(self, most: int, spelled: str) -> bytes | None:
        """What was sent with the request; None, and it is answered, if that is more than `most` bytes."""
        length = self.headers.get("Content-Length", "")
        if length.isascii() and length.isdecimal() and len(length) < 12 and int(length) <= most:
            return self.rfile.read(int(length))
        self.json(413, {"error": f"{spelled} are the most here"})
        return None

    def page(self, file: Path) -> None:
        """A file of HTML whose own script and style say NONCE: no other script or style has any effect in it."""
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data: blob:; "
            "connect-src 'self'; media-src blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
        )
        text = file.read_text(encoding="utf-8").replace("NONCE", nonce)
        self.answer(200, text.encode(), "text/html; charset=utf-8", policy)

    def json(self, status: int, content: Mapping[str, Any]) -> None:
        self.answer(status, json.dumps(content).encode(), "application/json")

    def answer(self, status: int, content: bytes, kind: str, policy: str = "default-src 'none'") -> None:
        """Send a whole answer of this kind (a MIME type), under this Content-Security-Policy."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        if self.command != "HEAD":
            shutil.copyfileobj(io.BytesIO(content), self.wfile)  # in pieces: each has `timeout`, not the whole
        if status >= 400:
            self.close_connection = True  # what was sent is not read

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def handle(self) -> None:
        with suppress(ConnectionError):  # a visitor who leaves in the middle of an answer is no error
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what people look at is nobody's business."""


class AppHandler(PageHandler):
    """GET / is one page, with its own GETs and POSTs, which answer in JSON; nothing else is there to be asked for."""

    file: ClassVar[Path]  # the page, as `page` takes it
    most: ClassVar[tuple[int, str]]  # bytes of a request, and how they are called
    statuses: ClassVar[Mapping[type[Exception], int]] = {}  # of errors that say more than that the request is wrong

    def __init__(
        self,
        *request: Any,
        gets: Mapping[str, Callable[[], Mapping[str, Any]]],
        posts: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]],
    ) -> None:
        """`gets` and `posts`: path -> what answers there; a POST is given what was sent, {} if that is no object."""
        self.gets, self.posts = gets, posts
        super().__init__(*request)  # answers

    def do_GET(self) -> None:
        if not self.is_ours():
            return
        path = urlsplit(self.path).path
        if path == "/":
            self.page(self.file)
        elif path in self.gets:
            self.json(200, self.gets[path]())
        else:
            self.json(404, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        if not self.is_ours():
            return
        call = self.posts.get(urlsplit(self.path).path)
        if call is None or self.headers.get_content_type() != "application/json":
            self.json(404, {"error": "there is nothing here"})
        elif (sent := self.content(*self.most)) is not None:
            self.json(*self._answered(call, sent))

    def _answered(self, call: Callable[[Mapping[str, Any]], Mapping[str, Any]], sent: bytes) -> tuple[int, Any]:
        try:
            asked = json.loads(sent)
            return 200, call(asked if isinstance(asked, dict) else {})
        except Exception as error:  # the page goes on, whatever happens
            return self.refusal(error)

    def refusal(self, error: Exception) -> tuple[int, dict[str, str]]:
        """Status and content of the answer to a request that ended in an error."""
        for kind, status in self.statuses.items():
            if isinstance(error, kind):
                return status, {"error": one_line(error)}
        if isinstance(error, I2IBenchError | ValueError | RecursionError):  # the last: JSON that is nested too deep
            return 400, {"error": one_line(error)}
        traceback.print_exception(error)  # for who serves the page; visitors need not know
        return 500, {"error": f"this failed: {type(error).__name__}"}


def listen(handler: Callable[..., PageHandler], host: str, port: int) -> PageServer:
    """A server that listens (on any free port if 0); `serve_forever` answers.

    Raises:
        ConfigError: the port is taken, or is not ours to take.
    """
    try:
        return PageServer(host, port, handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{host}:{port}: cannot be listened on ({reason}); choose another --port or --host") from None


def serve_until_interrupted(server: PageServer, what: str = "page") -> None:
    """Say where `what` is, and answer until Ctrl-C or SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell has a job in the background ignore SIGINT
            signal.signal(number, signal.default_int_handler)
    try:
        print(f"{what}: {server.address} (Ctrl-C ends it)", flush=True)
        if not server.is_loopback:
            print("i2ibench: other machines can reach this page, which asks for no password", file=sys.stderr)
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
