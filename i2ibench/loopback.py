"""What the pages that this machine serves have in common: they answer to their own address alone, and load nothing."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from i2ibench.errors import ConfigError

SECONDS = 30  # for a request to arrive


class PageHandler(BaseHTTPRequestHandler):
    """Answers in JSON, and one page. A subclass asks `is_ours` before anything else."""

    timeout = SECONDS
    server_version, sys_version = "i2ibench", ""

    def is_ours(self) -> bool:
        """Refuse requests that a page of another site had the browser send (also by a name that leads here)."""
        own, port = cast("tuple[str, int]", self.server.server_address)
        names = {f"{name}:{port}" for name in (own, *(("localhost",) if own == "127.0.0.1" else ()))}
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if (host in names or own in ("0.0.0.0", "::")) and origin in (None, f"http://{host}"):
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
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)
        if status >= 400:
            self.close_connection = True  # what was sent is not read

    def handle(self) -> None:
        with suppress(ConnectionError):  # a visitor who leaves in the middle of an answer is no error
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what people look at is nobody's business."""


def listen(handler: type[PageHandler], host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens (on any free port if 0); `serve_forever` answers.

    Raises:
        ConfigError: the port is taken, or is not ours to take.
    """
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{host}:{port}: cannot be listened on ({reason}); choose another --port") from None
    server.daemon_threads = True
    return server


def serve_until_interrupted(server: ThreadingHTTPServer) -> None:
    """Say where the page is, and answer until Ctrl-C or SIGTERM."""
    host, port = cast("tuple[str, int]", server.server_address)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell has a job in the background ignore SIGINT
            signal.signal(number, signal.default_int_handler)
    print(f"http://{host}:{port}/  (Ctrl-C ends it)", flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print("i2ibench: other machines can reach this page, which asks for no password", file=sys.stderr)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
