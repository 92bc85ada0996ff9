# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``hft-incident kill``: the red button, with no Ansible in the way (contracts.md, "Commands" and "kill --json")."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.kill_order import KillOrder, OnReport, Report, checked
from ansible_collections.hft.incident.plugins.module_utils.killswitch import Kill, KillResult, silent
from ansible_collections.hft.incident.plugins.module_utils.mass_cancel import VenueResult
from ansible_collections.hft.incident.plugins.module_utils.settings import select

from . import venues_file

EXIT_CLEAR, EXIT_USAGE, EXIT_UNPROVEN = 0, 2, 3
#: How long (s) the record waits for the first requests to leave: what it loads would take the interpreter from them.
RECORD_AFTER_S = 0.1
#: How long (s) the answer waits for the record; a home on a disk that hangs must not hold it back for longer.
RECORD_WITHIN_S = 1.0

EXAMPLES = """examples:
  hft-incident kill --reason "runaway quoting"
  hft-incident kill --venue binance --venue okx --reason "INC-7: feed frozen" --json
  hft-incident kill --venues /etc/hft-incident/venues.yml --confirm 5 --timeout 20 --reason drill
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def parser() -> argparse.ArgumentParser:
    made = _Parser(
        prog="hft-incident kill",
        description="Cancel every order at every venue at once and stop the trading systems. Exit 0 only when every "
        "venue itself has said, several times in a row, that nothing is open; 3 where that is not proven.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--reason", required=True, help="why; kept in the record")
    made.add_argument(
        "--venue",
        action="append",
        default=[],
        metavar="NAME",
        help="only this venue (may be repeated); trading systems are then stopped there only",
    )
    made.add_argument(
        "--venues", metavar="FILE", help="the venues file (default: $HFT_INCIDENT_VENUES, the inventory's)"
    )
    made.add_argument("--confirm", type=_count, default=3, metavar="N", help="empty answers in a row (default: 3)")
    made.add_argument("--interval", type=_seconds, default=1.0, metavar="S", help="seconds between them (default: 1)")
    made.add_argument(
        "--timeout", type=_some_seconds, default=10.0, metavar="S", help="seconds for it all (default: 10)"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return made


def kill(
    reason: str,
    *,
    venue: Sequence[str] = (),
    venues: str | None = None,
    confirm: int = 3,
    interval: float = 1.0,
    timeout: float = 10.0,
    on_report: OnReport = silent,
) -> KillResult:
    """What the command does, for other programs; the parameters are its options, the result has the fields of its JSON.

    ``venue``: only these (trading systems are then stopped there only); ``venues``: the venues file; ``on_report`` is
    called from several threads, a line at a time. Raises UsageError before anything was sent.
    """
    order, path = _order(reason, venue, venues, confirm, interval, timeout)
    return _pressed(Kill(order, on_report), path)


def main(argv: list[str], started: float | None = None) -> NoReturn:
    """Press the button and exit with its verdict. ``started``: monotonic time of the process's start."""
    try:
        given = parser().parse_args(argv)
        order, path = _order(given.reason, given.venue, given.venues, given.confirm, given.interval, given.timeout)
    except UsageError as error:
        _tell(f"hft-incident kill: {error}")
        sys.exit(EXIT_USAGE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: report what is known
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that goes away does not stop a kill half way
    result = _pressed(Kill(order, _print_report, process_start() if started is None else started), path)
    _print(json.dumps(result.to_json()) if given.json else "\n".join(lines(result)), sys.stdout)
    _leave(EXIT_CLEAR if result.verdict == "clear" else EXIT_UNPROVEN)


def _order(
    reason: str, names: Sequence[str], file: str | None, confirm: int, interval: float, timeout: float
) -> tuple[KillOrder, str]:
    """What to kill, and the venues file that says so; raises UsageError."""
    path = venues_file.find(file)
    settings = venues_file.load(path)
    venues = select(settings.venues, names)
    order = KillOrder(venues, settings.trading_systems, reason, confirm, interval, timeout, scoped=bool(names))
    return checked(order), path


def _pressed(press: Kill, path: str) -> KillResult:
    """Fire, record, wait; Ctrl-C ends the waiting, and what is known then is the result."""
    record = _Record(press.order, path)
    try:
        press.start()
        record.start()
        press.wait()
    except KeyboardInterrupt:
        _tell("interrupted: this is what is known now")
    result = press.result()
    record.close(result)
    return result


def lines(result: KillResult) -> list[str]:
    """The result for a person: the whole first, then a line a venue and a trading system."""
    said = {"clear": "CLEAR: nothing is open anywhere", "open": "OPEN: ORDERS ARE STILL LIVE"}
    made = [f"{said.get(result.verdict, 'UNKNOWN: NOT PROVEN SAFE')} ({result.elapsed_ms / 1000:.1f} s)"]
    for venue in result.venues:
        made.append(f"  {venue.name:<16} {venue.verdict:<8} {venue.error or _counts(venue)}")
    for system in result.trading_systems:
        made.append(f"  {system.name:<16} {system.verdict:<8} {system.error or ''}".rstrip())
    return made


def _counts(venue: VenueResult) -> str:
    if venue.open_before is None:
        return "cancelled before it could be listed, confirmed"
    return f"{venue.open_before} open before, {venue.cancelled} gone, confirmed"


def process_start() -> float:
    """When this process was started, on the monotonic clock (10 ms steps; now, where /proc does not say)."""
    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        age = 0.0
    return time.monotonic() - max(0.0, age)


def _print_report(report: Report) -> None:
    _tell(f"[{report.elapsed_ms:8.0f} ms] {report.name}: {report.text}")


def _tell(line: str) -> None:
    _print(line, sys.stderr)


def _print(text: str, stream: TextIO | None) -> None:
    """That nobody listens (any more), or ever did, must not stop a kill or change its exit code."""
    with suppress(OSError, ValueError):  # a kill goes on, heard or not
        if stream is not None:
            print(text, file=stream, flush=True)


class _Record:
    """What was ordered and what came of it, in ``kills/journal.jsonl``; written beside the kill, never before it."""

    def __init__(self, order: KillOrder, path: str) -> None:
        self._order = order
        self._path = path
        self._over = threading.Event()
        self._result: KillResult | None = None
        # One thread for both, so that a home that hangs holds nothing back.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        self._over.wait(RECORD_AFTER_S)
        self._write(
            "kill.ordered",
            {
                "reason": self._order.reason,
                "venues": [venue.name for venue in self._order.venues],
                "trading_systems": [system.name for system in self._order.trading_systems],
                "scoped": self._order.scoped,
                "venues_file": self._path,
            },
        )
        self._over.wait()
        if self._result is not None:
            self._write("kill.verified", self._result.to_json())

    def close(self, result: KillResult) -> None:
        self._result = result
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(RECORD_WITHIN_S)
        if self._thread.is_alive():
            _tell(f"warning: no record of this kill could be written within {RECORD_WITHIN_S:g} s")

    def _write(self, kind: str, data: dict[str, object]) -> None:
        # Imported here, beside the kill and not before it.
        from ansible_collections.hft.incident.plugins.module_utils.incident import home_directory, kills_journal

        try:
            kills_journal(home_directory()).append(kind, data)
        except (IncidentError, OSError, ValueError) as error:
            _tell(f"warning: no record of this kill could be written: {error}")


def _leave(code: int) -> NoReturn:
    """Out at once: a thread that hangs on a venue must not hold the answer back."""
    os._exit(code)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 86400:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return number


def _some_seconds(text: str) -> float:
    number = _seconds(text)
    if not number:
        raise argparse.ArgumentTypeError("no time at all proves nothing")
    return number
