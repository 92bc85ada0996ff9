# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``hft-incident kill`` as the process that people start, at lab venues."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.journal import Journal, verify

from .trading_system_process import ROOT, trading_system
from .venues_host import KEY, Host, venue_host
from .waiting import wait_until

FIELDS = {"verdict", "reason", "started_at", "elapsed_ms", "venues", "trading_systems"}
VENUE_FIELDS = {
    *("name", "driver", "verdict", "open_before", "cancelled", "open_after", "requests"),
    *("first_clear_ms", "confirmed_ms", "error"),
}
SYSTEM_FIELDS = {"name", "verdict", "elapsed_ms", "error"}
QUICK = ("--interval", "0.02", "--timeout", "20")
CANARIES = (KEY.id, KEY.secret, KEY.passphrase)


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The one JSON object, which is all of standard output."""
        decoded: dict[str, Any] = json.loads(self.out)
        return decoded

    @property
    def verdicts(self) -> dict[str, str]:
        return {venue["name"]: venue["verdict"] for venue in self.result["venues"]}

    def error_of(self, name: str) -> str:
        return str(next(venue["error"] for venue in self.result["venues"] if venue["name"] == name))


class Desk:
    """A folder with a venues file and keys, and the button."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.folder, self.host = folder, host
        self.home = folder / "home"
        self.file = folder / "venues.yml"
        for name, value in zip(("key", "secret", "passphrase"), CANARIES, strict=True):
            self.secret(name, value)
        self.venues = [self.entry(name, "binance") for name in host.venues]
        self.systems: list[dict[str, Any]] = []

    def secret(self, name: str, value: str, mode: int = 0o600) -> str:
        path = self.folder / name
        path.write_text(value + "\n")
        path.chmod(mode)
        return f"file:{path}"

    def entry(self, name: str, driver: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "driver": driver,
            "base_url": f"http://127.0.0.1:{self.host.venues[name].port}",
            "api_key": f"file:{self.folder / 'key'}",
            "api_secret": f"file:{self.folder / 'secret'}",
            "api_passphrase": f"file:{self.folder / 'passphrase'}",
            **more,
        }

    def start(self, *options: str, env: Mapping[str, str] | None = None, **how: Any) -> subprocess.Popen[str]:
        if not self.file.exists():
            self.file.write_text(yaml.safe_dump({"hft_venues": self.venues, "hft_trading_systems": self.systems}))
        paths = os.pathsep.join([str(ROOT / "collections"), str(ROOT / "src")])
        return subprocess.Popen(
            [sys.executable, "-m", "hft_incident.cli", "kill", "--venues", str(self.file), *options],
            env={**os.environ, "PYTHONPATH": paths, "HFT_INCIDENT_HOME": str(self.home), **(env or {})},
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
        )

    def press(self, *options: str, env: Mapping[str, str] | None = None) -> Done:
        given = options if "--reason" in options else ("--reason", "a test", "--json", *QUICK, *options)
        process = self.start(*given, env=env)
        out, err = process.communicate(timeout=60)
        return Done(process.returncode, out, err)

    def open(self) -> dict[str, int]:
        """The truth."""
        return {name: len(venue.exchange.open_orders()) for name, venue in self.host.venues.items()}

    def seed(self, count: int = 5) -> None:
        for venue in self.host.venues.values():
            for _ in range(count):
                venue.place_one()


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host({"alpha": "binance", "beta": "binance"}) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, host: Host) -> Desk:
    made = Desk(tmp_path, host)
    made.seed()
    return made


# What comes out -------------------------------------------------------------------------------------------------------


def test_json_is_one_object_of_the_contract_and_progress_goes_to_standard_error(desk: Desk) -> None:
    done = desk.press()
    assert done.code == 0
    assert done.result.keys() >= FIELDS
    assert all(venue.keys() >= VENUE_FIELDS for venue in done.result["venues"])
    assert (done.result["verdict"], done.result["reason"]) == ("clear", "a test")
    for venue in done.result["venues"]:
        assert (venue["open_before"], venue["cancelled"], venue["open_after"], venue["error"]) == (5, 5, 0, None)
        assert 0 < venue["first_clear_ms"] <= venue["confirmed_ms"] <= done.result["elapsed_ms"]
    assert "alpha: 5 open orders" in done.err
    assert desk.open() == {"alpha": 0, "beta": 0}


