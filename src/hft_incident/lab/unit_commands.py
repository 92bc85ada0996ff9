# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``systemctl`` and ``journalctl`` of the lab: the real ones' options, output and exit codes, as far as the product and
its users need them (systemd 252). An option that is not known here is refused.

The commands themselves (unit_client.py) send their words over a socket of 127.0.0.1 and print what comes back: the
words, each followed by a NUL byte, then the end of the request; the answer is ``EXIT-CODE LENGTH-OF-OUTPUT\\n``,
output, errors.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import resource
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

from . import unit_journal
from .units import ACTIVE_STATES, Definition, JobKind, JobResult, Manager, Moment, Unit, core_limit

ANSWER_TIMEOUT_S = 5.0
VERSION = b"systemd 252 (as the lab of hft-incident has it)\n"
EXIT_NOT_INSTALLED = 5  # what systemctl exits with for a unit that does not exist
EXIT_NOT_RUNNING = 3


class Answer(NamedTuple):
    code: int
    out: bytes = b""
    err: str = ""


class Refused(Exception):
    """The command ends with an answer at once."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.err)
        self.answer = answer


class CommandServer:
    """Answers the commands in the turns of the manager's selector."""

    def __init__(self, manager: Manager, selector: selectors.BaseSelector) -> None:
        self._manager = manager
        self._selector = selector
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):  # who gave up meanwhile
            connection, _address = self._socket.accept()
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, partial(self._hear, connection, bytearray()))

    def _hear(self, connection: socket.socket, request: bytearray) -> None:
        try:
            said = connection.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            said, request = b"", bytearray()
        request += said
        if said:
            return
        self._selector.unregister(connection)
        words = request.decode("utf-8", "replace").split("\0")[:-1]
        run(self._manager, words, partial(_reply, connection))


def _reply(connection: socket.socket, answer: Answer) -> None:
    with connection, contextlib.suppress(OSError):  # nobody may be there any more; what was asked is done all the same
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.sendall(f"{answer.code} {len(answer.out)}\n".encode() + answer.out + answer.err.encode())


def run(manager: Manager, words: Sequence[str], reply: Callable[[Answer], None]) -> None:
    """Do what the command's words say; ``reply`` is called once, for a job when it is over."""
    commands = {"systemctl": _systemctl, "journalctl": _journalctl}
    if not words or words[0] not in commands:
        reply(Answer(1, err="no such command\n"))
        return
    try:
        if "--version" in words:
            raise Refused(Answer(0, VERSION))
        commands[words[0]](manager, words[1:], reply)
    except Refused as refused:
        reply(refused.answer)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(Answer(1, err=f"{self.prog}: {message}\n"))


