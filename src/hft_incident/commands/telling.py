# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The commands by which people say something: who has it, how severe it is, what is done; and who is told."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import find

from .. import sentences
from .command import (
    INCIDENT,
    Command,
    declare_incident,
    declare_inventory,
    declare_optional_incident,
    finished,
    once,
    pair,
    printed,
)


def _ack(options: argparse.Namespace) -> int:
    from ..roles import acknowledge

    return finished(options, acknowledge(options.incident, options.by))


def _role(options: argparse.Namespace) -> int:
    from ..roles import assign

    return finished(options, assign(options.incident, options.role, options.person, options.note))


def _comms(options: argparse.Namespace) -> int:
    from ..comms import command

    if options.follow:
        return _follow(options)
    if options.check:
        found: Any = command.check(options.inventory)
    elif options.table:
        found = command.table(options.inventory, options.incident)
    else:
        found = command.serve(options.incident)
    printed(found.to_json() if options.json else map(sentences.plain, found.lines()))
    return EXIT_CODES[found.outcome]


def _follow(options: argparse.Namespace) -> int:
    from ..comms.server import Server

    if options.incident is None:
        raise UsageError("say which incident to follow: hft-incident comms INC --follow")
    incident = find(options.incident)
    Server(incident).follow()
    return printed({"id": incident.id, "outcome": "done"} if options.json else [f"{incident.id}: over, all are told"])


def _clocks(options: argparse.Namespace) -> int:
    from ..clocks import clocks, end

    name, state = (options.met, "met") if options.met else (options.stop, "stopped")
    if not name:
        if options.by or options.reference:
            raise UsageError("--by and --reference belong to --met NAME or --stop NAME")
        return finished(options, clocks(options.incident))
    if not options.incident:
        raise UsageError("say of which incident: hft-incident clocks INC --met NAME --by PERSON")
    return finished(options, end(options.incident, name, state, options.by or "", options.reference))


def _credentials(options: argparse.Namespace) -> int:
    from ..credentials import checklist, tick

    if options.done:
        return finished(options, tick(options.incident, options.done, options.by))
    if options.by:
        raise UsageError("--by says who has done it; name what with --done")
    found = checklist(options.incident)
    finished(options, found)
    return EXIT_CODES["held" if found.open else "done"]


def _key(options: argparse.Namespace) -> int:
    from ..key_put import put

    return finished(options, put(options.name, options.inventory, in_use=options.in_use, seen_by=options.seen_by))


def _severity(options: argparse.Namespace) -> int:
    from .. import severity

    if options.action == "set":
        changed = severity.set_severity(options.incident, options.level, options.reason)
        return printed(changed.to_json() if options.json else changed.lines())
    explained = severity.explain(options.subject, once(options.facts), options.inventory)
    return printed(explained.to_json() if options.json else map(sentences.plain, explained.lines()))


