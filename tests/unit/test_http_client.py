# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The HTTP seam against a server that misbehaves on purpose: every request ends in time, in a reply or in words."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from ansible_collections.hft.incident.plugins.module_utils import http_client
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.http_client import (
    HttpClient,
    Request,
    TransportError,
    at_once,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CANARY = "s3cr3tcanary"
READ = Request("GET", f"/orders?signature={CANARY}", {"Key": CANARY})
WRITE = Request("POST", "/cancel", {"Key": CANARY}, b"all")
Act = Callable[[socket.socket], None]


class Server:
    """Accepts connections; on each, ``acts`` answer one request after the other, then it closes."""

    def __init__(self, *connections: list[Act]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections = list(connections)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.closed = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):  # the client hangs up when it has had enough
            for acts in self._connections:
                connection, _ = self._listening.accept()
                with connection:
                    for act in acts:
                        if not (request := received(connection)):
                            break
                        self.requests.append(request)
                        act(connection)
                self.closed.set()

    def stop(self) -> None:
        self._listening.close()


@contextmanager
def server(*connections: list[Act]) -> Iterator[Server]:
    running = Server(*connections)
    try:
        yield running
    finally:
        running.stop()


def received(connection: socket.socket) -> bytes:
    """One request, whole: what is left unread at the close would reach the client as a reset."""
    data = connection.recv(65536)
    while data and (b"\r\n\r\n" not in data or (data.startswith(b"POST") and not data.endswith(b"all"))):
        data += connection.recv(65536)
    return data


def says(data: bytes) -> Act:
    return lambda connection: connection.sendall(data)


def drips(data: bytes) -> Act:
    """Each byte alone, a little later than the one before; never done in time."""

    def act(connection: socket.socket) -> None:
        with suppress(OSError):  # the client hangs up when it has had enough
            for index in range(len(data)):
                connection.sendall(data[index : index + 1])
                threading.Event().wait(0.02)

    return act


def hangs(connection: socket.socket) -> None:
    connection.recv(1)


def failure(client: HttpClient, request: Request = READ) -> TransportError:
    with pytest.raises(TransportError) as caught:
        client.send(request)
    assert CANARY not in str(caught.value)
    assert str(caught.value).startswith(request.name)
    return caught.value


def test_a_connection_is_used_again() -> None:
    with server([says(OK), says(OK), says(OK)]) as running:
        client = HttpClient(running.url)
        assert [client.send(request).body for request in (READ, WRITE, READ)] == [b"{}"] * 3
        assert client.requests == 3


@pytest.mark.parametrize(
    "act", [hangs, drips(OK + b" " * 1000), drips(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000), says(OK[:10])]
)
def test_a_reply_that_does_not_end_in_time_ends_as_no_answer(act: Act) -> None:
    def then_hangs(connection: socket.socket) -> None:
        act(connection)
        hangs(connection)

    with server([then_hangs]) as running:
        error = failure(HttpClient(running.url, request_timeout=0.15))
        # A drip of a complete reply is not the point here: the padding makes it miss the deadline.
        assert ("no answer in time" in str(error), error.sent) == (True, True)


def test_the_deadline_of_all_bounds_the_single_request() -> None:
    with server([hangs]) as running:
        client = HttpClient(running.url, request_timeout=60.0)
        client.deadline = Deadline(0.1)
        assert "no answer in time" in str(failure(client))
        error = failure(client)
        assert ("no time left" in str(error), error.sent) == (True, False)
        assert client.requests == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "closed by the other side"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "broke off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not a valid HTTP reply"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not a valid HTTP reply"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "not a valid HTTP reply"),
    ],
)
def test_half_a_reply_or_none_is_an_error_after_sending(reply: bytes, words: str) -> None:
    with server([says(reply)]) as running:
        error = failure(HttpClient(running.url), WRITE)
        assert words in str(error)
        assert error.sent


def test_a_reply_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY_BYTES", 100)
    for size, fits in ((100, True), (101, False)):
        with server([says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, b"x" * size))]) as running:
            if fits:
                assert len(HttpClient(running.url).send(READ).body) == size
            else:
                failure(HttpClient(running.url))


def test_a_read_on_a_kept_connection_that_was_closed_is_asked_again_and_a_write_is_not() -> None:
    with server([says(OK)], [says(OK)]) as running:
        client = HttpClient(running.url)
        client.send(READ)
        assert running.closed.wait(5)
        assert client.send(READ).status == 200
    with server([says(OK)], [says(OK)]) as running:
        client = HttpClient(running.url)
        client.send(READ)
        assert running.closed.wait(5)
        assert "closed by the other side" in str(failure(client, WRITE))
        assert len(running.requests) == 1


def test_a_read_on_a_new_connection_is_not_asked_again() -> None:
    with server([says(b"")], [says(OK)]) as running:
        failure(HttpClient(running.url))
        assert len(running.requests) == 1


def test_a_refused_connection_was_certainly_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = failure(HttpClient(f"http://127.0.0.1:{unused.getsockname()[1]}"))
    assert ("connection refused" in str(error), error.sent) == (True, False)


@pytest.mark.parametrize("key", [f"{CANARY}\nX: y", f"{CANARY}\u20ac"])
def test_a_header_that_http_cannot_carry_is_told_without_quoting_it(key: str) -> None:
    with server([says(OK)]) as running:
        error = failure(HttpClient(running.url), Request("GET", "/", {"Key": key}))
        assert not error.sent
        assert not running.requests


@pytest.mark.parametrize("origin", ["127.0.0.1:80", "ftp://h", "http://", "http:///path", ""])
def test_what_is_no_http_address_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        HttpClient(origin)


def test_a_ca_file_without_certificates_is_told_by_name(tmp_path: object) -> None:
    path = f"{tmp_path}/ca.pem"
    with server([hangs]) as running:
        secure = running.url.replace("http", "https")
        with pytest.raises(TransportError, match=r"ca_file .*ca\.pem: no such file"):
            HttpClient(secure, ca_file=path).send(READ)
        with open(path, "w", encoding="ascii") as file:
            file.write("nothing")
        with pytest.raises(TransportError, match=r"ca_file .*ca\.pem: holds no certificates"):
            HttpClient(secure, ca_file=path).send(READ)


def test_all_calls_at_once_keep_their_order_and_the_first_failure_comes_when_all_have_ended() -> None:
    ended: list[int] = []
    gate = threading.Event()

    def call(number: int) -> int:
        gate.set() if number == 2 else gate.wait(5)
        ended.append(number)
        if number == 1:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match="1"):
        at_once([lambda n=n: call(n) for n in range(3)])  # type: ignore[misc]  # the default binds the loop's value
    assert sorted(ended) == [0, 1, 2]
    assert at_once([lambda: 7, lambda: 8]) == [7, 8]
    assert at_once([]) == []
