# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Do they answer: each way of not answering has its own verdict, none of them hides another system."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import trading_system_info

from ..trading_system_process import trading_system
from ..venues_host import venue_host
from .stand_in import StandIn, stand_ins
from .steps import Arguments, Ran, run

Act = Callable[[socket.socket], None]
HEALTH = b'{"status":"ok","mode":"live","uptime_s":60.5,"version":"1.2.3"}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(HEALTH) + HEALTH


@pytest.fixture
def systems() -> Iterator[list[StandIn]]:
    with stand_ins("one", "two") as both:
        yield both


def do(*entries: dict[str, Any], **args: Any) -> Ran:
    return run(trading_system_info, **{"trading_systems": list(entries), "timeout": 5.0, **args})


@contextmanager
def listening(act: Act) -> Iterator[dict[str, Any]]:
    """The entry of something that takes connections; ``act`` has each once its request is there, and it stays open."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        act(connection)
                        over.wait()
            except OSError:
                pass  # the test is over

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield {"name": "odd", "url": f"http://127.0.0.1:{server.getsockname()[1]}"}
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)


def says(data: bytes) -> Act:
    return lambda connection: connection.sendall(data)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


# Answering ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [False, True])
def test_all_that_answer_are_shown_with_their_health(systems: list[StandIn], check: bool) -> None:
    systems[1].health = {"status": "halted", "mode": "halted", "uptime_s": 3, "version": "2", "components": {}}
    done = do(*(system.entry for system in systems), check=check)
    assert done["systems"] == [
        {"name": "one", "verdict": "answering", "status": "ok", "mode": "live", "uptime_s": 60.5, "version": "1.2.3",
         "restarted": None, "error": None},
        {"name": "two", "verdict": "answering", "status": "halted", "mode": "halted", "uptime_s": 3.0, "version": "2",
         "restarted": None, "error": None},
    ]  # fmt: skip
    assert (done["all_answer"], done["silent"], done["changed"], done.failed) == (True, [], False, False)
    assert done["msg"] == "one: answering (ok, live); two: answering (halted, halted)"
    assert [system.seen for system in systems] == [["GET /health"]] * 2
    (told,) = done.recorded("trading_systems.probed")
    assert told == {field: done[field] for field in ("all_answer", "silent", "systems")}


def test_one_that_has_not_been_up_for_long_is_marked(systems: list[StandIn]) -> None:
    systems[1].health["uptime_s"] = 60.6
    done = do(*(system.entry for system in systems), restarted_within=60.6)
    assert [system["restarted"] for system in done["systems"]] == [True, False]
    assert done["all_answer"]
    assert "one: answering (ok, live, restarted)" in done["msg"]


def test_only_those_in_question_are_asked(systems: list[StandIn]) -> None:
    done = do(*(system.entry for system in systems), only=["two"])
    assert [system["name"] for system in done["systems"]] == ["two"]
    assert systems[0].seen == []


# Not answering --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoiled", "verdict", "said"),
    [
        ("lost", "unknown", "connection closed by the other side"),
        ("half", "unknown", "the reply broke off"),
        ("html", "unknown", "the reply is an HTML page"),
        (500, "unknown", "HTTP 500, not now"),
        (401, "unknown", "HTTP 401, not now"),
    ],
)
def test_a_reply_that_is_none_is_told_and_silences_no_other(
    systems: list[StandIn], spoiled: str | int, verdict: str, said: str
) -> None:
    systems[0].on["GET /health"] = lambda: spoiled
    done = do(*(system.entry for system in systems), restarted_within=10)
    bad, good = done["systems"]
    assert (bad["verdict"], good["verdict"], done["all_answer"], done["silent"]) == (
        verdict,
        "answering",
        False,
        ["one"],
    )
    assert said in bad["error"]
    assert [bad[field] for field in ("status", "mode", "uptime_s", "version", "restarted")] == [None] * 5
    assert (done.failed, done["changed"]) == (False, False)
    assert f"one: {verdict} (GET /api/v1/health: " in done["msg"]


@pytest.mark.parametrize("said", [b"", REPLY[:10], REPLY[:-1], b"HTTP/1.1 200 OK\r\nX: "], ids=len)
def test_one_that_takes_the_connection_and_does_not_finish_its_reply_hangs(said: bytes, systems: list[StandIn]) -> None:
    with listening(says(said)) as odd:
        done = do(odd, systems[0].entry, timeout=0.3)
    assert [system["verdict"] for system in done["systems"]] == ["hung", "answering"]
    assert done["systems"][0]["error"] == "GET /api/v1/health: no answer in time"


def test_one_that_takes_the_connection_and_does_not_shake_hands_hangs() -> None:
    """A stopped process behind TLS: the kernel still takes the connection."""
    with listening(says(b"")) as odd:
        done = do({**odd, "url": odd["url"].replace("http:", "https:")}, timeout=0.3)
    assert done["systems"][0]["verdict"] == "hung"


def test_nothing_that_listens_is_no_answer() -> None:
    done = do({"name": "dead", "url": f"http://127.0.0.1:{closed_port()}"})
    assert (done["systems"][0]["verdict"], done["silent"]) == ("no_answer", ["dead"])
    assert done["systems"][0]["error"] == "GET /api/v1/health: connection refused"


def test_a_machine_that_is_not_reached_is_no_answer() -> None:
    """A full backlog drops what comes, as a cut wire does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port: int = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        done = do({"name": "gone", "url": f"http://127.0.0.1:{port}"}, timeout=0.3)
        for one in waiting:
            one.close()
    assert done["systems"][0]["verdict"] == "no_answer"


