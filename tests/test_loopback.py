"""Pages of this machine: at either family of addresses, and for nobody who comes by another site's name."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from i2ibench import loopback
from i2ibench.errors import ConfigError


class Hello(loopback.PageHandler):
    def do_GET(self) -> None:
        if self.is_ours():
            self.json(200, {"hello": "you"})


@contextmanager
def listening(host: str) -> Iterator[loopback.PageServer]:
    try:
        server = loopback.listen(Hello, host, 0)
    except ConfigError as error:
        if ":" in host:
            pytest.skip(f"this machine has no IPv6: {error}")
        raise
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def status(server: loopback.PageServer, host: str, **headers: str) -> int:
    """Of an answer to a request with this header `Host`."""
    at = "::1" if ":" in str(server.server_address[0]) else "127.0.0.1"
    connection = http.client.HTTPConnection(at, server.server_port, timeout=60)
    connection.request("GET", "/", headers={"Host": host, **headers})
    found = connection.getresponse().status
    connection.close()
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_page_on_loopback_answers_to_the_machines_own_names_alone(host: str) -> None:
    with listening(host) as server:
        port = server.server_port
        assert server.is_loopback
        for name in ("localhost", "127.0.0.1", "[::1]"):
            assert status(server, f"{name}:{port}") == 200
            assert status(server, name) == 200, "as a browser says it of port 80"
            assert status(server, f"{name}:9000", Origin=f"http://{name}:9000") == 200, "through a tunnel"
            assert status(server, f"{name}:{port}", Origin="http://localhost:9001") == 403, (
                "another page of this machine"
            )
        for name in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "", "[::1", "[::2]", "0.0.0.0"):
            assert status(server, name) == 403, name
            assert status(server, name, Origin=f"http://{name}") == 403, name


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_the_address_is_one_to_open(host: str, address: str) -> None:
    with listening(host) as server:
        assert server.address == f"{address}{server.server_port}/"


def test_a_page_for_all_who_can_reach_it_answers_to_any_name() -> None:
    with listening("0.0.0.0") as server:
        assert not server.is_loopback
        for scheme in ("http", "https"):
            assert status(server, "gpu-box.lan:8000", Origin=f"{scheme}://gpu-box.lan:8000") == 200
        assert status(server, "gpu-box.lan:8000", Origin="http://evil.example") == 403


def test_an_address_that_cannot_be_had_is_one_line() -> None:
    with listening("127.0.0.1") as taken:
        for host, port in (("127.0.0.1", taken.server_port), ("192.0.2.1", 0), ("127.0.0.1", 1 << 16)):
            with pytest.raises(ConfigError, match=r"cannot be listened on \(.+\); choose another --port or --host$"):
                loopback.listen(Hello, host, port)
