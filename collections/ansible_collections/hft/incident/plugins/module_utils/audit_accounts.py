# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who was on a host and who tried: records of utmp's kind, sshd's and audit's own lines. Pure; no bytes raise.

Sources: utmp(5); OpenSSH's auth.c for sshd's sentences; the Linux audit documentation (USER_LOGIN); seed-faults A7 (ten
minutes are too few, and one source that root can edit is not enough).
"""

from __future__ import annotations

import json
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple, Union

from .errors import UsageError
from .log_lines import Tail, file_lines, iso, message_of

Network = Union[IPv4Network, IPv6Network]


class Login(NamedTuple):
    """One that came in, or tried. ``address``: "" for one from the console or where it is not known."""

    at: float
    user: str
    address: str
    ok: bool
    source: str
    line: str = ""
    method: str = ""

    @property
    def words(self) -> str:
        how = f" by {self.method}" if self.method else ""
        return f"{self.user or '?'} from {self.address or self.line or '?'} at {iso(self.at)}{how}"


def networks(option: str, given: Sequence[str]) -> tuple[Network, ...]:
    """Raises UsageError naming the one that is none."""
    found = []
    for text in given:
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            raise UsageError(f"{option}: {text!r} is no network: {error}") from None
    return tuple(found)


def within(address: str, known: Iterable[Network]) -> bool:
    """Whether the address is in one of them; one that means nothing is not. An IPv4 address in IPv6 is that address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    seen = mapped or parsed
    return any(seen.version == network.version and seen in network for network in known)


# utmp, wtmp, btmp -----------------------------------------------------------------------------------------------------

USER_PROCESS, LOGIN_PROCESS = 7, 6
#: As glibc has them: with times of 32 bits (x86, and most others), and of 64 (aarch64, s390 and so on).
_LAYOUTS = (struct.Struct("=hxxi32s4s32s256shhiii16s20x"), struct.Struct("=hxxi32s4s32s256shhqqq16s24x"))


def utmp_records(data: bytes, source: str, *, ok: bool = True) -> list[Login] | None:
    """The logins of a file of utmp's kind; None where it is none. ``ok`` is False for btmp, which has failures."""
    if not data.strip(b"\0"):
        return []
    read = ([layout.unpack_from(data, place) for place in range(0, len(data) - layout.size + 1, layout.size)]
            for layout in _LAYOUTS)  # fmt: skip
    sound = max(([record for record in records if _is_sound(record)] for records in read), key=len)
    wanted = (USER_PROCESS,) if ok else (USER_PROCESS, LOGIN_PROCESS)
    return [_login(record, source, ok) for record in sound if record[0] in wanted] if sound else None


def _is_sound(record: tuple[Any, ...]) -> bool:
    """It has a type, a time of this century, and fewer microseconds than there are: read by the other layout, it would
    not."""
    return bool(1 <= record[0] <= 9 and 10**9 <= record[9] < 2**33 and 0 <= record[10] < 10**6)


def _login(record: tuple[Any, ...], source: str, ok: bool) -> Login:
    _type, _pid, line, _id, user, host, _term, _exit, _session, seconds, micros, address = record
    return Login(
        seconds + micros / 1_000_000,
        _field(user),
        _address(address) or _field(host),
        ok,
        source,
        _field(line),
    )


