# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a notice says: the policy's templates, filled with what the record says, as harmless text.

A template is the site's and trusted; what is filled in comes from venues, alerts and people in a hurry, and is not: it
is one line of plain characters, bounded, and none of it can be a link, a mention or markup of whatever shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from jinja2 import StrictUndefined, Template, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

#: What a template may name, and what each is in a notice that nobody sends (for `comms --check`, and to test wording).
EXAMPLE: Mapping[str, str] = {
    "acknowledged": "nobody yet",
    "canceled": "30",
    "commander": "not named yet",
    "commander_since": "the opening",
    "exposure": "BTC +1.5, ETH -2",
    "headline": "goes on (update 2)",
    "incident": "inc-20261123T100000Z-exchange_outage-1",
    "next_update": "Next update at 10:15:00 UTC.",
    "opened_at": "2026-11-23 10:00:00 UTC",
    "phase": "mitigate",
    "positions": "Positions are not reconciled yet.",
    "public_standing": "We are investigating an issue that affects trading.",
    "public_title": "Trading is affected",
    "severity": "1",
    "severity_reason": "a single exchange is out: exchanges_down 1",
    "standing": "Contained: nothing is open at any venue.",
    "strategies_stopped": "4",
    "title": "exchange outage",
    "venues": "binance clear",
    "war_room": "none yet",
}
#: A subject, one value, and a whole text are no longer than this.
SUBJECT_LIMIT, VALUE_LIMIT, TEXT_LIMIT = 150, 300, 3000
#: What chat, mail and paging services read as mentions, links or markup, and what stands for it.
_HARMLESS = str.maketrans({
    "<": "\u2039", ">": "\u203a", "@": "\uff20", "`": "'", "[": "(", "]": ")", "*": "\u2217", "~": "\u223c",
    "|": "\u00a6", "\\": "/",
})  # fmt: skip


class Trusted(str):
    """A value of the site's own, such as the address of its war room: it stays a link."""

    __slots__ = ()


class BadWordingError(ValueError):
    """One line: what is wrong with a template."""


class Wording(NamedTuple):
    """Jinja templates, as text."""

    subject: str
    text: str


class Message(NamedTuple):
    """What is sent. ``id``: of the notice, the same at every attempt."""

    id: str
    incident: str
    kind: str
    severity: int
    subject: str
    text: str


def compiled(subject: str, text: str) -> Wording:
    """Templates that can be filled in. Raises BadWordingError for wrong syntax, and for names that nothing fills."""
    wording = Wording(subject, text)
    for part, template in wording._asdict().items():
        try:
            names = meta.find_undeclared_variables(_ENVIRONMENT.parse(template))
            unknown = sorted(names - EXAMPLE.keys())
            if unknown:
                raise BadWordingError(f"{part}: nothing is called {unknown[0]!r}; there are: {', '.join(EXAMPLE)}")
            _template(template).render(EXAMPLE)
        except BadWordingError:
            raise
        except Exception as error:  # noqa: BLE001  # a template is a program, and may fail in every way
            said = str(error).splitlines()
            raise BadWordingError(f"{part}: {said[0] if said else type(error).__name__}") from None
    return wording


def filled(wording: Wording, facts: Mapping[str, str]) -> tuple[str, str]:
    """Subject and text with ``facts``, which has every name of EXAMPLE, made harmless."""
    safe = {name: value if isinstance(value, Trusted) else harmless(value) for name, value in facts.items()}
    subject = " ".join(_template(wording.subject).render(safe).split())
    text = _template(wording.text).render(safe).strip()
    return _cut(subject, SUBJECT_LIMIT), _cut(text, TEXT_LIMIT)


def harmless(value: object) -> str:
    """One line of plain characters, with nothing in it that a reader's program would act upon; cut where it is long."""
    text = str(value)[: 4 * VALUE_LIMIT]
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return _cut(line.translate(_HARMLESS).replace("://", "[:]//").replace("www.", "www[.]"), VALUE_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


@cache
def _template(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)


_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
