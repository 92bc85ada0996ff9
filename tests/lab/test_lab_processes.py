# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab as processes: it starts, says what it is, obeys its controls, and nothing of it outlives what it should."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from hft_incident.lab import signatures
from hft_incident.lab.errors import LabError
from hft_incident.lab.lab import Lab, down, find, running_lab, up
from hft_incident.lab.lifeline import Process, identify, is_alive, send, wait_for_end
from hft_incident.lab.state import Record
from hft_incident.lab.status import status
from hft_incident.lab.venue_handle import LabVenue
from hft_incident.lab.venues.faults import REPLY_FAULTS, STATE_FAULTS
from hft_incident.lab.venues.registry import DIALECTS

ROOT = Path(__file__).resolve().parents[2]
ONE = {"binance": "binance"}
TWO = {"binance": "binance", "second": "binance"}
PATIENCE_S = 20.0
Answer = tuple[int, dict[str, str], bytes]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)


def assert_all_ended(record: Record) -> None:
    left = [process for process in record.processes if not wait_for_end(process, PATIENCE_S)]
    assert not left, f"still running: {left}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever a failing test leaves running there is stopped."""
    yield tmp_path
    down(tmp_path)


@contextmanager
def caller(home: Path, *, attached: bool) -> Iterator[tuple[subprocess.Popen[str], Record]]:
    """Another process that brings a lab up and waits."""
    program = textwrap.dedent(
        f"""
        import signal, threading
        from pathlib import Path
        from hft_incident.lab.lab import up

        def start():
            lab = up(Path({str(home)!r}), {TWO!r}, attached={attached})
            print("already" if lab.already_up else "new", lab.record.to_json().replace(chr(10), " "), flush=True)

        thread = threading.Thread(target=start)  # the lab belongs to the process, not to the thread
        thread.start()
        thread.join()
        signal.pause()
        """
    )
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("src", "collections"))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            word, _, record = process.stdout.readline().partition(" ")
            assert word == "new"
            yield process, Record.from_json(record)
        finally:
            process.kill()


# --- up, status, down ---


def test_a_lab_comes_up_is_described_and_goes_without_a_trace(home: Path) -> None:
    lab = up(home, TWO, database=False)

    assert not lab.already_up
    assert set(lab.venues) == set(TWO)
    assert set(lab.trading_systems) == {"hft-1"}
    for process in lab.record.processes:
        assert is_alive(process)
    now = status(home)
    assert now.up
    assert [(p.name, p.alive, p.answers) for p in now.processes] == [
        ("supervisor", True, None),
        ("binance", True, True),
        ("second", True, True),
        ("hft-1", True, True),
    ]
    assert any(
        re.search(rf"binance +venue \(binance\) +\d+ +{lab.venues['binance'].port} +yes", x) for x in now.render()
    )

    stopped = down(home)
    assert stopped.was_up
    assert stopped.processes == 4
    assert_all_ended(lab.record)
    assert sorted(path.name for path in (home / "lab").iterdir()) == ["lock", "logs"]
    assert status(home).render() == ["the lab is not up: run 'hft-incident lab up'"]


def test_down_with_nothing_up_says_so(tmp_path: Path) -> None:
    assert down(tmp_path).render() == ["the lab was not up"]
    assert not list(tmp_path.iterdir()), "asking leaves nothing behind"


def test_up_twice_is_the_same_lab(home: Path) -> None:
    first = up(home, ONE, trading_systems=())
    second = up(home, TWO)

    assert second.already_up
    assert second.record == first.record == find(home).record
    assert second.render()[0].startswith("the lab is already up: 1 venues")


def test_of_two_that_start_at_once_one_wins_and_both_get_its_lab(home: Path) -> None:
    words = "import sys; from pathlib import Path; from hft_incident.lab.lab import up\n"
    words += f"lab = up(Path({str(home)!r}), {ONE!r}, trading_systems=())\n"
    words += "print(lab.already_up, lab.record.supervisor.pid)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", words]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    said = sorted(racer.communicate(timeout=60)[0].split() for racer in racers)

    assert [already for already, _pid in said] == ["False", "True", "True"]
    assert len({pid for _already, pid in said}) == 1