def _field(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _address(data: bytes) -> str:
    if not any(data):
        return ""
    family = socket.AF_INET6 if any(data[4:]) else socket.AF_INET
    return socket.inet_ntop(family, data if family == socket.AF_INET6 else data[:4])


# sshd -----------------------------------------------------------------------------------------------------------------

#: Greedy, since a user's name may itself say "from 192.0.2.1 port 1": what sshd adds stands last.
_SSHD = re.compile(
    r"(Accepted|Failed) ([\w/-]{1,40}) for (?:invalid user )?(.{0,500})"
    r" from (\S{1,100}) port \d{1,5}(?: ssh2)?(?:: .*)?"
)


def sshd_logins(output: str) -> list[Login]:
    """Out of ``journalctl -o json``."""
    found = []
    for row in output.split("\n"):
        try:
            entry = json.loads(row)
            message, at = entry["MESSAGE"], int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000
        except (ValueError, TypeError, LookupError, RecursionError):
            continue
        match = _SSHD.fullmatch(message) if isinstance(message, str) else None
        if match:
            found.append(Login(at, match[3], match[4], match[1] == "Accepted", "journal of sshd", method=match[2]))
    return found


# The audit log --------------------------------------------------------------------------------------------------------

_AUDIT = re.compile(r"type=USER_LOGIN msg=audit\((\d{1,12}\.\d{1,6}):\d+\): .{0,4000}")
_PAIR = re.compile(r"""\b(acct|id|addr|hostname|terminal|res)=("[^"]*"|[^\s'"]+)""")


def audit_logins(output: str) -> list[Login]:
    """Out of ``ausearch -m USER_LOGIN --raw``. A name that is no plain word is in hexadecimal there."""
    found = []
    for row in output.split("\n"):
        match = _AUDIT.match(row)
        if not match:
            continue
        told = {name: value.strip('"') for name, value in _PAIR.findall(row)}
        user = told.get("acct", "")
        if re.fullmatch(r"(?:[0-9A-F]{2})+", user) and f'acct="{user}"' not in row:
            user = bytes.fromhex(user).decode("utf-8", "replace")
        address = told.get("addr", "?")
        found.append(
            Login(
                float(match[1]),
                user or (f"uid {told['id']}" if told.get("id") not in (None, "0") else "root" if "id" in told else ""),
                "" if address == "?" else address,
                told.get("res") == "success",
                "audit log",
                told.get("terminal", ""),
            )
        )
    return found


# Judging --------------------------------------------------------------------------------------------------------------

#: So many failed attempts from one address are more than a person who has forgotten a password.
MANY_FAILURES = 10
_ITSELF = (ip_network("127.0.0.1"), ip_network("::1"))
#: Two sources tell of one login in not quite the same second.
_SAME_S = 5.0


class Verdict(NamedTuple):
    """About logins: ``kind``, ``severity``, a sentence and more of it."""

    kind: str
    severity: str
    what: str
    detail: str = ""


def judged(logins: Sequence[Login], since: float, known: Sequence[Network]) -> list[Verdict]:
    """What of these is worth a word. Without ``known`` networks no address can be a foreign one. Pure."""
    window = [login for login in logins if login.at >= since]
    came = _merged([login for login in window if login.ok])
    told = []
    failures = Counter(login.address for login in _merged([login for login in window if not login.ok]))
    for login in came:
        foreign = bool(known and login.address and not within(login.address, [*known, *_ITSELF]))
        seen = f"told by {login.source}"
        if failures[login.address] >= MANY_FAILURES and login.address:
            what = f"after {failures[login.address]} failed attempts somebody came in: {login.words}"
            told.append(Verdict("login_after_failures", "alarming", what, seen))
        if foreign:
            what = f"a login from outside the known networks: {login.words}"
            told.append(Verdict("login_foreign", "alarming", what, seen))
        if login.user == "root":
            told.append(Verdict("login_root", "suspicious", f"root came in: {login.words}", seen))
    for address, count in failures.most_common():
        severity = "suspicious" if count >= MANY_FAILURES else "info"
        told.append(Verdict("login_failures", severity, f"{count} failed logins from {address or 'the console'}"))
    users = Counter(login.user for login in came)
    if came:
        people = ", ".join(f"{user or '?'} {count}" for user, count in sorted(users.items()))
        told.append(Verdict("logins", "info", f"{len(came)} logins since {iso(since)}", people))
    return told


def _merged(logins: Iterable[Login]) -> list[Login]:
    """Each once, whoever told of it, the oldest first."""
    kept: list[Login] = []
    last: dict[tuple[str, str], list[Login]] = {}
    for login in sorted(logins, key=lambda one: one.at):
        before = last.setdefault((login.user, login.address), [])
        same = [one for one in before if one.source != login.source and login.at - one.at <= _SAME_S]
        if not same:
            kept.append(login)
        before.append(login)
    return kept


# The trading system's log ---------------------------------------------------------------------------------------------

#: Fields in which a program says what happened, and words in them that mean somebody was not let in.
_TELLING = ("event", "type", "error", "code", "reason", "message", "msg", "result", "outcome", "action")
_STATUS = ("status", "status_code", "http_status", "code")
_REFUSED = re.compile(
    r"unauthori[sz]ed|not[ _-]authori[sz]ed|forbidden|(access|permission)[ _-]denied"
    r"|(auth\w*|login|logon|signature|token|api[ _-]?key)[ _-](check[ _-])?(was[ _-])?"
    r"(fail\w*|refused|rejected|invalid|denied)"
    r"|(fail\w*|refused|rejected|invalid|bad|wrong|unknown)[ _-]"
    r"(auth\w*|login|logon|credentials?|password|signature|token|api[ _-]?key)",
    re.IGNORECASE,
)
_FIELD = re.compile(r"""\b([A-Za-z_]{2,30})=("[^"]*"|'[^']*'|[^\s,;]+)""")


def refusals(tail: Tail, since: float, now: float, most: int = 200_000) -> list[tuple[float | None, str]]:
    """The lines of a log that tell of somebody who was not let in, with their times: by their fields (JSON, or
    ``name=value``), and by the message of a line that has none."""
    found = []
    for entry in file_lines(tail, most, now):
        if (entry.at is None or entry.at >= since) and refused(entry.text):
            found.append((entry.at, entry.text))
    return found


def refused(text: str) -> bool:
    """Whether the line tells of somebody who was not let in."""
    fields = _fields(text)
    if any(str(fields.get(name)) in ("401", "403") for name in _STATUS):
        return True
    if any(_REFUSED.search(str(fields[name])) for name in _TELLING if name in fields):
        return True
    return not text.startswith("{") and bool(_REFUSED.search(message_of(text)))


def _fields(text: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            return {str(name).lower(): value for name, value in document.items()}
    return {name.lower(): value.strip("\"'") for name, value in _FIELD.findall(text)}