def test_without_json_the_verdict_is_the_first_line_for_people(desk: Desk) -> None:
    done = desk.press("--reason", "a test", *QUICK)
    assert done.code == 0
    assert done.out.startswith("CLEAR: ")


def test_it_records_what_was_ordered_and_what_came_of_it(desk: Desk) -> None:
    done = desk.press()
    journal = desk.home / "kills" / "journal.jsonl"
    ordered, verified = Journal(journal).events()
    assert (ordered.kind, verified.kind) == ("kill.ordered", "kill.verified")
    assert ordered.data["reason"] == "a test"
    assert verified.data == done.result
    assert verify(journal).state == "intact"


def test_a_home_that_cannot_be_written_is_a_warning_and_no_obstacle(desk: Desk) -> None:
    desk.home.write_text("a file where the folder should be")
    done = desk.press()
    assert (done.code, desk.open()) == (0, {"alpha": 0, "beta": 0})
    assert "warning: no record of this kill could be written" in done.err


def test_a_venue_that_still_holds_orders_is_open_and_the_exit_code_says_unproven(desk: Desk) -> None:
    desk.host.inject("alpha", kind="cancel_ignored")
    done = desk.press("--timeout", "1")
    assert (done.code, done.result["verdict"]) == (3, "open")
    assert done.verdicts == {"alpha": "open", "beta": "clear"}
    assert next(venue["open_after"] for venue in done.result["venues"] if venue["name"] == "alpha") == 5


# Wrong usage: exit 2, and nothing was sent ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid YAML"),
        ("venues: []", "no 'hft_venues'"),
        ("hft_venues: []", "nothing to kill"),
        ("hft_venues: '{{ vault }}'", "template"),
        ("hft_venues: [{driver: binance}]", "entry 1"),
        ("hft_venues: [{name: a}, {name: a}]", "'a' is used twice"),
        ("hft_venues: [{name: a, driver: okx, api_key: s3cr3tcanary}]", "api_key"),
        ("hft_venues: [{name: a, driver: okx, api_secret: 's3cr3tcanary:x'}]", "api_secret"),
        ("hft_venues: [{name: a, driver: okx, api_passphrase: [s3cr3tcanary]}]", "api_passphrase"),
        ("hft_venues: [{name: a}]\nhft_trading_systems: [{name: b, url: 'http://h', token: s3cr3tcanary}]", "token"),
        ("hft_venues: [{name: a}]\nhft_trading_systems: 7", "hft_trading_systems"),
    ],
)
def test_a_venues_file_that_cannot_be_used_is_refused_by_name_and_without_its_secrets(
    desk: Desk, text: str, words: str
) -> None:
    desk.file.write_text(text)
    done = desk.press()
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "s3cr3tcanary" not in done.err
    assert len(done.err.splitlines()) == 1


