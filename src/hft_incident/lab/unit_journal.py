# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The journal of the lab's units: what their processes print and what their manager says, with journald's fields.

A file of JSON objects, one a line, oldest first; it stays when the lab is down.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

Entry = Mapping[str, str]

#: systemd's own numbers for what it says (systemd/sd-messages.h).
STARTED = "39f53479d3a045ac8e11786248231fbf"
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
START_FAILED = "be02cf6855d2428ba40df7e9d022f03d"
PROCESS_EXITED = "98e322203f7a4ed290d09fe03c09fe15"
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"

#: A printed line that is longer is cut into several entries, as journald's LineMax= has it.
LINE_MAX = 48 * 1024


class UnitEvent(NamedTuple):
    """Something that happened to a unit; ``at`` is seconds since 1970. ``what``: ``started``, ``stopping``,
    ``stopped``, ``assertion_failed``, ``start_failed``, ``restart_scheduled``, ``exited N``, ``killed SIGNAL``,
    ``dumped SIGNAL`` (killed, with a core dump), ``succeeded``, or ``failed RESULT``.
    """

    at: float
    unit: str
    what: str


class UnitJournal:
    """The file, for its one writer and any number of readers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        # What every entry of this boot and machine has in common.
        self._common = {"_BOOT_ID": _boot_id(), "_HOSTNAME": platform.node() or "localhost"}

    def manager_says(self, unit: str, message: str, *, priority: int = 6, **fields: str) -> None:
        """As the service manager, about a unit."""
        self._write(
            {
                "PRIORITY": str(priority),
                "SYSLOG_IDENTIFIER": "systemd",
                "_PID": str(os.getpid()),
                "_SYSTEMD_UNIT": "init.scope",
                "UNIT": unit,
                "MESSAGE": message,
                **fields,
            }
        )

    def process_says(self, unit: str, identifier: str, pid: int, invocation: str, line: bytes) -> None:
        """What a unit's process printed."""
        for start in range(0, len(line), LINE_MAX):
            self._write(
                {
                    "PRIORITY": "6",
                    "SYSLOG_IDENTIFIER": identifier,
                    "_PID": str(pid),
                    "_TRANSPORT": "stdout",
                    "_SYSTEMD_UNIT": unit,
                    "_SYSTEMD_INVOCATION_ID": invocation,
                    "MESSAGE": line[start : start + LINE_MAX].decode("utf-8", "surrogateescape"),
                }
            )

    def _write(self, fields: Mapping[str, str]) -> None:
        self._count += 1
        at_us, monotonic_us = time.time_ns() // 1000, time.monotonic_ns() // 1000
        boot = self._common["_BOOT_ID"]
        entry = {
            "__CURSOR": f"s={boot};i={self._count:x};b={boot};m={monotonic_us:x};t={at_us:x};x=0",
            "__REALTIME_TIMESTAMP": str(at_us),
            "__MONOTONIC_TIMESTAMP": str(monotonic_us),
            **self._common,
            **fields,
        }
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(
                descriptor, json.dumps(entry).encode() + b"\n"
            )  # a whole line at once, for those who read meanwhile
        finally:
            os.close(descriptor)


def entries(path: Path) -> Iterator[Entry]:
    """What the file holds, oldest first; nothing where there is no file yet."""
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115  # closed below; only a missing file means "nothing yet"
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def concerns(entry: Entry, unit: str) -> bool:
    """What ``journalctl -u`` selects: the unit's own words, and the manager's about it."""
    return unit in (entry.get("_SYSTEMD_UNIT"), entry.get("UNIT"))


def unit_events(path: Path, units: frozenset[str]) -> list[UnitEvent]:
    """What happened to these units, oldest first."""
    found = []
    for entry in entries(path):
        what = _happened(entry)
        if what and entry.get("UNIT") in units:
            found.append(UnitEvent(microseconds(entry) / 1e6, entry["UNIT"], what))
    return found


def microseconds(entry: Entry) -> int:
    return int(entry["__REALTIME_TIMESTAMP"])


_WORDS: Mapping[str, Callable[[Entry], str]] = {
    STARTED: lambda _entry: "started",
    STOPPING: lambda _entry: "stopping",
    STOPPED: lambda _entry: "stopped",
    START_FAILED: lambda entry: "assertion_failed" if entry["JOB_RESULT"] == "assert" else "start_failed",
    RESTART_SCHEDULED: lambda _entry: "restart_scheduled",
    PROCESS_EXITED: lambda entry: f"{entry['EXIT_CODE']} {_status(entry)}",
    SUCCEEDED: lambda _entry: "succeeded",
    FAILED: lambda entry: f"failed {entry['UNIT_RESULT']}",
}


