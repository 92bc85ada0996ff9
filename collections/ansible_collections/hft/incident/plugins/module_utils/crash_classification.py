# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How a trading process died, by the lines that prove it. Pure: no file, no clock, and it never raises.

Only its last life counts: what was logged before that began, or of another process, proves nothing. The tables are in
``crash_patterns``.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .crash_patterns import (
    CLEAN_STOP,
    CONFIDENCE,
    ENDINGS,
    EXPLAINS,
    HUNG,
    INDICATED,
    KERNEL,
    KILLED_BY_SIGNAL,
    MANAGER,
    PATTERNS,
    PROVEN,
    RECOVERIES,
    RUNNING,
    UNKNOWN,
    Pattern,
)
from .log_lines import WHOLE_SECOND, Line, below_error, iso, message_of
from .redaction import scrub_text

#: Lines further apart (s) than this, seen from the end, have nothing to do with the death.
CHAIN_GAP_S = 60.0
#: What is said of a death comes so much (s) after it at the latest.
AFTER_DEATH_S = 5.0
#: The kernel's log has a clock of its own that runs away from the others (s); its lines name their process.
KERNEL_CLOCK_S = 60.0
#: A thread's fault is logged under the thread's own number: it is ours when it stands so near (s) to our death by it.
SAME_MOMENT_S = 2.0
#: States of a process that was stopped by a signal, or by a debugger.
STOPPED = ("T", "t")
#: A restart that is older than this (s) has nothing to do with what is wrong now.
RESTARTED_S = 300.0
#: As many lines of each sort are shown, and as much (characters) of each.
SHOWN, SHOWN_LENGTH = 8, 500

#: What ``systemctl show -p ExecMainCode`` prints: the ``si_code`` of wait(2).
EXITED, KILLED, DUMPED = "exited", "killed", "dumped"
CODES = {"1": EXITED, "2": KILLED, "3": DUMPED, EXITED: EXITED, KILLED: KILLED, DUMPED: DUMPED}
#: Signals that systemd counts as a clean stop (systemd.service(5), SuccessExitStatus=).
CLEAN_SIGNALS = frozenset({"1", "2", "13", "15"})
#: A shell that started the program gives 128 + the signal as its own exit status.
FROM_SHELL = {str(128 + number): str(number) for number in (4, 5, 6, 7, 8, 9, 11, 31)}


class Life(NamedTuple):
    """The last life of a unit's main process, as the service manager knows it.

    ``result``: systemd's word (``success``, ``core-dump``, …); ``code``: exited, killed, dumped or "" (it did not end,
    or is not known); ``status``: exit status or number of the signal; ``started``, ``ended``: seconds since the epoch.
    """

    unit: str
    pid: int | None = None
    started: float | None = None
    ended: float | None = None
    result: str = ""
    code: str = ""
    status: int | None = None
    n_restarts: int = 0
    invocation: str = ""

    @property
    def signal(self) -> str:
        """The signal that ended it, by its number; "" where none did."""
        if self.status is None:
            return ""
        return str(self.status) if self.code in (KILLED, DUMPED) else FROM_SHELL.get(self.exit, "")

    @property
    def exit(self) -> str:
        """Its exit status; "" where it did not exit by itself."""
        return str(self.status) if self.code == EXITED and self.status is not None else ""

    @property
    def clean(self) -> bool:
        by_itself = self.exit == "0" or self.signal in CLEAN_SIGNALS
        return by_itself and self.result in ("", "success")


class Process(NamedTuple):
    """The main process where it lives: ``state`` as proc(5) has it (R, S, D, T, t, …), ``answering`` where known."""

    pid: int
    state: str
    answering: bool | None = None


class Shown(NamedTuple):
    """A line, or a fact, with what it tells; secrets are taken out."""

    kind: str
    source: str
    place: str
    at: str | None
    text: str
    why: str


