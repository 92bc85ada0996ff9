# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a person sees while a response runs: phase, step, time and each venue's state, live or line by line.

It is driven by the record as it grows and by the names of steps as they start, and it must never be in the way: a
terminal that is gone is not written to any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc

from .sentences import heading, offset, plain, sentence

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

# Steps that went as they should are told by the next one's start; these kinds are for the record.
QUIET_STATUS = frozenset(("ok", "changed", "skipped"))
QUIET_KINDS = frozenset(("run.started", "inverse.registered"))
STYLES: Mapping[str, str] = {
    **dict.fromkeys(("clear", "stopped"), "green"),
    **dict.fromkeys(("open", "unknown", "refused", "unreachable"), "bold red"),
    "cancelling": "yellow",
}


class View(Protocol):
    """Shows a response as it goes."""

    def event(self, event: Event) -> None: ...

    def step(self, name: str) -> None: ...


@contextmanager
def watching(stream: TextIO) -> Iterator[View]:
    """A live display where ``stream`` is a terminal, lines otherwise."""
    if not stream.isatty():
        yield Lines(stream)
        return
    screen = Screen(stream)
    try:
        yield screen
    finally:
        screen.close()


class Situation:
    """What is known by now; ``venues``: name → (state, what was said last), trading systems included."""

    def __init__(self) -> None:
        self.incident = ""
        self.opened_at: str | None = None
        self.phase = ""
        self.step = ""
        self.venues: dict[str, tuple[str, str]] = {}

    def take(self, event: Event) -> None:
        self.opened_at = self.opened_at or event.at
        if event.kind in ("incident.opened", "run.resumed"):
            self.incident = str(event.data.get("type"))
        elif event.kind == "phase.entered":
            self.phase = str(event.data.get("phase"))
        elif event.kind == "venue.reported":
            self._reported(event.data)
        elif event.kind == "kill.verified":
            for row in [*(event.data.get("venues") or ()), *(event.data.get("trading_systems") or ())]:
                self.venues[str(row.get("name"))] = (str(row.get("verdict")), _verdict(row))

    def elapsed(self) -> str:
        return offset(self.opened_at, iso_utc(datetime.now(UTC))) if self.opened_at else ""

    def _reported(self, data: Mapping[str, Any]) -> None:
        self.venues[str(data.get("name"))] = (str(data.get("state")), str(data.get("text") or ""))


class Lines:
    """A line for each thing that happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._now = Situation()
        self._ended: set[str] = set()

    def event(self, event: Event) -> None:
        self._now.take(event)
        if event.kind == "task.finished":
            self._ended.add(plain(str(event.data.get("task"))))
        told = telling(event)
        if told:
            self._print(f"{offset(self._now.opened_at or event.at, event.at)}  {told}")

    def step(self, name: str) -> None:
        """Told while it is under way; one that is over by the time it is heard of is told by what it did."""
        if plain(name) in self._ended:
            self._ended.discard(plain(name))
        else:
            self._print(f"{self._now.elapsed()}  {plain(name)} …")

    def _print(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            print(line, file=self._stream, flush=True)
        except OSError:
            self._stream = None


class Screen:
    """A live table under the lines that stay."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._now = Situation()
        self._live: Live | None = None
        self._gone = False

    def event(self, event: Event) -> None:
        self._now.take(event)
        told = telling(event)
        if told:
            line = f"{offset(self._now.opened_at or event.at, event.at)}  {told}"
            self._draw(lambda: self._console().print(line, markup=False))

    def step(self, name: str) -> None:
        self._now.step = plain(name)

    def refresh(self) -> None:
        """Draw what is known now, without waiting for the next turn."""
        self._draw(lambda: self._live.refresh() if self._live else None)

    def close(self) -> None:
        self._draw(lambda: self._live.stop() if self._live else None)

    def _draw(self, draw: Callable[[], None]) -> None:
        """A terminal that is gone is left alone; the response goes on."""
        if self._gone:
            return
        try:
            draw()
        except OSError:
            self._gone = True

    def _console(self) -> Console:
        """rich takes a while to load: the playbook starts in the meantime."""
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, highlight=False)
            self._live = Live(get_renderable=self._render, console=console, transient=True, redirect_stdout=False)
            self._live.start()
        return self._live.console

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        now = self._now
        head = Text(f"{now.elapsed()}  {now.incident}  ", style="bold")
        head.append(now.phase.upper(), style="bold cyan")
        table = Table.grid(padding=(0, 2))
        for name, (state, said) in sorted(now.venues.copy().items()):
            table.add_row(f"  {plain(name)}", Text(plain(state), style=STYLES.get(state, "")), Text(plain(said)))
        return Group(head, Text(f"  {now.step}", style="dim"), table)


def telling(event: Event) -> str | None:
    """The line about an event that somebody who waits wants to read; None for what they do not."""
    if event.kind in QUIET_KINDS or (event.kind == "task.finished" and event.data.get("status") in QUIET_STATUS):
        return None
    if event.kind == "phase.entered":
        return plain(heading(event.data))
    if event.kind == "venue.reported":
        return plain(f"{event.data.get('name')}: {event.data.get('text') or event.data.get('state')}")
    return sentence(event)


def _verdict(row: Mapping[str, Any]) -> str:
    if row.get("error"):
        return str(row["error"])
    return f"{row['cancelled']} canceled" if row.get("cancelled") is not None else ""
