# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Logins out of the lines of several programs, and which of them are foreign; with any bytes."""

from __future__ import annotations

import json
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.audit_accounts import (
    MANY_FAILURES,
    Login,
    audit_logins,
    judged,
    networks,
    refused,
    sshd_logins,
    utmp_records,
    within,
)
from ansible_collections.hft.incident.plugins.module_utils.audit_findings import line

KNOWN = networks("known_networks", ["192.0.2.0/24", "2001:db8::/32"])
LAYOUTS = ["=hxxi32s4s32s256shhiii16s20x", "=hxxi32s4s32s256shhqqq16s24x"]


def entry(message: object) -> str:
    return json.dumps({"MESSAGE": message, "__REALTIME_TIMESTAMP": "1700000000000000"})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("torn", [0, 7])
def test_records_of_both_sizes_are_read(layout: str, torn: int) -> None:
    row = (7, 9, b"pts/1", b"ts/1", b"ada", b"host.example", 0, 0, 1, 1_700_000_000, 5,
           socket.inet_pton(socket.AF_INET6, "2001:db8::1"))  # fmt: skip
    data = struct.pack(layout, 2, 0, b"~", b"~~", b"reboot", b"6.1", 0, 0, 0, 1_700_000_000, 0, bytes(16))
    found = utmp_records(data + struct.pack(layout, *row) * 2 + b"x" * torn, "wtmp")
    assert found
    assert [(login.user, login.address, login.at, login.line) for login in found] == [
        ("ada", "2001:db8::1", 1_700_000_000.000005, "pts/1")
    ] * 2


@given(st.binary(max_size=2000))
def test_no_bytes_raise(data: bytes) -> None:
    utmp_records(data, "wtmp")
    text = data.decode("latin-1")
    sshd_logins(text)
    sshd_logins(entry(text))
    audit_logins(text)
    audit_logins(f"type=USER_LOGIN msg=audit(1700000000.1:2): {text}")
    refused(text)
    assert line(text).isprintable()


@pytest.mark.parametrize(
    ("message", "user", "address", "ok"),
    [
        ("Accepted publickey for ada from 192.0.2.1 port 5 ssh2: ED25519 SHA256:abc", "ada", "192.0.2.1", True),
        ("Accepted password for ada from 2001:db8::1 port 5 ssh2", "ada", "2001:db8::1", True),
        ("Failed password for invalid user oracle from 203.0.113.1 port 5 ssh2", "oracle", "203.0.113.1", False),
        # A name that wants to be taken for the address.
        ("Failed password for invalid user x from 192.0.2.1 port 1 ssh2 from 203.0.113.1 port 5 ssh2",
         "x from 192.0.2.1 port 1 ssh2", "203.0.113.1", False),
    ],
)  # fmt: skip
def test_what_sshd_says(message: str, user: str, address: str, ok: bool) -> None:
    (login,) = sshd_logins(f"nonsense\n{entry(message)}\n{entry([1, 2])}\n{entry('Connection closed')}")
    assert (login.user, login.address, login.ok, login.at) == (user, address, ok, 1_700_000_000)


def test_what_the_audit_log_says() -> None:
    rows = (
        'type=USER_LOGIN msg=audit(1700000000.250:7): pid=1 uid=0 auid=0 ses=1 msg=\'op=login id=0 exe="/usr/sbin/sshd"'
        " hostname=203.0.113.1 addr=203.0.113.1 terminal=/dev/pts/0 res=success'\n"
        'type=USER_LOGIN msg=audit(1700000001.0:8): pid=1 msg=\'op=login acct=6576696C20 exe="x" hostname=? addr=?'
        " terminal=ssh res=failed'\n"
        "type=USER_LOGIN msg=audit(1700000002.0:9): msg='op=login acct=\"ABBA\" addr=192.0.2.1 res=success'\n"
        "type=SYSCALL msg=audit(1700000003.0:9): x\n"
    )
    assert [(login.user, login.address, login.ok) for login in audit_logins(rows)] == [
        ("root", "203.0.113.1", True), ("evil ", "", False), ("ABBA", "192.0.2.1", True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "known"),
    [("192.0.2.9", True), ("::ffff:192.0.2.9", True), ("2001:db8::2%eth0", True), ("203.0.113.1", False),
     ("::ffff:203.0.113.1", False), ("host.example", False), ("", False)],
)  # fmt: skip
def test_where_an_address_is(address: str, known: bool) -> None:
    assert within(address, KNOWN) is known


logins = st.builds(
    Login,
    st.floats(0, 1000),
    st.sampled_from(["root", "ada"]),
    st.sampled_from(["192.0.2.1", "203.0.113.1", "", "host"]),
    st.booleans(),
    st.sampled_from(["wtmp", "journal of sshd"]),
)


@given(st.lists(logins, max_size=40), st.floats(0, 1000))
def test_every_login_from_elsewhere_in_the_window_alarms_and_nothing_before_it(seen: list[Login], since: float) -> None:
    told = judged(seen, since, KNOWN)
    foreign = {
        login.address for login in seen if login.ok and login.at >= since and login.address in ("203.0.113.1", "host")
    }
    alarming = [verdict.what for verdict in told if verdict.kind == "login_foreign"]
    assert {address for address in foreign if not any(f"from {address} " in what for what in alarming)} == set()
    assert bool(foreign) == bool(alarming)
    assert not [verdict for verdict in judged(seen, since, ()) if verdict.kind == "login_foreign"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_the_host_itself_and_its_console_are_no_foreign_place(address: str) -> None:
    told = judged([Login(10, "ada", address, True, "wtmp")], 0, KNOWN)
    assert [verdict.kind for verdict in told] == ["logins"]


def test_one_login_that_two_sources_tell_of_counts_once_and_two_of_one_source_twice() -> None:
    one = Login(10, "root", "192.0.2.1", True, "wtmp")
    same = one._replace(at=10.9, source="journal of sshd")
    told = {verdict.kind: verdict for verdict in judged([one, same], 0, KNOWN)}
    assert told["logins"].what.startswith("1 logins")
    told = {verdict.kind: verdict for verdict in judged([one, one._replace(at=10.5)], 0, KNOWN)}
    assert told["logins"].what.startswith("2 logins")


@pytest.mark.parametrize(("count", "severity"), [(MANY_FAILURES - 1, "info"), (MANY_FAILURES, "suspicious")])
def test_failures_are_counted_by_address(count: int, severity: str) -> None:
    failed = [Login(number * 10, "ada", "203.0.113.1", False, "btmp") for number in range(count)]
    (told,) = judged(failed, 0, KNOWN)
    assert (told.severity, told.what) == (severity, f"{count} failed logins from 203.0.113.1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"level": "WARN", "event": "auth_failed", "user": "x"}', True),
        ('{"status": 403, "path": "/api"}', True),
        ('{"status": 200, "path": "/api/unauthorized"}', False),
        ("2026-11-27T00:00:00Z WARNING [api] UNAUTHORIZED request from 203.0.113.1", True),
        ("2026-11-27T00:00:00Z INFO [api] request status=401 path=/config", True),
        ("2026-11-27T00:00:00Z ERROR [gateway.alpha] Invalid API-key, IP, or permissions", True),
        ("2026-11-27T00:00:00Z INFO [api] user authorized", False),
        ("2026-11-27T00:00:00Z INFO order 401 filled at 403", False),
    ],
)
def test_which_lines_tell_of_somebody_who_was_not_let_in(text: str, expected: bool) -> None:
    assert refused(text) is expected
