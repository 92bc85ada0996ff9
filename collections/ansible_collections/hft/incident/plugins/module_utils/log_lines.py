# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Lines of logs with their times: of files, of systemd's journal, of the kernel. Pure, and nothing raises on any bytes.

Sources: systemd.journal-fields(7), journalctl(1) "-o json"; the kernel's Documentation/ABI/testing/dev-kmsg.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .crash_patterns import KERNEL, MANAGER, PROGRAM

#: Longer lines are cut (characters): what proves something stands at the beginning.
LONGEST = 1000
#: A time without a fraction may be earlier than what it stands for (s).
WHOLE_SECOND = 1.0


class Line(NamedTuple):
    """One line. ``origin``: kernel, manager or program; ``source``: ``journal``, ``kernel`` or the file's path;
    ``at``: seconds since the epoch; ``place``: where in the source it stands; ``life``: the unit's invocation id;
    ``quiet``: it continues an entry that is marked as less than an error."""

    origin: str
    source: str
    text: str
    at: float | None = None
    place: str = ""
    life: str = ""
    pid: int | None = None
    quiet: bool = False


# Times and levels -----------------------------------------------------------------------------------------------------

_DATE = r"(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r" ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d)?"
_ISO = rf"{_DATE}[T ]+{_CLOCK}{_ZONE}"
_KEY = r"""\{.{0,200}?"(?:time|ts|timestamp|@timestamp|asctime)"\s*:\s*"""
_TIMES = (
    re.compile(rf"^\W{{0,3}}{_ISO}"),
    re.compile(rf'^{_KEY}"{_ISO}"'),
    re.compile(rf"^{_KEY}(?P<epoch>\d{{9,19}})(?:\.(?P<fraction>\d{{1,9}}))?"),
    re.compile(rf"^(?P<month_name>[A-Z][a-z]{{2}}) +(?P<day>\d{{1,2}}) {_CLOCK}"),  # syslog
    re.compile(rf"^[IWEF](?P<month>\d\d)(?P<day>\d\d) {_CLOCK}"),  # glog
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_LOWER_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING"
_LEVELS = f"{_LOWER_LEVELS}|ERROR|CRITICAL|FATAL|PANIC|SEVERE|ALERT|EMERG"
_LEVEL = re.compile(rf"^.{{0,80}}?(?<![\w.])(?:({_LOWER_LEVELS})|{_LEVELS})(?![\w.])")
_JSON_LEVEL = re.compile(r'"(?:level|severity|levelname)"\s*:\s*"(?:(trace|debug|info|notice|warn(?:ing)?)|\w+)"', re.I)
_PREFIX = re.compile(rf"^(?:\W{{0,3}}{_ISO}\]?[ :]*)?(?:(?:{_LEVELS})\b:?\s*)?(?:\[[^\]]{{0,80}}\]\s*)?")


def time_of(text: str, now: float) -> float | None:
    """The time at the beginning of a log line, as seconds since the epoch; None where it has none.

    A time without a zone is this host's local time; one without a year is the last such day before ``now``.
    """
    head = text[:300]
    for form in _TIMES:
        found = form.match(head)
        if found:
            try:
                return _seconds(found.groupdict(), now)
            except (ValueError, OverflowError):
                return None
    return None


def _seconds(parts: dict[str, str | None], now: float) -> float:
    fraction = float(f"0.{parts.get('fraction') or '0'}")
    epoch = parts.get("epoch")
    if epoch:
        thousands = max(0, (len(epoch) - 8) // 3)  # 10 digits are seconds, 13 ms, 16 us, 19 ns
        return float(int(epoch)) / 1000.0**thousands + fraction
    name = parts.get("month_name")
    month = _MONTHS.index(name) + 1 if name else int(parts["month"] or 0)
    day, hour, minute, second = (int(parts[part] or 0) for part in ("day", "hour", "minute", "second"))
    clock = (month, day, hour, minute, second)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError("no such time")
    if parts.get("year"):
        return _moment(int(parts["year"] or 0), clock, parts.get("zone")) + fraction
    year = time.localtime(now).tm_year
    this_year = _moment(year, clock, None) + fraction
    return this_year if this_year <= now + 86_400 else _moment(year - 1, clock, None) + fraction


def _moment(year: int, clock: tuple[int, int, int, int, int], zone: str | None) -> float:
    if not zone:
        return time.mktime((year, *clock, 0, 0, -1))
    utc = float(calendar.timegm((year, *clock)))
    if zone in ("Z", "UTC"):
        return utc
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return utc - (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)


def iso(at: float | None) -> str | None:
    """Seconds since the epoch as UTC, ISO 8601 with microseconds and ``Z``."""
    if at is None:
        return None
    try:
        micros = round(at * 1_000_000)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(micros // 1_000_000)) + f".{micros % 1_000_000:06d}Z"
    except (ValueError, OverflowError, OSError):
        return None


def below_error(text: str) -> bool | None:
    """Whether the line is marked as less than an error; None where it has no mark."""
    found = _LEVEL.match(text[:300]) or _JSON_LEVEL.search(text[:1000])
    return bool(found[1]) if found else None


def message_of(text: str) -> str:
    """The line without its time, level and component."""
    return text[_PREFIX.match(text).end() :] if text[:1] != "{" else text  # type: ignore[union-attr]  # it may be empty


# Files ----------------------------------------------------------------------------------------------------------------


class Tail(NamedTuple):
    """The end of a file: ``data`` begins at byte ``offset``; ``offset`` 0 means the whole file."""

    path: str
    data: bytes
    offset: int = 0


def file_lines(tail: Tail, most: int, now: float) -> list[Line]:
    """The last ``most`` lines. One without a time has that of the line before it, and is ``quiet`` where that line is
    marked as less than an error: it may be the traceback of something that the program coped with."""
    rows = tail.data.split(b"\n")
    if not rows[-1]:
        rows.pop()
    first = max(len(rows) - most, 1 if tail.offset else 0)  # the first row of a tail is cut
    position = tail.offset + sum(len(row) + 1 for row in rows[:first])
    lines: list[Line] = []
    at: float | None = None
    quiet = False
    for number, row in enumerate(rows[first:], first + 1):
        start, position = position, position + len(row) + 1
        if not row.strip():
            continue
        text = _text(row)
        own, low = time_of(text, now), below_error(text)
        continued = own is None and low is None
        if not continued:
            quiet = bool(low)
        at = at if own is None else own
        place = f"byte {start}" if tail.offset else f"line {number}"
        lines.append(Line(PROGRAM, tail.path, text, at, place, quiet=continued and quiet))
    return lines


def since_marker(lines: Sequence[Line], marker: re.Pattern[str]) -> list[Line] | None:
    """What follows the last line that ``marker`` is found in, that one included; None where there is none."""
    for index in range(len(lines) - 1, -1, -1):
        if marker.search(lines[index].text):
            return list(lines[index:])
    return None


def _text(row: bytes) -> str:
    return row.decode("utf-8", "replace").rstrip("\r")[:LONGEST]


# The journal and the kernel -------------------------------------------------------------------------------------------

#: Programs that speak of the unit for the service manager.
_MANAGERS = frozenset({"systemd", "systemd-oomd", "systemd-coredump"})


def journal_lines(output: str, unit: str) -> list[Line]:
    """``journalctl -u UNIT -o json`` as lines; what is no entry is left out."""
    return [line for entry in _entries(output) for line in _of_entry(entry, _speaker(entry, unit), "journal")]


def kernel_lines(output: str) -> list[Line]:
    """``journalctl -k -o json`` as lines."""
    return [line for entry in _entries(output) for line in _of_entry(entry, KERNEL, "kernel")]


def _entries(output: str) -> Iterator[dict[str, Any]]:
    for row in output.split("\n"):
        try:
            entry = json.loads(row)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


def _speaker(entry: dict[str, Any], unit: str) -> str:
    """A program can call itself systemd; the unit that it speaks from is the journal's own word."""
    manager = _word(entry.get("SYSLOG_IDENTIFIER")) in _MANAGERS and entry.get("_SYSTEMD_UNIT") != unit
    return MANAGER if manager else PROGRAM


def _of_entry(entry: dict[str, Any], origin: str, source: str) -> Iterator[Line]:
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # bytes that are no text
        message = bytes(item & 0xFF for item in message if isinstance(item, int)).decode("utf-8", "replace")
    if not isinstance(message, str):
        return
    stamp = _number(entry.get("__REALTIME_TIMESTAMP"))
    at = None if stamp is None else stamp / 1_000_000
    life = entry.get("_SYSTEMD_INVOCATION_ID") if origin == PROGRAM else entry.get("INVOCATION_ID")
    pid = _number(entry.get("_PID")) if origin == PROGRAM else None
    for text in message.splitlines() or [""]:
        yield Line(origin, source, text[:LONGEST], at, iso(at) or "", _word(life), pid)


def kmsg_lines(records: Iterable[bytes], boot: float) -> list[Line]:
    """Records of ``/dev/kmsg`` (``level,sequence,microseconds,flags;text``); ``boot``: when that clock began."""
    lines = []
    for record in records:
        head, _semicolon, body = record.partition(b";")
        fields = head.split(b",")
        micros = _number(fields[2].decode("ascii", "replace")) if len(fields) > 2 else None
        at = None if micros is None else round(boot + micros / 1_000_000, 1)  # that clock is no better
        text = _text(body.split(b"\n", 1)[0])
        if text:
            lines.append(Line(KERNEL, "kernel", text, at, iso(at) or ""))
    return lines


def _number(value: Any) -> int | None:
    """A whole number of at most 19 digits, as text or as a number."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