class Death(NamedTuple):
    """One end of the unit's main process that the journal tells of."""

    at: float | None
    code: str
    status: int
    clean: bool
    invocation: str


class Classification(NamedTuple):
    """``because``: what decided; ``also``: what was seen besides and decided nothing; ``not_counted``: what looks alike
    and is of another process; ``contradictions``: sentences. ``signal``: its name, like SIGSEGV."""

    kind: str
    confidence: str
    signal: str | None
    exit_status: int | None
    repeated: bool
    crashes: int
    because: tuple[Shown, ...]
    also: tuple[Shown, ...]
    not_counted: tuple[Shown, ...]
    contradictions: tuple[str, ...]


class _Sign(NamedTuple):
    kind: str
    priority: int
    shown: Shown
    at: float | None = None


def classify(life: Life, lines: Iterable[Line], process: Process | None = None) -> Classification:
    """What happened to this life, by these lines (any order of sources; in each source the oldest first)."""
    journal = list(lines)
    deaths = deaths_in(journal)
    mine = of_this_life(life, journal)
    signs, strangers = _signs(life, mine)
    facts = _facts(life, process)
    contradictions: list[str] = []
    if process is not None:
        kind = HUNG if facts else RUNNING
        because = facts or [_fact(RUNNING, PROVEN, f"pid {process.pid} in state {process.state}", "the process lives")]
        if process.answering and facts:
            contradictions.append(f"it answers, and yet its process is in state {process.state}")
        signs = _chain(signs, None)
    else:
        signs = _chain(signs, life.ended)
        kind, because, contradictions = _end(life, facts, signs)
    chosen = {id(sign) for sign in because}
    crashes = _crashes(life, deaths, crashed=process is None and bool(life.code) and not life.clean)
    return Classification(
        kind,
        CONFIDENCE[max(sign.priority for sign in because)] if because else "none",
        _signal_name(life.signal) if process is None else None,
        life.status if process is None and life.exit and not life.signal else None,
        crashes > 1 or life.n_restarts > 0 or life.result == "start-limit-hit",
        crashes,
        _shown(because),
        _shown(sign for sign in signs if id(sign) not in chosen),
        _shown(strangers[-SHOWN:]),
        tuple(contradictions),
    )


def _end(life: Life, facts: Sequence[_Sign], signs: Sequence[_Sign]) -> tuple[str, list[_Sign], list[str]]:
    """The kind of a death, what decided it, and what contradicts it."""
    how = _how(life)
    if life.clean:
        against = [f"it ended cleanly ({how}), and yet {_said(sign)}" for sign in _firsts(signs)]
        return CLEAN_STOP, [_fact(CLEAN_STOP, PROVEN, how, "the service manager calls it a success")], against
    fitting = [sign for sign in signs if _explains(sign.kind, life)]
    against = [f"{_said(sign)}, but it ended by {how}" for sign in _firsts(signs) if sign not in fitting]
    candidates = [*facts, *fitting]
    if candidates:
        best = max(candidates, key=lambda sign: sign.priority)  # the first one of the highest
        # A general sign of a signal's end is no better than the signal itself.
        because = [sign for sign in candidates if sign.kind == best.kind]
        if life.code and not facts:
            by_signal = best.kind == KILLED_BY_SIGNAL and life.signal
            because.append(_fact(best.kind, PROVEN if by_signal else INDICATED, how, "how it ended"))
        return best.kind, sorted(because, key=lambda sign: -sign.priority), against
    if life.signal:
        return KILLED_BY_SIGNAL, [_fact(KILLED_BY_SIGNAL, PROVEN, how, "nothing tells why it got the signal")], against
    return UNKNOWN, [], against