def test_the_record_and_every_key_are_for_the_owner_only(home: Path) -> None:
    lab = up(home, {"okx-like": "binance"})
    private = [home / "lab" / "lab.json", lab.venues_file, *lab.keys.iterdir(), *(home / "lab" / "systems").iterdir()]
    folders = [path for path in private if path.is_dir()]

    assert {stat.S_IMODE(path.stat().st_mode) for path in private if path not in folders} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert stat.S_IMODE((home / "lab").stat().st_mode) == 0o700
    secrets = [path.read_text().strip() for path in lab.keys.glob("*.secret")]
    assert secrets
    shown = [path.read_text() for path in (home / "lab" / "lab.json", lab.venues_file)]
    shown += [Path(f"/proc/{p.pid}/cmdline").read_text() for p in lab.record.processes]
    assert not any(secret in text for secret in secrets for text in shown)


def test_the_record_has_the_ports_that_listen(home: Path) -> None:
    lab = up(home, ONE)
    document = json.loads((home / "lab" / "lab.json").read_text())

    for row in (*document["venues"], *document["trading_systems"]):
        assert row["url"] == f"http://127.0.0.1:{row['port']}"
        socket.create_connection(("127.0.0.1", row["port"]), timeout=5).close()
    assert document["supervisor"]["pid"] == lab.record.supervisor.pid
    assert Record.from_json(json.dumps(document)) == lab.record


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(LabError, match=r"nonsense.*is not NAME=DRIVER"):
        up(home, {**ONE, "other": "nonsense"}, trading_systems=())

    assert down(home) == (False, 0, False)
    assert not (home / "lab" / "keys").exists()


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="cannot name a process"):
        up(tmp_path, {name: "binance"})
    with pytest.raises(LabError, match="two processes"):
        up(tmp_path, ONE, trading_systems=["binance"])


def test_the_default_lab_has_every_dialect_and_trades_at_each(home: Path) -> None:
    lab = up(home)

    assert set(lab.venues) == set(DIALECTS)
    assert all(process.alive and process.answers in (True, None) for process in status(home).processes)
    until(lambda: all(venue.truth().happenings for venue in lab.venues.values()), "its key works at every venue")
    (okx,) = (row for row in yaml.safe_load(lab.venues_file.read_text())["hft_venues"] if row["name"] == "okx")
    assert Path(okx["api_passphrase"].removeprefix("file:")).read_text().strip()


# --- nothing is left behind ---


def test_kill_9_of_the_supervisor_leaves_no_process(home: Path) -> None:
    lab = up(home, TWO)
    os.kill(lab.record.supervisor.pid, signal.SIGKILL)

    assert_all_ended(lab.record)
    now = status(home)
    assert not now.up
    assert now.render()[0].endswith("was not stopped and is gone: run 'hft-incident lab up'")
    with pytest.raises(LabError, match="the lab is not up"):
        find(home)


def test_a_stopped_process_dies_with_the_supervisor_too(home: Path) -> None:
    lab = up(home, ONE, trading_systems=())
    os.kill(lab.venues["binance"].process.pid, signal.SIGSTOP)
    os.kill(lab.record.supervisor.pid, signal.SIGKILL)

    assert_all_ended(lab.record)


def test_kill_9_of_the_process_it_is_attached_to_ends_the_lab(home: Path) -> None:
    with caller(home, attached=True) as (process, record):
        assert all(is_alive(p) for p in record.processes)
        process.kill()
        assert_all_ended(record)
    until(lambda: not (home / "lab" / "lab.json").exists(), "the record is gone")


def test_a_detached_lab_survives_its_starter_and_the_starter_s_terminal(home: Path) -> None:
    with caller(home, attached=False) as (process, record):
        os.killpg(process.pid, signal.SIGHUP)
        process.wait(PATIENCE_S)
        assert all(p.alive for p in status(home).processes)
    assert up(home, TWO).record == record