def test_a_name_that_does_not_resolve_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    (seen,) = do({"name": "gone", "url": "http://hft-9.example"})["systems"]
    assert (seen["verdict"], "name not resolved" in seen["error"]) == ("no_answer", True)


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({}, "no 'uptime_s'"),
        ([], "expected an object"),
        ({"status": "ok", "mode": "live", "uptime_s": 1}, "no 'version'"),
        ({"status": "ok", "mode": "live", "uptime_s": None, "version": "1"}, "'uptime_s' is not a number"),
        ({"status": "ok", "mode": "live", "uptime_s": -1, "version": "1"}, "'uptime_s' is negative"),
        ({"status": "ok", "mode": "live", "uptime_s": 1, "version": ""}, "'version' is empty"),
        ({"status": None, "mode": "live", "uptime_s": 1, "version": "1"}, "'status' is null"),
        ({"status": "up", "mode": "live", "uptime_s": 1, "version": "1"}, "'status' is none of ok, degraded, halted"),
        ({"status": "ok", "mode": "up", "uptime_s": 1, "version": "1"}, "'mode' is none of live, observe, halted"),
    ],
)
def test_an_answer_outside_its_contract_is_no_health(systems: list[StandIn], health: Any, said: str) -> None:
    systems[0].health = health
    (seen,) = do(systems[0].entry)["systems"]
    assert (seen["verdict"], seen["status"]) == ("unknown", None)
    assert said in seen["error"]


def test_an_entry_that_cannot_be_used_is_unknown_and_silences_no_other(systems: list[StandIn]) -> None:
    broken = [{"name": "no-url"}, {"name": "no-token", "url": "http://127.0.0.1:9", "token": "env:NO_SUCH_VARIABLE"}]
    done = do(*broken, systems[0].entry)
    assert [system["verdict"] for system in done["systems"]] == ["unknown", "unknown", "answering"]
    assert done["systems"][0]["error"] == "'url' is missing"
    assert "NO_SUCH_VARIABLE" in done["systems"][1]["error"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"restarted_within": 0}, "restarted_within must be more than 0"),
        ({"only": ["three"]}, "unknown trading system 'three'; the venues file has: one"),
        ({"trading_systems": []}, "'trading_systems' is empty"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_asked(
    systems: list[StandIn], wrong: dict[str, Any], said: str
) -> None:
    done = do(systems[0].entry, **wrong)
    assert done.outcome == "usage"
    assert said in done["msg"]
    assert systems[0].seen == []


# The real one ---------------------------------------------------------------------------------------------------------


def test_a_real_process_answers_hangs_when_it_is_stopped_and_is_gone_when_it_is_killed(tmp_path: Path) -> None:
    with venue_host({"alpha": "binance"}) as host, trading_system(tmp_path, host, {"alpha": "binance"}) as hft:
        entry = Arguments.system(hft)
        before = do(entry, restarted_within=3600)["systems"][0]
        assert (before["verdict"], before["mode"], before["restarted"]) == ("answering", "live", True)
        os.kill(hft.process.pid, signal.SIGSTOP)
        assert do(entry, timeout=0.5)["systems"][0]["verdict"] == "hung"
        os.kill(hft.process.pid, signal.SIGCONT)
        assert do(entry)["systems"][0]["verdict"] == "answering"
        hft.kill_dash_nine()
        assert do(entry)["systems"][0]["verdict"] == "no_answer"