def test_no_venues_file_at_all_is_wrong_usage(desk: Desk) -> None:
    done = desk.press("--venues", str(desk.folder / "nowhere.yml"))
    assert done.code == 2
    assert "nowhere.yml" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--venue", "gamma"), "alpha, beta"),
        (("--confirm", "0"), "--confirm"),
        (("--confirm", "many"), "--confirm"),
        (("--interval", "-1"), "--interval"),
        (("--interval", "nan"), "--interval"),
        (("--timeout", "0"), "--timeout"),
        (("--timeout", "soon"), "--timeout"),
        (("--reason", " "), "reason"),
        (("--reason", ""), "reason"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(desk: Desk, options: Sequence[str], words: str) -> None:
    done = desk.press(*options)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not any(venue.seen for venue in desk.host.venues.values())


def test_a_reason_must_be_given(desk: Desk) -> None:
    process = desk.start("--json")
    assert "--reason" in process.communicate(timeout=30)[1]
    assert process.returncode == 2


# One broken venue, key or entry never delays the others ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"api_key": "env:HFT_TEST_NOT_SET"}, "environment variable HFT_TEST_NOT_SET is not set"),
        ({"api_secret": "file:/nonexistent/secret"}, "cannot read /nonexistent/secret"),
        ({"api_secret": "cmd:false"}, "exit code 1"),
        ({"driver": "nasdaq"}, "unknown driver 'nasdaq'"),
        ({"driver": None}, "'driver' is missing"),
        ({"base_url": "127.0.0.1:80"}, "not an http(s) address"),
        ({"base_url": "http://127.0.0.1:99999"}, "not an http(s) address"),
        ({"base_url": "http://no-such-host.invalid"}, "name not resolved"),
        ({"product_lines": ["bonds"]}, "unknown product line 'bonds'"),
        ({"base_url": "https://127.0.0.1:1", "ca_file": "/nonexistent/ca.pem"}, "/nonexistent/ca.pem"),
        ({"base_url": "http://127.0.0.1:1"}, "connection refused"),
    ],
)
def test_a_broken_entry_makes_its_own_venue_unknown_and_the_others_are_cleared(
    desk: Desk, broken: dict[str, Any], words: str
) -> None:
    desk.venues[0].update(broken)
    done = desk.press("--timeout", "1.5")
    assert (done.code, done.verdicts) == (3, {"alpha": "unknown", "beta": "clear"})
    assert words in done.error_of("alpha")
    assert desk.open()["beta"] == 0


def test_a_key_file_that_others_can_read_is_refused(desk: Desk) -> None:
    desk.venues[0]["api_key"] = desk.secret("loose", KEY.id, mode=0o644)
    done = desk.press()
    assert done.verdicts == {"alpha": "unknown", "beta": "clear"}
    assert "can be read by others" in done.error_of("alpha")


def test_a_key_that_no_header_can_carry_is_told_without_quoting_it(desk: Desk) -> None:
    desk.venues[0]["api_key"] = desk.secret("two-lines", "s3cr3tcanary\nand a second line")
    done = desk.press("--timeout", "1")
    assert done.verdicts == {"alpha": "unknown", "beta": "clear"}
    assert "s3cr3tcanary" not in done.out + done.err
    assert "internal error" not in done.out