def test_a_crashed_lab_is_replaced(home: Path) -> None:
    first = up(home, ONE, trading_systems=())
    os.kill(first.record.supervisor.pid, signal.SIGKILL)
    assert wait_for_end(first.record.supervisor, PATIENCE_S)
    second = up(home, ONE, trading_systems=())

    assert not second.already_up
    assert second.record.supervisor != first.record.supervisor
    assert_all_ended(first.record)


def test_a_stale_record_never_hits_the_process_that_has_the_number_now(home: Path) -> None:
    """As after a reboot: every number in the record belongs to somebody else."""
    lab = up(home, ONE)
    text = (home / "lab" / "lab.json").read_text()
    down(home)
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as bystander:
        bystander_process = identify(bystander.pid)
        stale = re.sub(r'"pid": \d+', f'"pid": {bystander.pid}', text)
        (home / "lab" / "lab.json").write_text(stale)

        assert not status(home).up
        assert not any(process.alive for process in status(home).processes)
        assert not up(home, ONE, trading_systems=()).already_up
        down(home)
        (home / "lab" / "lab.json").write_text(stale)
        assert down(home).render() == ["the lab was not up; removed what a crash had left of one"]
        assert bystander_process is not None
        assert is_alive(bystander_process)
        bystander.kill()
    assert lab.record.processes


def test_a_record_that_is_not_json_counts_as_none(home: Path) -> None:
    (home / "lab").mkdir()
    (home / "lab" / "lab.json").write_text('{"started_at": "2026-')

    assert status(home).record is None
    assert not up(home, ONE, trading_systems=()).already_up


def test_a_process_that_dies_stays_dead_and_status_says_so(home: Path) -> None:
    lab = up(home, TWO)
    victim = lab.trading_systems["hft-1"].process
    send(victim, signal.SIGKILL)
    assert wait_for_end(victim, PATIENCE_S)

    rows = {row.name: (row.alive, row.answers) for row in status(home).processes}
    assert rows["hft-1"] == (False, False)
    assert rows["binance"] == (True, True)
    log = lab.logs / "supervisor.log"
    until(lambda: "hft-1 was killed by SIGKILL" in log.read_text(), "the supervisor notes it")


@pytest.mark.parametrize("told_by_the_system", [True, False])
def test_a_process_is_told_from_another_one_with_its_number(
    monkeypatch: pytest.MonkeyPatch, told_by_the_system: bool
) -> None:
    if not told_by_the_system:  # as where a process cannot be watched
        monkeypatch.delattr(os, "pidfd_open")
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as child:
        now, before = identify(child.pid), Process(child.pid, "another boot/1")
        assert now is not None
        send(before, signal.SIGKILL)
        assert wait_for_end(before, 0)
        assert not wait_for_end(now, 0)
        send(now, signal.SIGKILL)
        assert wait_for_end(now, PATIENCE_S), "a zombie has ended"


# --- the generated inventory ---


def test_the_inventory_refers_to_keys_and_never_holds_one(home: Path) -> None:
    lab = up(home, ONE)
    document = yaml.safe_load(lab.venues_file.read_text())

    (venue,) = document["hft_venues"]
    assert venue["base_url"] == lab.venues["binance"].url
    assert venue["symbols"] == ["BTCUSDT"]
    for field in ("api_key", "api_secret"):
        assert Path(venue[field].removeprefix("file:")).is_file()
    assert document["hft_trading_systems"] == [
        {"name": "hft-1", "url": lab.trading_systems["hft-1"].url, "token": f"file:{lab.keys / 'hft-1.token'}"}
    ]
    assert not (lab.inventory / "group_vars" / "all" / "lab.yml").exists(), "one truth"


def play(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """The lab's addresses as a playbook sees them."""
    ansible = Path(sys.executable).parent / "ansible"
    command = [str(ansible), "control", *options, "-m", "ansible.builtin.debug", "-a", "msg={{ hft_venues | to_json }}"]
    clean = {name: text for name, text in os.environ.items() if name not in ("HFT_INCIDENT_HOME", "XDG_STATE_HOME")}
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False)


