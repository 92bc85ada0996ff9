# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The commands that respond: open, run, go on, approve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES

from .. import sentences
from ..catalog import CATALOG, IncidentType
from .command import (
    INCIDENT,
    Command,
    declare_incident,
    declare_inventory,
    declare_nothing,
    declare_timeout,
    once,
    pair,
    printed,
)

if TYPE_CHECKING:
    from ..outcome import Outcome


def _list(options: argparse.Namespace) -> int:
    rows = [_type_row(entry) for entry in CATALOG.values()]
    return printed({"types": rows} if options.json else list(map(_type_line, CATALOG.values())))


def _run(options: argparse.Namespace) -> int:
    from ..responder import respond

    return _watched(
        options,
        partial(
            respond,
            options.type,
            inputs=once(options.extra_vars),
            inventory=options.inventory,
            severity=options.severity,
            check=options.check,
            until=options.until,
        ),
    )


def _resume(options: argparse.Namespace) -> int:
    from ..responder import resume

    return _watched(
        options, partial(resume, options.incident, take_over=options.take_over, take_from=options.take_from)
    )


def _watched(options: argparse.Namespace, response: Callable[..., Outcome]) -> int:
    """A response with a view of it on standard error, and its outcome printed."""
    from ..progress import watching
    from ..responder import Interrupted

    try:
        with watching(sys.stderr) as view:
            outcome = response(timeout=options.timeout, on_event=view.event, on_step=view.step)
    except Interrupted as interrupted:
        outcome = interrupted.outcome
    printed(outcome.to_json() if options.json else _outcome_lines(outcome))
    return outcome.exit_code


def _approve(options: argparse.Namespace) -> int:
    from ..approval import approval_lines, approve

    def show(lines: Sequence[str]) -> None:
        print(*map(sentences.plain, lines), sep="\n", file=sys.stderr, flush=True)

    given = approve(options.incident, options.gate, key=options.key, show=show)
    return printed(given.to_json() if options.json else approval_lines(given))


def _type_row(entry: IncidentType) -> dict[str, Any]:
    return {
        "type": entry.name,
        "title": entry.title,
        "runbook_section": entry.section,
        "ready": entry.is_ready,
        "inputs": [item._asdict() for item in entry.inputs],
    }


def _type_line(entry: IncidentType) -> str:
    asks = " ".join(f"-e {item.name}=…" if item.required else f"[-e {item.name}=…]" for item in entry.inputs)
    return f"{entry.name:<24} {entry.title:<55} {asks if entry.is_ready else '(not yet)'}".rstrip()


def _outcome_lines(outcome: Outcome) -> list[str]:
    steps = ", ".join(f"{count} {name}" for name, count in vars(outcome.steps).items() if count)
    facts = [
        ("venues", ", ".join(f"{name} {verdict}" for name, verdict in sorted(outcome.contained.items()))),
        ("contained", outcome.contained_at or ("no" if outcome.contained else "")),
        ("steps", steps),
        ("go on", outcome.next or ""),
        ("record", outcome.journal),
    ]
    head = f"{outcome.incident}: {outcome.outcome} in {outcome.elapsed_ms / 1000:.1f} s: {outcome.reason}"
    return [sentences.plain(head), *(f"  {label:<10} {sentences.plain(value)}" for label, value in facts if value)]


def _declare_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="the incident's type; `hft-incident list` shows them")
    declare_inventory(
        parser, "default: $ANSIBLE_INVENTORY, ansible.cfg's, /etc/hft-incident/inventory, else the running lab's"
    )
    parser.add_argument(
        "-e",
        "--extra-vars",
        metavar="NAME=VALUE",
        type=pair,
        action="append",
        default=[],
        help="an input of the playbook, a threshold that starts with hft_, or a fact for the severity, hft_fact_NAME; "
        "may be repeated; secrets only as "
        "env:NAME, file:PATH or cmd:COMMAND",
    )
    parser.add_argument(
        "--severity",
        type=int,
        choices=(1, 2, 3, 4),
        help="your word on it, 1 is the worst; default: by the rules, see `hft-incident severity explain TYPE`",
    )
    parser.add_argument("--check", action="store_true", help="say what would be done and change nothing")
    parser.add_argument("--until", metavar="PHASE", help=f"stop after this phase: {', '.join(PHASES)}")
    declare_timeout(parser)


def _declare_resume(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="end the run that works on it now, whoever started that, and go on; this is recorded",
    )
    parser.add_argument(
        "--take-from",
        metavar="OTHER",
        action="append",
        default=[],
        help="take over what the open incident OTHER keeps closed and this one would open; recorded in both; "
        "may be repeated",
    )
    declare_timeout(parser)


def _declare_approve(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument("gate", metavar="GATE", help="the gate that holds it, as `status` and its message say")
    parser.add_argument(
        "--key",
        metavar="FILE",
        help="your SSH key; FILE.pub: one your agent holds (default: $HFT_INCIDENT_SSH_KEY, else ssh's usual files)",
    )


COMMANDS: Mapping[str, Command] = {
    "list": Command(
        "The incident types, a line each, with what to give `run`.", "hft-incident list", declare_nothing, _list
    ),
    "run": Command(
        "Open an incident and run its playbook. A response goes on if this command is killed; Ctrl-C stops it.",
        "hft-incident run exchange_outage -e exchange=binance --severity 1",
        _declare_run,
        _run,
    ),
    "resume": Command(
        "Go on with an open incident where its record says it stopped: after a hold, a failure, a reboot or a kill.",
        f"hft-incident resume {INCIDENT}",
        _declare_resume,
        _resume,
    ),
    "approve": Command(
        "Approve, as one of several people, what an incident waits for: signed with your SSH key, over its record as\n"
        "it stands. Who may, and how many are needed, the inventory says. What would not count is refused (exit 2).",
        f"hft-incident approve {INCIDENT} resume_trading --key ~/.ssh/id_ed25519",
        _declare_approve,
        _approve,
    ),
}