def _happened(entry: Entry) -> str | None:
    words = _WORDS.get(entry.get("MESSAGE_ID", ""))
    return words(entry) if words else None


def _status(entry: Entry) -> str:
    status = entry["EXIT_STATUS"]
    return status if entry["EXIT_CODE"] == "exited" else signal_name(int(status))


def signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"SIGRTMIN+{signum - signal.SIGRTMIN}"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    except OSError:
        return "0" * 32  # this system numbers no boots


# Output formats of journalctl -----------------------------------------------------------------------------------------


def as_json(entry: Entry) -> bytes:
    row = {name: _json_value(value) for name, value in entry.items()}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def as_export(entry: Entry) -> bytes:
    """systemd's journal export format: what is not plain text goes with its length."""
    return b"".join(_export_field(name, value) for name, value in entry.items()) + b"\n"


def as_short(entry: Entry) -> bytes:
    return _line(entry, datetime.fromtimestamp(microseconds(entry) / 1e6).astimezone().strftime("%b %d %H:%M:%S"))


def as_short_iso(entry: Entry) -> bytes:
    return _line(entry, _local(entry).strftime("%Y-%m-%dT%H:%M:%S%z"))


def as_short_iso_precise(entry: Entry) -> bytes:
    return _line(entry, _local(entry).strftime("%Y-%m-%dT%H:%M:%S.%f%z"))


def as_cat(entry: Entry) -> bytes:
    return entry["MESSAGE"].encode("utf-8", "surrogateescape") + b"\n"


FORMATS: Mapping[str, Callable[[Entry], bytes]] = {
    "json": as_json,
    "export": as_export,
    "short": as_short,
    "short-iso": as_short_iso,
    "short-iso-precise": as_short_iso_precise,
    "cat": as_cat,
}
#: These say so where there is nothing to show.
FOR_PEOPLE = ("short", "short-iso", "short-iso-precise")


def _local(entry: Entry) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(entry))).astimezone()


def _line(entry: Entry, at: str) -> bytes:
    head = f"{at} {entry['_HOSTNAME']} {entry['SYSLOG_IDENTIFIER']}[{entry['_PID']}]: "
    return head.encode() + as_cat(entry)


def _json_value(value: str) -> str | list[int]:
    """Bytes that are no text are numbers in the JSON of journald."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return list(value.encode("utf-8", "surrogateescape"))
    return value


def _export_field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if all(byte >= 32 or byte == 9 for byte in data) and isinstance(_json_value(value), str):
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


# Points in time as systemd.time(7) has them ---------------------------------------------------------------------------

_UNITS_S = {
    "us": 1e-6,
    "usec": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)")
_FORMS = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def moment_us(text: str) -> int | None:
    """Microseconds since 1970, or None where systemd 252 would not understand it either (``2026-01-01T00:00:00Z``)."""
    try:
        return _moment_us(text)
    except (ValueError, OverflowError):  # no number, or none that is a time
        return None


def _moment_us(text: str) -> int | None:
    now = time.time()
    if text == "now":
        return round(now * 1e6)
    if text in ("today", "yesterday"):
        midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        return round((midnight - timedelta(days=text == "yesterday")).timestamp() * 1e6)
    if text.startswith("@"):
        return round(float(text[1:]) * 1e6)
    if text[:1] in ("-", "+") or text.endswith(" ago"):
        span_s = _span_s(text.lstrip("+-").removesuffix("ago"))
        return None if span_s is None else round((now + (span_s if text.startswith("+") else -span_s)) * 1e6)
    return _stamp_us(text)


def _span_s(text: str) -> float | None:
    rest, seconds = text.strip(), 0.0
    while rest:
        part = _SPAN.match(rest)
        if part is None or part[2] not in _UNITS_S:
            return None
        seconds += float(part[1]) * _UNITS_S[part[2]]
        rest = rest[part.end() :].strip()
    return seconds if text.strip() else None


def _stamp_us(text: str) -> int | None:
    bare = text.removesuffix(" UTC")
    for form in _FORMS:
        try:
            stamp = datetime.strptime(bare, form)  # noqa: DTZ007  # its zone is the next line's matter
        except ValueError:
            continue
        aware = stamp.replace(tzinfo=UTC) if text.endswith(" UTC") else stamp.astimezone()
        return round(aware.timestamp() * 1e6)
    return None