def test_plain_ansible_finds_the_running_lab_and_says_when_there_is_none(home: Path) -> None:
    environment = {"HFT_INCIDENT_HOME": str(home)}
    without = play(environment)
    assert without.returncode != 0
    assert "the lab is not up: run 'hft-incident lab up'" in without.stdout + without.stderr

    lab = up(home, ONE, trading_systems=())
    for done in (play(environment), play({}, "-i", str(lab.inventory))):
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.venues["binance"].url in done.stdout


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"HFT_INCIDENT_HOME": "/srv/x"}, "/srv/x"),
        ({"HFT_INCIDENT_HOME": "~/x"}, "/home/me/x"),
        ({"XDG_STATE_HOME": "/state"}, "/state/hft-incident"),
        ({"XDG_STATE_HOME": "relative"}, "/home/me/.local/state/hft-incident"),
        ({}, "/home/me/.local/state/hft-incident"),
    ],
)
def test_plain_ansible_looks_where_everything_else_does(
    environment: dict[str, str], found: str, tmp_path: Path
) -> None:
    if os.geteuid() == 0 and "HFT_INCIDENT_HOME" not in environment:
        found = "/var/lib/hft-incident"
    said = play({**environment, "HOME": "/home/me", "ANSIBLE_HOME": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path)})
    assert f"looked for {found}/lab/inventory/group_vars/all/venues.yml" in said.stdout + said.stderr


# --- controls and faults, over the wire ---


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab"), ONE, trading_systems=()) as lab:
        yield lab


@pytest.fixture
def venue(shared: Lab) -> Iterator[LabVenue]:
    """Binance without faults, orders or requests."""
    one = shared.venues["binance"]
    one.clear_faults()
    for symbol in {order.symbol for order in one.truth().open_orders}:
        signed(shared, "DELETE", "/api/v3/openOrders", symbol=symbol)
    one.forget_requests()
    yield one
    one.clear_faults()
    one.set_latency(0)
    one.move_market(True)


def fetch(venue: LabVenue, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=2)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def signed(lab: Lab, method: str, path: str, **parameters: str) -> Answer:
    key, secret = ((lab.keys / f"binance.responder.{part}").read_text().strip() for part in ("id", "secret"))
    query = urlencode({**parameters, "timestamp": int(time.time() * 1000)})
    target = f"{path}?{query}&signature={signatures.binance(secret, query)}"
    return fetch(lab.venues["binance"], target, method, {"X-MBX-APIKEY": key})


def venue_time(venue: LabVenue) -> Any:
    status_code, _headers, body = fetch(venue, "/api/v3/time")
    assert status_code == 200
    return json.loads(body)["serverTime"]


def expect_error(kind: type[Exception]) -> Callable[[LabVenue], None]:
    def check(venue: LabVenue) -> None:
        with pytest.raises(kind):
            fetch(venue, "/api/v3/time")

    return check


def expect_body(matches: Callable[[bytes], bool]) -> Callable[[LabVenue], None]:
    def check(venue: LabVenue) -> None:
        status_code, _headers, body = fetch(venue, "/api/v3/time")
        assert status_code == 200
        assert matches(body), body

    return check


def expect_retry_after(venue: LabVenue) -> None:
    status_code, headers, _body = fetch(venue, "/api/v3/time")
    assert (status_code, headers["Retry-After"]) == (429, "7")


