# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The commands that read the record, and what was drawn from it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import find, home_directory, state_of

from .. import record, status
from .command import (
    INCIDENT,
    Command,
    declare_incident,
    declare_optional_incident,
    finished,
    printed,
)


def _status(options: argparse.Namespace) -> int:
    if options.incident is None:
        rows = status.status_rows()
        return printed(status.status_payload(rows) if options.json else status.status_lines(rows))
    incident = find(options.incident)
    state = state_of(incident.journal.events())
    if options.json:
        return printed(status.status_payload([(incident, state)])["incidents"][0])
    return printed(status.incident_lines(incident, state))


def _timeline(options: argparse.Namespace) -> int:
    incident = find(options.incident)
    events = incident.journal.events()
    return printed(record.timeline_payload(incident, events) if options.json else record.timeline_lines(events))


def _verify(options: argparse.Namespace) -> int:
    from ansible_collections.hft.incident.plugins.module_utils.journal import verify

    incident = find(options.incident)
    found, evidence = verify(incident.journal.path), record.evidence_found(incident)
    told = record.verification_payload if options.json else record.verification_lines
    printed(told(incident, found, evidence))
    return EXIT_CODES[record.verify_outcome(found, evidence)]


def _report(options: argparse.Namespace) -> int:
    from ..report import write

    written = write(find(options.incident), options.output)
    printed(written.to_json() if options.json else written.render())
    return written.exit_code


def _actions(options: argparse.Namespace) -> int:
    from ..action_items import export

    exported = export(find(options.incident), options.source, options.format, options.output)
    if options.json or exported.output:
        return printed(exported.to_json() if options.json else exported.lines())
    print(exported.text, end="")
    return EXIT_CODES["done"]


def _metrics(options: argparse.Namespace) -> int:
    from ..metrics_record import incident_metrics_lines, measured, measured_home, metrics_lines, metrics_payload

    if options.incident is None:
        found = measured_home()
        return printed(metrics_payload(found) if options.json else metrics_lines(found))
    one = measured(find(options.incident), home_directory())
    return printed(one.to_json() if options.json else incident_metrics_lines(one))


def _evidence(options: argparse.Namespace) -> int:
    from .. import evidence_access

    asked = {"reason": options.reason, "host": options.host, "by": options.by}
    if options.item is None:
        if options.to or options.identity:
            raise UsageError("--to and --identity are for one ITEM: name it")
        return finished(options, evidence_access.listed(options.incident, **asked))
    if not options.to:
        raise UsageError("--to FILE: say where the copy goes (-: standard output)")
    if options.to == evidence_access.STANDARD_OUTPUT and options.json:
        raise UsageError("--json: the item itself goes to standard output")
    done = evidence_access.copied(options.incident, options.item, to=options.to, identity=options.identity, **asked)
    return 0 if options.to == evidence_access.STANDARD_OUTPUT else finished(options, done)


def _declare_evidence(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument("item", metavar="ITEM", nargs="?", help="an item by its name; default: all are listed")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why you look; it is recorded")
    parser.add_argument("--host", metavar="HOST", help="of this host only")
    parser.add_argument("--to", metavar="FILE", help="where the copy of ITEM goes: a new file; -: standard output")
    parser.add_argument(
        "--identity", metavar="FILE", help="decrypt it with this key: one of age's, or an SSH key without passphrase"
    )
    parser.add_argument("--by", metavar="NAME", help="who looks; default: you, as user@host")


def _declare_report(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument("--output", metavar="DIR", type=Path, help="default: the folder `report` of the incident's own")


def _declare_actions(parser: argparse.ArgumentParser) -> None:
    declare_incident(parser)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        type=Path,
        help="the report in Markdown that people filled in; default: that in the folder `report` of the incident's own",
    )
    parser.add_argument("--format", choices=("json", "csv"), default="json", help="default: %(default)s")
    parser.add_argument("--output", metavar="FILE", type=Path, help="default: standard output")


COMMANDS: Mapping[str, Command] = {
    "status": Command(
        "Incidents on record, the open ones first, or one of them in full.",
        f"hft-incident status {INCIDENT}",
        declare_optional_incident,
        _status,
    ),
    "timeline": Command(
        "What happened in an incident, a line an event.",
        f"hft-incident timeline {INCIDENT}",
        declare_incident,
        _timeline,
    ),
    "evidence": Command(
        "What was kept as evidence of an incident's hosts, or one item of it, proven and copied out. Who looked, at\n"
        "what and why is recorded first; where that cannot be, nothing is shown.",
        f"hft-incident evidence {INCIDENT} --reason 'who was logged in?'\n"
        f"  hft-incident evidence {INCIDENT} volatile/users.json --host hft-1 --to users.json --reason 'the same'",
        _declare_evidence,
        _evidence,
    ),
    "verify": Command(
        "Whether an incident's record and evidence are as they were written: exit 0 intact, 1 altered, 3 torn.",
        f"hft-incident verify {INCIDENT}",
        declare_incident,
        _verify,
    ),
    "report": Command(
        "The draft of a post-mortem, as Markdown and as one HTML file that needs no network: what the record says,\n"
        "each row with its lines of the journal, and empty places for people. Made anew each time; a page that people\n"
        "have changed is kept beside the new one. For one that is resolved also the invitation to the review, within\n"
        "48 hours, as a calendar file. Exit codes as `verify`.",
        f"hft-incident report {INCIDENT} --output ./post-mortems",
        _declare_report,
        _report,
    ),
    "actions": Command(
        "The action items that people wrote into the report, as issues for a tracker: title, body, assignee, due_on,\n"
        "labels. Each needs an owner and a due date (exit 2, naming the row); nothing is exported before that.",
        f"hft-incident actions {INCIDENT} --format csv --output issues.csv",
        _declare_actions,
        _actions,
    ),
    "metrics": Command(
        "How long it took to detect, acknowledge, contain (as the venues saw it), mitigate, restore and resolve:\n"
        "median and 90th percentile over all incidents on record, drills and rehearsals apart; or one incident, line\n"
        "by line.",
        f"hft-incident metrics {INCIDENT}",
        declare_optional_incident,
        _metrics,
    ),
}
