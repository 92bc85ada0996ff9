# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The one HTTP seam: every request to a venue or a trading system goes through here, so that every one has a deadline,
reuses its connection, checks its certificate, and fails with a message that carries no query and no header.

Standard library only: this is the red button's start-up time.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from .deadline import Deadline

CLOSED_BY_PEER = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
MAX_BODY_BYTES = 64 * 1024 * 1024
T = TypeVar("T")


class Request(NamedTuple):
    """One HTTP request; ``target`` is the path with its query, ``body`` None or the exact bytes that were signed."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None = None

    @property
    def name(self) -> str:
        """Safe to print: signatures travel in queries, so the query is left out."""
        return f"{self.method} {self.target.partition('?')[0]}"


class Response(NamedTuple):
    """A complete reply; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """No complete reply. ``sent``: the request may have reached the other side; ``reached``: it took our connection;
    ``late``: time ran out (rather than: the other side refused, closed or talked nonsense)."""

    def __init__(self, message: str, *, sent: bool, reached: bool = True, late: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.reached = reached
        self.late = late


class _DeadlineReader(io.RawIOBase):
    """Reads a socket with what is left of a deadline: a reply that drips in a byte at a time ends in time too."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed names a wider buffer protocol
        left = self._deadline.remaining()
        if left == 0.0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


class _ReadableSocket:
    """What ``http.client.HTTPResponse`` asks of a socket."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._reader = _DeadlineReader(sock, deadline)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader, 64 * 1024)


class HttpClient:
    """Talks to one origin (scheme, host, port) over as many kept connections as are asked for at the same moment.

    Safe to use from several threads. ``request_timeout`` bounds each request (seconds, connect to last byte);
    ``deadline``, where set, bounds them all.
    """

    def __init__(self, origin: str, *, ca_file: str | None = None, request_timeout: float = 3.0) -> None:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"'{parts.scheme}://{parts.netloc}' is not an http(s) address")
        self.secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self.secure else 80)
        self.ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self.request_timeout = request_timeout
        self.deadline: Deadline | None = None
        self.requests = 0

    @property
    def address(self) -> tuple[str, int]:
        return self._host, self._port

    def send(self, request: Request) -> Response:
        """The complete reply; raises TransportError in time otherwise."""
        deadline = self.deadline.within(self.request_timeout) if self.deadline else Deadline(self.request_timeout)
        if deadline.expired():
            raise TransportError(f"{request.name}: not sent, no time left", sent=False, reached=False, late=True)
        with self._lock:
            self.requests += 1
            kept = self._idle.pop() if self._idle else None
        connection = kept or self._connect(request, deadline)
        try:
            try:
                response = self._exchange(connection, request, deadline)
            except CLOSED_BY_PEER:
                # A kept connection that the server has closed meanwhile; a read may simply be asked again.
                if kept is None or request.method != "GET":
                    raise
                connection = self._connect(request, deadline)
                response = self._exchange(connection, request, deadline)
        except ValueError:  # also UnicodeError; its own message quotes the header, which may be a key
            connection.close()
            raise TransportError(f"{request.name}: a header holds what HTTP cannot carry", sent=False) from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            late = isinstance(error, TimeoutError)
            raise TransportError(f"{request.name}: {describe(error)}", sent=True, late=late) from None
        if connection.sock is not None:  # http.client closes it where the server says so
            with self._lock:
                self._idle.append(connection)
        return response

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self, request: Request, deadline: Deadline) -> http.client.HTTPConnection:
        if self.secure:
            if self._context is None:
                self._context = self._trusted()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=deadline.remaining(), context=self._context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=deadline.remaining())
        try:
            connection.connect()
        except OSError as error:
            # http.client has its socket once the connection stands: what failed then is the TLS handshake.
            reached, late = connection.sock is not None, isinstance(error, TimeoutError)
            message = f"{request.name}: {describe(error)}"
            raise TransportError(message, sent=False, reached=reached, late=late) from None
        return connection

    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            why = "holds no certificates" if isinstance(error, ssl.SSLError) else (error.strerror or "error").lower()
            raise TransportError(f"ca_file {self.ca_file}: {why}", sent=False) from None

    def _exchange(self, connection: http.client.HTTPConnection, request: Request, deadline: Deadline) -> Response:
        connection.sock.settimeout(max(deadline.remaining(), 0.001))
        connection.request(request.method, request.target, body=request.body, headers=dict(request.headers))
        connection.response_class = lambda sock, method: http.client.HTTPResponse(  # type: ignore[assignment]  # a factory serves
            _ReadableSocket(sock, deadline),  # type: ignore[arg-type]  # it only calls makefile
            method=method,
        )
        reply = connection.getresponse()
        body = reply.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise http.client.HTTPException("the reply is too large")
        if reply.length:
            raise http.client.IncompleteRead(body, reply.length)
        return Response(reply.status, {k.lower(): v for k, v in reply.getheaders()}, body)


def describe(error: Exception) -> str:
    """A transport failure in words a responder understands."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, CLOSED_BY_PEER):
        return "connection closed by the other side"
    if isinstance(error, socket.gaierror):
        return f"name not resolved ({error.strerror})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted ({error.verify_message})"
    if isinstance(error, http.client.IncompleteRead):
        return "the reply broke off"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"not a valid HTTP reply ({type(error).__name__})"


def at_once(calls: Iterable[Callable[[], T]]) -> list[T]:
    """All calls at the same moment; their results in order. The first failure is raised once all have ended."""
    work = list(calls)
    results: list[T | None] = [None] * len(work)
    failures: list[BaseException | None] = [None] * len(work)

    def run(index: int) -> None:
        try:
            results[index] = work[index]()
        except BaseException as error:  # noqa: BLE001  # carried to the caller's thread below
            failures[index] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(1, len(work))]
    for thread in threads:
        thread.start()
    if work:
        run(0)
    for thread in threads:
        thread.join()
    for failure in failures:
        if failure is not None:
            raise failure
    return results  # type: ignore[return-value]  # every slot was filled, or a failure was raised