def _parser(prog: str) -> _Parser:
    parser = _Parser(prog=prog, add_help=False, allow_abbrev=False)
    parser.add_argument("--no-pager", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


# systemctl ------------------------------------------------------------------------------------------------------------


def _systemctl(manager: Manager, words: Sequence[str], reply: Callable[[Answer], None]) -> None:
    parser = _parser("systemctl")
    for ignored in ("--no-ask-password", "--no-legend", "--system"):
        parser.add_argument(ignored, action="store_true")
    parser.add_argument("-a", "--all", action="store_true")
    parser.add_argument("-p", "--property", dest="properties", action="append", default=[])
    parser.add_argument("--value", action="store_true")
    parser.add_argument("--timestamp", choices=tuple(_TIMESTAMPS), default="pretty")
    parser.add_argument("-s", "--signal", default="SIGTERM")
    parser.add_argument("--kill-whom", "--kill-who", choices=("all", "main", "control"), default="all")
    parser.add_argument("--no-block", action="store_true")
    parser.add_argument("words", nargs="*")
    marked = list(words).index("--") if "--" in words else len(words)
    options = parser.parse_intermixed_args(words[:marked])
    options.verb, *options.units = [*options.words, *words[marked + 1 :]] or [""]
    if options.verb not in _VERBS:
        raise Refused(Answer(1, err=f"Unknown command verb {options.verb}.\n"))
    if not options.units:
        raise Refused(Answer(1, err="Too few arguments.\n"))
    options.units = [name if name.endswith(".service") else f"{name}.service" for name in options.units]
    _VERBS[options.verb](manager, options, reply)


def _show(manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    asked = [name for group in options.properties for name in group.split(",")]
    blocks = []
    for name in options.units:
        rows = _properties(manager.units.get(name), name, _TIMESTAMPS[options.timestamp])
        chosen = [(key, text) for key, text in rows.items() if key in asked or not asked]
        blocks.append("".join(f"{text}\n" if options.value else f"{key}={text}\n" for key, text in chosen))
    reply(Answer(0, "\n".join(blocks).encode()))


def _is_active(manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    states = [ACTIVE_STATES[manager.units[n].state] if n in manager.units else "inactive" for n in options.units]
    out = "" if options.quiet else "".join(f"{state}\n" for state in states)
    reply(Answer(0 if "active" in states else EXIT_NOT_RUNNING, out.encode()))


def _is_failed(manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    states = [ACTIVE_STATES[manager.units[n].state] if n in manager.units else "inactive" for n in options.units]
    out = "" if options.quiet else "".join(f"{state}\n" for state in states)
    reply(Answer(0 if "failed" in states else 1, out.encode()))


def _kill(manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    try:
        signum = _signal_number(options.signal)
    except ValueError:
        raise Refused(Answer(1, err=f"Failed to parse signal string {options.signal}.\n")) from None
    for unit in _loaded(manager, options.units, "kill unit", 1):
        manager.signal(unit, signum)
    reply(Answer(0))


def _reset_failed(manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    for unit in _loaded(manager, options.units, "reset failed state of unit", 1):
        manager.reset_failed(unit)
    reply(Answer(0))


def _freeze(manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    freezes = options.verb == "freeze"
    for unit in _loaded(manager, options.units, f"{options.verb} unit", 1):
        if unit.process is None:
            raise Refused(Answer(1, err=f"Failed to {options.verb} unit {unit.name}: Unit is not active.\n"))
        (manager.freeze if freezes else manager.thaw)(unit)
    reply(Answer(0))


class _Jobs:
    """Waits for one job a unit and then answers for all of them."""

    def __init__(self, kind: JobKind, units: Sequence[Unit], reply: Callable[[Answer], None], *, wait: bool) -> None:
        self._missing = len(units)
        self._errors: list[str] = []
        self._reply = reply
        self._kind = kind
        self._wait = wait
        if not wait:
            reply(Answer(0))

    def ended(self, unit: Unit, result: JobResult) -> None:
        self._missing -= 1
        if result != "done":
            self._errors.append(_why_not(unit, result))
        if self._wait and not self._missing:
            self._reply(Answer(1 if self._errors else 0, err="".join(self._errors)))


def _job(kind: JobKind, manager: Manager, options: argparse.Namespace, reply: Callable[[Answer], None]) -> None:
    units = _loaded(manager, options.units, kind, EXIT_NOT_INSTALLED)
    jobs = _Jobs(kind, units, reply, wait=not options.no_block)
    for unit in units:
        manager.submit(kind, unit, partial(jobs.ended, unit))


def _why_not(unit: Unit, result: JobResult) -> str:
    if result == "assert":
        return f"Assertion failed on job for {unit.name}.\n"
    if result == "canceled":
        return f"Job for {unit.name} canceled.\n"
    return (
        f"Job for {unit.name} failed because start of the service was attempted too often.\n"
        f'See "systemctl status {unit.name}" and "journalctl -xeu {unit.name}" for details.\n'
        f'To force a start use "systemctl reset-failed {unit.name}"\n'
        f'followed by "systemctl start {unit.name}" again.\n'
    )


_VERBS: Mapping[str, Callable[[Manager, argparse.Namespace, Callable[[Answer], None]], None]] = {
    "show": _show,
    "start": partial(_job, "start"),
    "stop": partial(_job, "stop"),
    "restart": partial(_job, "restart"),
    "kill": _kill,
    "freeze": _freeze,
    "thaw": _freeze,
    "reset-failed": _reset_failed,
    "is-active": _is_active,
    "is-failed": _is_failed,
}


def _loaded(manager: Manager, names: Sequence[str], doing: str, code: int) -> list[Unit]:
    """The units; raises Refused where one does not exist."""
    for name in names:
        if name not in manager.units:
            what = "not found" if doing in ("start", "restart") else "not loaded"
            raise Refused(Answer(code, err=f"Failed to {doing} {name}: Unit {name} {what}.\n"))
    return [manager.units[name] for name in names]


def _signal_number(text: str) -> int:
    """Raises ValueError."""
    if text.isdecimal():
        number = int(text)
        if not 0 < number < signal.NSIG:
            raise ValueError(text)
        return number
    name = text.upper()
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except KeyError:
        raise ValueError(text) from None


def _pretty(zone: tzinfo | None, moment: Moment) -> str:
    return datetime.fromtimestamp(moment.real_us // 1_000_000, UTC).astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")


def _pretty_us(zone: tzinfo | None, moment: Moment) -> str:
    seconds, us = divmod(moment.real_us, 1_000_000)
    at = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    return f"{at:%a %Y-%m-%d %H:%M:%S}.{us:06d} {at:%Z}"


#: --timestamp=
_TIMESTAMPS: Mapping[str, Callable[[Moment], str]] = {
    "pretty": partial(_pretty, None),
    "utc": partial(_pretty, UTC),
    "us": partial(_pretty_us, None),
    "µs": partial(_pretty_us, None),
    "us+utc": partial(_pretty_us, UTC),
    "µs+utc": partial(_pretty_us, UTC),
    "unix": lambda moment: f"@{moment.real_us // 1_000_000}",
}


def _properties(unit: Unit | None, name: str, stamp: Callable[[Moment], str]) -> dict[str, str]:
    """In the order of the real ones: the service's, then those of any unit. One that does not exist has defaults."""
    loaded = unit is not None
    unit = unit or Unit(Definition(name, name, [], Path(), "", Path()))
    definition = unit.definition
    limit = core_limit()
    return {
        "Type": "simple",
        "Restart": definition.restart,
        "RestartUSec": _span(definition.restart_s),
        "TimeoutStopUSec": _span(definition.timeout_stop_s),
        "MainPID": str(unit.main_pid),
        "Result": unit.result,
        "NRestarts": str(unit.n_restarts),
        **_times("ExecMainStartTimestamp", unit.exec_main_start, stamp),
        **_times("ExecMainExitTimestamp", unit.exec_main_exit, stamp),
        "ExecMainPID": str(unit.exec_main_pid),
        "ExecMainCode": str(unit.exec_main_code),
        "ExecMainStatus": str(unit.exec_main_status),
        "ControlGroup": "",  # the lab's units have none of their own
        "LimitCORE": str(_core_limit_here() if limit is None else limit),
        "WorkingDirectory": str(definition.directory) if loaded else "",
        "PrivateTmp": "no",
        "Id": unit.name,
        "Names": unit.name,
        "Conflicts": " ".join(definition.conflicts),
        "Description": definition.description,
        "LoadState": "loaded" if loaded else "not-found",
        "ActiveState": ACTIVE_STATES[unit.state],
        "SubState": unit.state,
        "FragmentPath": str(definition.file) if loaded else "",
        "DropInPaths": "",
        "UnitFileState": "static" if loaded else "",
        **_times("StateChangeTimestamp", unit.state_change, stamp),
        **_times("InactiveExitTimestamp", unit.inactive_exit, stamp),
        **_times("ActiveEnterTimestamp", unit.active_enter, stamp),
        **_times("ActiveExitTimestamp", unit.active_exit, stamp),
        **_times("InactiveEnterTimestamp", unit.inactive_enter, stamp),
        "CanStart": "yes",
        "CanStop": "yes",
        "NeedDaemonReload": "no",
        "AssertResult": "yes" if unit.asserted else "no",
        **_times("AssertTimestamp", unit.assert_at, stamp),
        "FreezerState": "frozen" if unit.frozen else "running",
        "StartLimitIntervalUSec": _span(definition.start_limit_interval_s),
        "StartLimitBurst": str(definition.start_limit_burst),
        "InvocationID": unit.invocation,
    }


def _core_limit_here() -> int | str:
    """What the units inherit."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return "infinity" if hard == resource.RLIM_INFINITY else hard


def _times(name: str, moment: Moment, stamp: Callable[[Moment], str]) -> dict[str, str]:
    text = stamp(moment) if moment.real_us else ""
    return {name: text, f"{name}Monotonic": str(moment.monotonic_us)}


def _span(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


# journalctl -----------------------------------------------------------------------------------------------------------


def _journalctl(manager: Manager, words: Sequence[str], reply: Callable[[Answer], None]) -> None:
    parser = _parser("journalctl")
    for ignored in ("--utc", "--no-full", "-a", "--all", "-m", "--merge", "--system", "--no-hostname"):
        parser.add_argument(ignored, action="store_true")
    parser.add_argument("-u", "--unit", dest="units", action="append", default=[])
    parser.add_argument("-o", "--output", choices=tuple(unit_journal.FORMATS), default="short")
    parser.add_argument("-n", "--lines", nargs="?", const="10", default="all")
    parser.add_argument("-b", "--boot", nargs="?", const="0")
    parser.add_argument("-S", "--since")
    parser.add_argument("-U", "--until")
    parser.add_argument("-r", "--reverse", action="store_true")
    parser.add_argument("-k", "--dmesg", action="store_true")
    options = parser.parse_args(_glued(words))
    units = [name if name.endswith(".service") else f"{name}.service" for name in options.units]
    since, until = _moment(options.since), _moment(options.until)
    count = _count(options.lines)
    # The lab's journal has no line of the kernel: that one belongs to the machine.
    selected: Iterator[unit_journal.Entry] = (
        entry
        for entry in (() if options.dmesg else unit_journal.entries(manager.journal.path))
        if (not units or any(unit_journal.concerns(entry, unit) for unit in units))
        and (since is None or unit_journal.microseconds(entry) >= since)
        and (until is None or unit_journal.microseconds(entry) <= until)
    )
    shown = list(selected if count is None else deque(selected, maxlen=count))
    if options.reverse:
        shown.reverse()
    if not shown and options.output in unit_journal.FOR_PEOPLE and not options.quiet:
        reply(Answer(0, b"-- No entries --\n"))
        return
    reply(Answer(0, b"".join(map(unit_journal.FORMATS[options.output], shown))))


def _glued(words: Sequence[str]) -> list[str]:
    """``--since -24h`` as one word: argparse takes what begins with a dash for an option."""
    glued: list[str] = []
    for word in words:
        if glued and glued[-1] in ("-S", "-U", "--since", "--until"):
            long = {"-S": "--since", "-U": "--until"}.get(glued[-1], glued[-1])
            glued[-1] = f"{long}={word}"
        else:
            glued.append(word)
    return glued


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    found = unit_journal.moment_us(text)
    if found is None:
        raise Refused(Answer(1, err=f"Failed to parse timestamp: {text}\n"))
    return found


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Refused(Answer(1, err=f"Failed to parse lines '{text}'\n"))
    return int(text)