def _declare_ack(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument("--by", metavar="NAME", help="who has it; default: you, as user@host")


def _declare_role(parser: argparse.ArgumentParser) -> None:
    from ..roles import ROLES

    declare_incident(parser)
    parser.add_argument("role", metavar="ROLE", help=f"one of: {', '.join(ROLES)}")
    parser.add_argument("person", metavar="PERSON", help="who has it from now on")
    parser.add_argument("--note", metavar="TEXT", default="", help="what they have to know; it goes into the record")


def _declare_comms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "incident", metavar="INC", nargs="?", help="only this one; default: all. With --table: a type, default: all"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--follow", action="store_true", help="go on until it is over and everybody knows")
    what.add_argument("--table", action="store_true", help="tell nobody: show who is told what, when and how")
    what.add_argument(
        "--check", action="store_true", help="tell nobody: find rules that contradict or decide nothing, and gaps"
    )
    declare_inventory(parser, "whose policy is shown or checked; default: as `run`")


def _declare_clocks(parser: argparse.ArgumentParser) -> None:
    declare_optional_incident(parser)
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--met", metavar="NAME", help="this clock was met: the notification was sent")
    ends.add_argument("--stop", metavar="NAME", help="this clock does not apply; --reference says why")
    parser.add_argument("--by", metavar="PERSON", help="who did it, or says so")
    parser.add_argument("--reference", metavar="TEXT", default="", help="the receipt, or why it does not apply")


def _declare_credentials(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument("--done", metavar="CREDENTIAL", help="this one is replaced; it goes into the record")
    parser.add_argument("--by", metavar="PERSON", help="who has replaced it; default: you, as user@host")


def _declare_key(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="put", required=True)
    put = actions.add_parser(
        "put",
        allow_abbrev=False,
        help="store a key that was made on a venue's website; asked for without echo, or JSON on standard input",
    )
    put.add_argument("name", metavar="KEY", help="as hft_api_keys of the inventory names it")
    declare_inventory(put, "whose keys and store; default: as `run`")
    put.add_argument("--in-use", action="store_true", help="it is the one in use, for a store that has none yet")
    put.add_argument(
        "--seen-by",
        metavar="PERSON",
        default="",
        help="who has seen on the website what the key may do and from where: some venues' APIs do not tell",
    )
    put.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on standard output"
    )


def _declare_severity(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="set|explain", required=True)
    change = actions.add_parser(
        "set", allow_abbrev=False, help="a person's word: raise or lower the severity, with the reason, on record"
    )
    declare_incident(change)
    change.add_argument("level", metavar="N", type=int, choices=(1, 2, 3, 4), help="1 is the worst")
    change.add_argument("--reason", metavar="TEXT", required=True, help="why; it goes into the record")
    explain = actions.add_parser(
        "explain", allow_abbrev=False, help="which rule decided and why, for an incident, a type or facts by themselves"
    )
    explain.add_argument("subject", metavar="INC|TYPE", nargs="?", help="default: no type at all, only the facts")
    explain.add_argument(
        "-e",
        "--fact",
        dest="facts",
        metavar="FACT=VALUE",
        type=pair,
        action="append",
        default=[],
        help="what is known, or unknown; may be repeated (a fact that there is none of: the message names all)",
    )
    declare_inventory(explain, "whose rules; default: as `run`, and of an incident its own")
    for one in (change, explain):
        one.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on standard output"
        )


COMMANDS: Mapping[str, Command] = {
    "ack": Command(
        "Say that you have it: nobody else is paged.", f"hft-incident ack {INCIDENT} --by alice", _declare_ack, _ack
    ),
    "role": Command(
        "Who leads, operates, communicates, writes, talks to the desk: name somebody, or hand over, on record.",
        f"hft-incident role {INCIDENT} commander alice --note 'venues are clear, waiting for binance'",
        _declare_role,
        _role,
    ),
    "severity": Command(
        "How severe an incident is: 1 (worst) to 4. Rules over what is known give it when it is opened and raise it\n"
        "as more becomes known (playbooks/vars/severity.yml, over it the inventory's group_vars/all/severity.yml).\n"
        "Only a person lowers it.",
        "hft-incident severity explain performance_degradation -e latency_p99_ms=12 -e latency_for_s=40\n"
        f"  hft-incident severity explain {INCIDENT}\n"
        f"  hft-incident severity set {INCIDENT} 3 --reason 'only the test account is affected'",
        _declare_severity,
        _severity,
    ),
    "comms": Command(
        "Tell everybody what is due now, open the war room, put the figures on record: once, for a timer, or with\n"
        "--follow until it is over. A response does so by itself; any number of these may run at once. Exit 3:\n"
        "something is due and not delivered.",
        f"hft-incident comms {INCIDENT}",
        _declare_comms,
        _comms,
    ),
    "clocks": Command(
        "By when regulators and others have to be notified, of one incident, or what runs of all: how much time is\n"
        "left, whose it is, what has run out. --met NAME takes a person's word that it was done; nothing is\n"
        "sent.",
        f"hft-incident clocks {INCIDENT} --met dora_initial --by erin --reference 'receipt 4711'",
        _declare_clocks,
        _clocks,
    ),
    "credentials": Command(
        "The other credentials that an intruder may have: which are replaced, and whose job the rest is. Exit 4: some\n"
        "are still to be replaced.",
        f"hft-incident credentials {INCIDENT} --done 'database, role hft' --by bob",
        _declare_credentials,
        _credentials,
    ),
    "key": Command(
        "Put an API key that a person made on a venue's website into the secret store, for the rotation to verify and\n"
        "go on with. It is asked for without echo, or read from standard input as JSON: id, secret, passphrase.",
        "hft-incident key put hft-1/kraken -i /etc/hft-incident/inventory",
        _declare_key,
        _key,
    ),
}