def _facts(life: Life, process: Process | None) -> list[_Sign]:
    """What the unit's properties, or the state of the living process, prove by themselves."""
    if process is not None:
        where = f"pid {process.pid} in state {process.state}"
        if process.state in STOPPED:
            return [_fact(HUNG, PROVEN, where, "it is stopped: it lives and does nothing", "process")]
        if process.answering is False:
            return [_fact(HUNG, PROVEN, where, "it lives and does not answer", "process")]
        return []
    values = {"result": life.result, "signal": life.signal, "exit": life.exit}
    return [_fact(rule.kind, PROVEN, _how(life), rule.why) for rule in ENDINGS if values[rule.field] in rule.values]


# Which lines count ----------------------------------------------------------------------------------------------------


def of_this_life(life: Life, lines: Iterable[Line]) -> list[Line]:
    """The lines since it began until shortly after it ended, in the order of their times."""
    own = [line for line in lines if _in_life(life, line)]
    own = _without_quiet(own)
    end = max((line.at for line in own if line.at is not None), default=0.0)
    return sorted(own, key=lambda line: end if line.at is None else line.at)


def _in_life(life: Life, line: Line) -> bool:
    if line.life and life.invocation:
        return line.life == life.invocation
    if line.at is None:
        return line.origin not in (KERNEL, MANAGER)  # of a file that was cut at its last start
    if line.origin == KERNEL:
        before, after = KERNEL_CLOCK_S, KERNEL_CLOCK_S
    else:
        before, after = WHOLE_SECOND if line.at == int(line.at) else 0.0, AFTER_DEATH_S
    began = life.started is None or line.at + before >= life.started
    return began and (life.ended is None or line.at <= life.ended + after)


def _without_quiet(lines: Sequence[Line]) -> list[Line]:
    """A traceback below a line that is no error was coped with, unless it is the last that its file tells."""
    kept: list[Line] = []
    talks_on: set[str] = set()
    for line in reversed(lines):
        if not (line.quiet and line.source in talks_on):
            kept.append(line)
        if not line.quiet:
            talks_on.add(line.source)
    return kept[::-1]


def deaths_in(lines: Iterable[Line]) -> list[Death]:
    """The ends of the unit's main process that the service manager told of, the oldest first."""
    found = ((line, _DEATH.search(line.text)) for line in lines if line.origin == MANAGER)
    return [
        Death(line.at, match[1], int(match[2]), match[1] != DUMPED and match[3] in _CLEAN_NAMES, line.life)
        for line, match in found
        if match
    ]


def life_before(life: Life, deaths: Sequence[Death], now: float) -> Life | None:
    """The life that crashed just before the service manager began this one by itself; None: there was none.

    A process that was up again before anybody could look is no sign that nothing happened.
    """
    if life.n_restarts == 0 or life.started is None or now - life.started > RESTARTED_S:
        return None
    crashes = [death for death in deaths if not death.clean and death.at is not None and death.at <= life.started]
    if not crashes:
        return None
    last = crashes[-1]
    # It cannot have begun before the one before it ended.
    began = crashes[-2].at if len(crashes) > 1 else None
    return Life(life.unit, None, began, last.at, "", last.code, last.status, life.n_restarts, last.invocation)


_DEATH = re.compile(r"Main process exited, code=(exited|killed|dumped), status=(\d{1,5})/(\w+)")
_CLEAN_NAMES = frozenset({"SUCCESS", "HUP", "INT", "PIPE", "TERM"})


def _crashes(life: Life, deaths: Sequence[Death], *, crashed: bool) -> int:
    """How often it crashed, by the journal; where that shows none, by the restarts that the service manager counts,
    of which the last may have been refused."""
    return sum(not death.clean for death in deaths) or life.n_restarts + (1 if crashed else 0)


# What they say --------------------------------------------------------------------------------------------------------