def test_a_name_server_that_never_answers_delays_nobody(desk: Desk) -> None:
    """Python's resolver cannot be given a time; here it is made to hang, in the process itself."""
    (desk.folder / "sitecustomize.py").write_text(
        "import socket, threading\n"
        "genuine = socket.getaddrinfo\n"
        "def getaddrinfo(host, *rest, **more):\n"
        "    return threading.Event().wait() if host == 'hangs.invalid' else genuine(host, *rest, **more)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    desk.venues[0]["base_url"] = "http://hangs.invalid"
    paths = os.pathsep.join([str(desk.folder), str(ROOT / "collections"), str(ROOT / "src")])
    done = desk.press("--timeout", "1", env={"PYTHONPATH": paths})
    assert done.verdicts == {"alpha": "unknown", "beta": "clear"}
    assert done.error_of("alpha") == "no answer in time"


@pytest.mark.parametrize("kind", ["drip", "hang"])
def test_a_venue_that_answers_too_slowly_is_unknown_and_delays_nobody(desk: Desk, kind: str) -> None:
    desk.host.inject("alpha", kind=kind)
    done = desk.press("--timeout", "1")
    assert done.verdicts == {"alpha": "unknown", "beta": "clear"}
    assert "no answer in time" in done.error_of("alpha")


def test_only_the_named_venue_is_killed(desk: Desk) -> None:
    done = desk.press("--venue", "beta")
    assert (done.code, done.verdicts) == (0, {"beta": "clear"})
    assert desk.open() == {"alpha": 5, "beta": 0}
    assert not desk.host.venues["alpha"].seen


# Trading systems ------------------------------------------------------------------------------------------------------


def test_a_trading_system_is_stopped_everywhere_or_only_at_the_named_venue(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    exchanges = {"alpha": "binance", "beta": "binance"}
    with trading_system(tmp_path, desk.host, exchanges) as running:
        desk.systems.append({"name": "hft-1", "url": f"http://127.0.0.1:{running.port}"})
        done = desk.press("--venue", "alpha")
        (system,) = done.result["trading_systems"]
        assert system.keys() >= SYSTEM_FIELDS
        assert system["verdict"] == "stopped"
        enabled = {row["name"]: row["enabled"] for row in running.get("/exchanges")["exchanges"]}
        assert enabled == {"alpha": False, "beta": True}
        assert running.get("/killswitch")["active"] is False
        assert desk.press().code == 0
        assert running.get("/killswitch")["active"] is True


@pytest.mark.parametrize("state", ["hangs", "refuses", "is gone"])
def test_a_trading_system_in_trouble_changes_no_venue_verdict(desk: Desk, state: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if state == "hangs":
            listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = _saying(403) if state == "refuses" else None
        desk.systems.append({"name": "hft-1", "url": url if server is None else server.url})
        done = desk.press("--confirm", "1")
        if server is not None:
            server.end()
    (system,) = done.result["trading_systems"]
    assert system["verdict"] == ("refused" if state == "refuses" else "unreachable")
    assert (done.code, done.result["verdict"]) == (0, "clear")
    asked_meanwhile = max(venue["confirmed_ms"] for venue in done.result["venues"])
    assert state != "hangs" or asked_meanwhile < system["elapsed_ms"]


def test_a_trading_system_behind_a_failing_proxy_is_asked_again_until_it_stops(desk: Desk) -> None:
    server = _saying(502, 502, 502, 202)
    desk.systems.append({"name": "hft-1", "url": server.url})
    done = desk.press()
    server.end()
    assert [system["verdict"] for system in done.result["trading_systems"]] == ["stopped"]


def test_orders_orphaned_by_kill_dash_nine_in_the_middle_of_quoting_are_all_gone(tmp_path: Path) -> None:
    exchanges = {"binance": "binance", "bybit": "bybit", "deribit": "deribit", "kraken": "kraken"}
    with venue_host(exchanges) as host:
        for venue in host.venues.values():
            venue.exchange.feed_running = True
        desk = Desk(tmp_path, host)
        desk.venues = [desk.entry(name, driver) for name, driver in exchanges.items()]
        with trading_system(tmp_path, host, exchanges) as quoting:
            desk.systems.append({"name": "hft-1", "url": f"http://127.0.0.1:{quoting.port}"})
            wait_until(lambda: all(desk.open().values()))
            quoting.kill_dash_nine()
        assert any(desk.open().values())
        done = desk.press()
        assert (done.code, set(done.verdicts.values())) == (0, {"clear"})
        assert not any(desk.open().values())
        assert [system["verdict"] for system in done.result["trading_systems"]] == ["unreachable"]


# Interruptions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_kill_reports_what_is_known(desk: Desk, how: signal.Signals) -> None:
    desk.host.inject("alpha", kind="hang")
    process = desk.start("--reason", "a test", "--json", "--interval", "0.02", "--timeout", "50", "--confirm", "1")
    assert process.stderr is not None
    while "beta: clear" not in (line := process.stderr.readline()):
        assert line, "it ended before beta was clear"
    process.send_signal(how)
    out, err = process.communicate(timeout=30)
    done = Done(process.returncode, out, err)
    assert (done.code, done.verdicts) == (3, {"alpha": "unknown", "beta": "clear"})
    assert "interrupted" in done.err


def test_a_terminal_that_goes_away_does_not_stop_the_kill(desk: Desk) -> None:
    desk.host.inject("alpha", kind="status", status=503, remaining=3)
    process = desk.start("--reason", "a test", *QUICK)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.readline()
    process.stderr.close()
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 0
    assert desk.open() == {"alpha": 0, "beta": 0}


# Secrets --------------------------------------------------------------------------------------------------------------


def test_secrets_are_in_no_output_no_journal_no_arguments_and_no_child(desk: Desk) -> None:
    """The command that fetches a key writes down its own environment and arguments, and those of its parent."""
    spy = desk.folder / "spy"
    spy.write_text(
        f"#!/bin/sh\ncat /proc/self/environ /proc/$PPID/environ /proc/$PPID/cmdline >> {desk.folder / 'spied'}\n"
        f"cat {desk.folder / 'passphrase'}\n"
    )
    spy.chmod(0o700)
    desk.host.inject("beta", kind="status", status=401, op="cancel_all", remaining=1)
    desk.venues[0]["api_passphrase"] = f"cmd:{spy}"
    done = desk.press()
    assert done.code == 0
    spied = (desk.folder / "spied").read_bytes()
    assert b"hft_incident.cli" in spied
    written = [path.read_bytes() for path in desk.home.rglob("*") if path.is_file()]
    assert written
    for place in (done.out.encode(), done.err.encode(), spied, *written):
        assert not [secret for secret in CANARIES if secret.encode() in place]


# TLS ------------------------------------------------------------------------------------------------------------------


class Authority(NamedTuple):
    certificate: Path
    key: Path


def _authority(folder: Path, name: str) -> Authority:
    made = Authority(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_new_key(made.key), "-out", str(made.certificate), "-subj", f"/CN={name}")
    return made


def _certificate(folder: Path, authority: Authority) -> Authority:
    made, request, names = Authority(folder / "venue.pem", folder / "venue.key"), folder / "venue.csr", folder / "san"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl("req", *_new_key(made.key), "-out", str(request), "-subj", "/CN=venue")
    _openssl(
        *("x509", "-req", "-in", str(request), "-out", str(made.certificate), "-extfile", str(names)),
        *("-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial"),
    )
    return made


def _new_key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(path))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def tls(tmp_path: Path, desk: Desk) -> Iterator[Desk]:
    """Alpha behind TLS, with a certificate by an authority of the test."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with")
    made = _certificate(tmp_path, _authority(tmp_path, "right"))
    _authority(tmp_path, "wrong")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(
            target=_terminate_tls, args=(listening, context, desk.host.venues["alpha"].port), daemon=True
        ).start()
        desk.venues[0]["base_url"] = f"https://127.0.0.1:{listening.getsockname()[1]}"
        yield desk


def _terminate_tls(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """What comes in over TLS goes on in the clear to the venue."""

    def serve(raw: socket.socket) -> None:
        try:
            with (
                context.wrap_socket(raw, server_side=True) as near,
                socket.create_connection(("127.0.0.1", port)) as far,
            ):
                back = threading.Thread(target=_copy, args=(far, near), daemon=True)
                back.start()
                _copy(near, far)
                back.join()
        except OSError:
            return  # whoever called did not trust us

    while True:
        try:
            raw, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(raw,), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side may leave at any time
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_RDWR)


def test_a_venue_with_its_own_authority_is_cleared(tls: Desk) -> None:
    tls.venues[0]["ca_file"] = str(tls.folder / "right.pem")
    done = tls.press()
    assert (done.code, done.verdicts) == (0, {"alpha": "clear", "beta": "clear"})


@pytest.mark.parametrize("ca_file", ["wrong.pem", None])
def test_a_certificate_that_is_not_trusted_makes_the_venue_unknown(tls: Desk, ca_file: str | None) -> None:
    tls.venues[0]["ca_file"] = ca_file and str(tls.folder / ca_file)
    done = tls.press("--timeout", "1.5")
    assert done.verdicts == {"alpha": "unknown", "beta": "clear"}
    assert "certificate not trusted" in done.error_of("alpha")
    assert not tls.host.venues["alpha"].seen


# A trading system that says what it is told to ------------------------------------------------------------------------


class _Saying(NamedTuple):
    server: ThreadingHTTPServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def end(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _saying(*statuses: int) -> _Saying:
    """Answers each request to stop with the next of ``statuses``, in the end always the last."""
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"active": False})

        def do_POST(self) -> None:
            status = left.pop(0) if len(left) > 1 else left[0]
            self._say(status, {"active": True} if status < 300 else {"error": {"code": "no", "message": "not now"}})

        def _say(self, status: int, payload: Mapping[str, Any]) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return _Saying(server)
