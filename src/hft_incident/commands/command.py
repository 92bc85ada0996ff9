# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What all commands share: how one is declared, and how its result is printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import util
from typing import Any, NamedTuple, NoReturn

from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, UsageError

from .. import sentences

INCIDENT = "inc-20261123T100000Z-exchange_outage-1"


class Command(NamedTuple):
    """``declare`` adds its arguments to the parser, ``run`` gets them parsed and returns the exit code."""

    description: str
    example: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


class Once(argparse.Action):
    """An option that is given once: of two, the first would be forgotten without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            parser.error(f"argument {option_string}: given twice")
        setattr(namespace, self.dest, values)


def once(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """As a mapping; raises UsageError where a name is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise UsageError(f"{next(name for name in names if names.count(name) > 1)} is given twice")
    return found


def printed(result: Mapping[str, Any] | Iterable[str]) -> int:
    """An object as JSON, which is ASCII whatever the terminal knows; lines as they are."""
    lines = [json.dumps(result)] if isinstance(result, Mapping) else result
    for line in lines:
        print(line)
    return EXIT_CODES["done"]


def finished(options: argparse.Namespace, done: Any) -> int:
    """What was done, as it says it itself."""
    return printed(done.to_json() if options.json else map(sentences.plain, done.lines()))


def pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def require_lab() -> None:
    """Raises UsageError where the lab's own dependencies are missing: a jumphost can do without."""
    if util.find_spec("aiohttp") is None:
        raise UsageError("the lab is not installed here: pip install 'hft-incident[lab]'")


def declare_nothing(parser: argparse.ArgumentParser) -> None:
    """Some commands take only what all take."""


def declare_incident(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", metavar="INC", help="the incident's id")


def declare_optional_incident(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", metavar="INC", nargs="?", help="only this one, in full")


def declare_inventory(parser: argparse.ArgumentParser, told: str) -> None:
    parser.add_argument("-i", "--inventory", metavar="INVENTORY", action=Once, help=told)


def declare_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", metavar="S", type=seconds, help="stop the playbook after so many seconds")