def expect_single_bytes(venue: LabVenue) -> None:
    with socket.create_connection(("127.0.0.1", venue.port), timeout=5) as connection:
        connection.sendall(b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        pieces = list(iter(lambda: connection.recv(65536), b""))
    body = b"".join(pieces).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["serverTime"] > 0
    assert len(pieces) > len(body) / 2, "it came in pieces of about a byte"


def is_cut_json(body: bytes) -> bool:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(body)
    return body.startswith(b"{")


REPLIES: dict[str, tuple[dict[str, Any], Callable[[LabVenue], None]]] = {
    "reset": ({}, expect_error(ConnectionResetError)),
    "hang": ({}, expect_error(TimeoutError)),
    "drip": ({}, expect_single_bytes),
    "status": ({"status": 429, "retry_after": 7}, expect_retry_after),
    "html": ({}, expect_body(lambda body: body.startswith(b"<!DOCTYPE html>"))),
    "empty_object": ({}, expect_body(lambda body: body == b"{}")),
    "empty_body": ({}, expect_body(lambda body: body == b"")),
    "truncated": ({}, expect_body(is_cut_json)),
    "half_body": ({}, expect_error(http.client.IncompleteRead)),
    "wrong_schema": ({}, expect_body(lambda body: "serverTime" not in json.loads(body))),
}


@pytest.mark.parametrize("kind", list(REPLY_FAULTS))
def test_a_reply_fault_spoils_the_next_reply_and_no_other(venue: LabVenue, kind: str) -> None:
    options, check = REPLIES[kind]
    venue.inject(kind, op="time", remaining=1, **options)
    assert fetch(venue, "/sapi/v1/system/status")[0] == 200, "another operation is not touched"
    check(venue)

    assert venue.faults() == []
    assert venue_time(venue) > 0


@pytest.mark.parametrize("code", [408, 418, 502, 503])
def test_every_error_status_can_be_had(venue: LabVenue, code: int) -> None:
    venue.inject("status", status=code)
    assert [fetch(venue, "/api/v3/time")[0] for _ in range(3)] == [code] * 3


def orders_listed(lab: Lab) -> Any:
    return json.loads(signed(lab, "GET", "/api/v3/openOrders")[2])


def a_refusing_venue(lab: Lab, venue: LabVenue) -> None:
    venue.inject("refuse")
    with pytest.raises(ConnectionRefusedError):
        fetch(venue, "/api/v3/time")
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", venue.port))
    row = next(row for row in status(lab.home).processes if row.name == "binance")
    assert (row.answers, row.faults) == (True, ("refuse",)), "the process is well, the venue is not"
    venue.clear_faults()
    assert venue_time(venue) > 0


def a_clock_that_is_off(_lab: Lab, venue: LabVenue) -> None:
    venue.inject("clock_skew", seconds=-30)
    assert venue_time(venue) / 1000 - time.time() < -20


def a_revoked_key(lab: Lab, venue: LabVenue) -> None:
    venue.inject("revoked_key")
    code, _headers, body = signed(lab, "GET", "/api/v3/openOrders")
    assert (code, json.loads(body)["code"]) == (401, -2015)


def cancels_that_do_nothing(lab: Lab, venue: LabVenue) -> None:
    venue.seed(3)
    venue.inject("cancel_ignored")
    assert signed(lab, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")[0] == 200
    assert len(venue.truth().open_orders) == len(orders_listed(lab)) == 3


def cancels_that_do_a_part(lab: Lab, venue: LabVenue) -> None:
    venue.seed(4)
    venue.inject("cancel_partial", remaining=1)
    signed(lab, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert len(venue.truth().open_orders) == 2
    signed(lab, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert venue.truth().open_orders == ()


def an_order_after_the_first_empty_listing(lab: Lab, venue: LabVenue) -> None:
    venue.inject("late_order", remaining=1)
    assert orders_listed(lab) == []
    assert len(orders_listed(lab)) == 1


def ticker_time(venue: LabVenue) -> Any:
    return json.loads(fetch(venue, "/api/v3/ticker/24hr?symbol=BTCUSDT")[2])["closeTime"]


def market_data_that_stops(_lab: Lab, venue: LabVenue) -> None:
    venue.inject("feed_stops")
    stopped = ticker_time(venue)
    until(lambda: venue_time(venue) > stopped + 300, "three market steps would have been made")
    assert ticker_time(venue) == stopped
    venue.clear_faults()
    until(lambda: ticker_time(venue) > stopped, "market data goes on")


def a_status_page_that_lies(_lab: Lab, venue: LabVenue) -> None:
    venue.inject("status", status=503)
    assert fetch(venue, "/sapi/v1/system/status")[0] == 503
    venue.inject("status_lies")
    assert fetch(venue, "/api/v3/time")[0] == 503
    code, _headers, body = fetch(venue, "/sapi/v1/system/status")
    assert (code, json.loads(body)["status"]) == (200, 0)


STATES: dict[str, Callable[[Lab, LabVenue], None]] = {
    "refuse": a_refusing_venue,
    "clock_skew": a_clock_that_is_off,
    "revoked_key": a_revoked_key,
    "cancel_ignored": cancels_that_do_nothing,
    "cancel_partial": cancels_that_do_a_part,
    "late_order": an_order_after_the_first_empty_listing,
    "feed_stops": market_data_that_stops,
    "status_lies": a_status_page_that_lies,
}


@pytest.mark.parametrize("kind", list(STATE_FAULTS))
def test_a_state_fault_changes_what_the_venue_does(shared: Lab, venue: LabVenue, kind: str) -> None:
    STATES[kind](shared, venue)


def test_seeded_orders_are_the_truth_and_what_the_venue_lists(shared: Lab, venue: LabVenue) -> None:
    ids = [*venue.seed(2), *venue.seed(1, symbol="ETHUSDT", conditional=True)]

    truth = venue.truth()
    assert [order.id for order in truth.open_orders] == ids
    assert [(order.symbol, order.conditional) for order in truth.open_orders][1:] == [
        ("BTCUSDT", False),
        ("ETHUSDT", True),
    ]
    assert {row["orderId"] for row in orders_listed(shared)} == set(ids)
    assert [(h.kind, h.order_id) for h in truth.happenings[-3:]] == [("placed", order_id) for order_id in ids]
    assert truth.balances["BTC"] == Decimal(100)


def test_every_request_is_counted_until_it_is_forgotten(shared: Lab, venue: LabVenue) -> None:
    fetch(venue, "/api/v3/time")
    orders_listed(shared)
    signed(shared, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    fetch(venue, "/no/such/thing")

    assert [(seen.op, seen.method, seen.path, seen.writes) for seen in venue.requests()] == [
        ("time", "GET", "/api/v3/time", False),
        ("open_orders", "GET", "/api/v3/openOrders", False),
        ("cancel_all", "DELETE", "/api/v3/openOrders", True),
        ("unknown", "GET", "/no/such/thing", False),
    ]
    venue.forget_requests()
    assert venue.requests() == []


def test_a_market_at_rest_is_not_a_feed_that_stopped(venue: LabVenue) -> None:
    def price() -> Any:
        return json.loads(fetch(venue, "/api/v3/ticker/24hr?symbol=BTCUSDT")[2])["lastPrice"]

    venue.move_market(False)
    venue.inject("html", op="place")  # any change of the faults used to set the market going again
    rest, at = price(), ticker_time(venue)
    until(lambda: ticker_time(venue) > at + 300, "the feed goes on")
    assert price() == rest
    venue.move_market(True)
    until(lambda: price() != rest, "the market moves")


def test_latency_holds_every_reply_back(venue: LabVenue) -> None:
    venue.set_latency(60_000)
    with pytest.raises(TimeoutError):
        fetch(venue, "/api/v3/time")
    venue.set_latency(0)
    assert venue_time(venue) > 0


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda venue: venue.inject("gremlins"), "unknown fault 'gremlins'; known: reset"),
        (lambda venue: venue.inject("hang", nonsense=1), "not the description of a fault"),
        (lambda venue: venue.inject("refuse", remaining=1), "holds for the whole venue"),
        (lambda venue: venue.seed(1, symbol="DOGE"), "unknown symbol 'DOGE'; known: BTCUSDT"),
        (lambda venue: venue.seed(0), "whole number from 1"),
        (lambda venue: venue.set_latency(-1), "must be from 0"),
        (lambda venue: venue.move_market("yes"), "'moving' is missing or of the wrong type"),
    ],
)
def test_a_wrong_order_to_the_controls_is_refused_in_words(
    venue: LabVenue, act: Callable[[LabVenue], None], message: str
) -> None:
    with pytest.raises(LabError, match=re.escape(message)):
        act(venue)
    assert venue.faults() == []
    assert venue.truth().open_orders == ()


def test_controls_of_a_dead_venue_say_so(home: Path) -> None:
    lab = up(home, ONE, trading_systems=())
    one = lab.venues["binance"]
    send(one.process, signal.SIGKILL)
    assert wait_for_end(one.process, PATIENCE_S)

    with pytest.raises(LabError, match="binance gives no answer to its controls"):
        one.truth()