def _signs(life: Life, lines: Sequence[Line]) -> tuple[list[_Sign], list[_Sign]]:
    """What the lines prove of this process, and what they prove of others."""
    pids = {life.pid, *(line.pid for line in lines)} - {None}
    signs: list[_Sign] = []
    strangers: list[_Sign] = []
    for line in lines:
        signs = [sign for sign in signs if not _taken_back(sign, line)]
        found = _first_match(line)
        if found is None:
            continue
        pattern, match = found
        text = line.text
        if _is_ours(match.groupdict(), life, line, pids, pattern.kind):
            signs.append(_Sign(pattern.kind, pattern.priority, _show(pattern.kind, line, text, pattern.why), line.at))
        else:
            strangers.append(_Sign(pattern.kind, 0, _show(pattern.kind, line, text, "of another process"), line.at))
    return signs, strangers


def _first_match(line: Line) -> tuple[Pattern, re.Match[str]] | None:
    program = line.origin not in (KERNEL, MANAGER)
    if program and below_error(line.text):
        return None
    text = message_of(line.text) if program else line.text
    for pattern in PATTERNS:
        if pattern.source == line.origin:
            match = pattern.regex.search(text)
            if match:
                return pattern, match
    return None


def _is_ours(named: Mapping[str, str | None], life: Life, line: Line, pids: set[int | None], kind: str) -> bool:
    cgroup, pid = named.get("cgroup"), named.get("pid")
    if cgroup and life.unit in cgroup.split("/"):
        return True
    if pid is None:
        return True
    same_moment = None not in (line.at, life.ended) and abs((line.at or 0) - (life.ended or 0)) <= SAME_MOMENT_S
    by_thread = same_moment and kind != KILLED_BY_SIGNAL and EXPLAINS[kind] == {life.signal}
    return int(pid) in pids or by_thread


def _taken_back(sign: _Sign, line: Line) -> bool:
    return sign.priority < PROVEN and any(
        sign.kind in recovery.kinds and recovery.regex.search(line.text) for recovery in RECOVERIES
    )


def _chain(signs: Sequence[_Sign], ended: float | None) -> list[_Sign]:
    """Those that lead up to the death without a long silence between them; what is proven always belongs to it."""
    kept: list[_Sign] = []
    reach = ended
    for sign in reversed(signs):
        near = sign.at is None or reach is None or reach - sign.at <= CHAIN_GAP_S
        if near and sign.at is not None:
            reach = sign.at
        if near or sign.priority == PROVEN:
            kept.append(sign)
    return kept[::-1]


def _explains(kind: str, life: Life) -> bool:
    """Whether it can have ended so; where the end is not known, anything can be."""
    if not life.code or life.status is None:
        return True
    return (life.signal or ("exit" if life.exit != "0" else "")) in EXPLAINS[kind]


# Words ----------------------------------------------------------------------------------------------------------------


def _fact(kind: str, priority: int, text: str, why: str, source: str = "unit") -> _Sign:
    return _Sign(kind, priority, Shown(kind, source, "", None, text, why))


def _show(kind: str, line: Line, text: str, why: str) -> Shown:
    clear = scrub_text(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return Shown(kind, line.source, line.place, iso(line.at), clear[:SHOWN_LENGTH], why)


def _shown(signs: Iterable[_Sign]) -> tuple[Shown, ...]:
    return tuple(sign.shown for sign in signs)[:SHOWN]


def _firsts(signs: Iterable[_Sign]) -> list[_Sign]:
    """The first one of each kind."""
    firsts: dict[str, _Sign] = {}
    for sign in signs:
        firsts.setdefault(sign.kind, sign)
    return list(firsts.values())


def _said(sign: _Sign) -> str:
    return f"{sign.shown.source} says {sign.kind} ({sign.shown.text[:160].strip()})"


def _how(life: Life) -> str:
    """How the service manager saw it end, in one phrase."""
    parts = [f"Result={life.result}"] if life.result else []
    if life.code and life.status is not None:
        name = _signal_name(str(life.status)) if life.code != EXITED else None
        parts.append(f"{life.code} status={life.status}{f' ({name})' if name else ''}")
    return " ".join(parts) or "an end that nothing tells of"


def _signal_name(number: str) -> str | None:
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return f"signal {number}" if number else None
