# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The commands behind `hft-incident`, but for `kill`, which has its own way in: their arguments and what they print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES, find, home_directory, state_of

from . import record, sentences, status
from .catalog import CATALOG, IncidentType

if TYPE_CHECKING:
    from .outcome import Outcome


DRILL = "drill"


class Command(NamedTuple):
    """``declare`` adds its arguments to the parser, ``run`` gets them parsed and returns the exit code."""

    description: str
    example: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code. Raises IncidentError, with a line for the person who typed it."""
    if name == DRILL:
        code: int = import_module("hft_incident.drill").main(list(arguments))
        return code
    return _COMMANDS[name].run(_parser_of(name).parse_args(arguments))


def _parser_of(name: str) -> argparse.ArgumentParser:
    command = _COMMANDS[name]
    parser = _Parser(
        prog=f"hft-incident {name}",
        description=command.description,
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.declare(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    return parser


def parser_of(name: str) -> argparse.ArgumentParser:
    """What a command takes, also of those that have their own way in."""
    if name == "kill":
        from .red_button import parser

        return parser()
    if name == DRILL:
        found: argparse.ArgumentParser = import_module("hft_incident.drill").parser()
        return found
    return _parser_of(name)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _list(options: argparse.Namespace) -> int:
    rows = [_type_row(entry) for entry in CATALOG.values()]
    return _print({"types": rows} if options.json else list(map(_type_line, CATALOG.values())))


def _run(options: argparse.Namespace) -> int:
    from .responder import respond

    return _watched(
        options,
        partial(
            respond,
            options.type,
            inputs=dict(options.extra_vars),
            inventory=options.inventory,
            severity=options.severity,
            check=options.check,
            until=options.until,
        ),
    )


def _resume(options: argparse.Namespace) -> int:
    from .responder import resume

    return _watched(
        options, partial(resume, options.incident, take_over=options.take_over, take_from=options.take_from)
    )


def _watched(options: argparse.Namespace, response: Callable[..., Outcome]) -> int:
    """A response with a view of it on standard error, and its outcome printed."""
    from .progress import watching
    from .responder import Interrupted

    try:
        with watching(sys.stderr) as view:
            outcome = response(timeout=options.timeout, on_event=view.event, on_step=view.step)
    except Interrupted as interrupted:
        outcome = interrupted.outcome
    _print(outcome.to_json() if options.json else _outcome_lines(outcome))
    return outcome.exit_code


def _status(options: argparse.Namespace) -> int:
    if options.incident is None:
        rows = status.status_rows()
        return _print(status.status_payload(rows) if options.json else status.status_lines(rows))
    incident = find(options.incident)
    state = state_of(incident.journal.events())
    if options.json:
        return _print(status.status_payload([(incident, state)])["incidents"][0])
    return _print(status.incident_lines(incident, state))


def _timeline(options: argparse.Namespace) -> int:
    incident = find(options.incident)
    events = incident.journal.events()
    return _print(record.timeline_payload(incident, events) if options.json else record.timeline_lines(events))


def _verify(options: argparse.Namespace) -> int:
    from ansible_collections.hft.incident.plugins.module_utils.journal import verify

    incident = find(options.incident)
    found, evidence = verify(incident.journal.path), record.evidence_found(incident)
    told = record.verification_payload if options.json else record.verification_lines
    _print(told(incident, found, evidence))
    return EXIT_CODES[record.verify_outcome(found, evidence)]


def _report(options: argparse.Namespace) -> int:
    from .report import write

    written = write(find(options.incident), options.output)
    _print(written.to_json() if options.json else written.render())
    return written.exit_code


def _actions(options: argparse.Namespace) -> int:
    from .action_items import export

    exported = export(find(options.incident), options.source, options.format, options.output)
    if options.json or exported.output:
        return _print(exported.to_json() if options.json else exported.lines())
    print(exported.text, end="")
    return EXIT_CODES["done"]


def _metrics(options: argparse.Namespace) -> int:
    from .metrics_record import incident_metrics_lines, measured, measured_home, metrics_lines, metrics_payload

    if options.incident is None:
        found = measured_home()
        return _print(metrics_payload(found) if options.json else metrics_lines(found))
    one = measured(find(options.incident), home_directory())
    return _print(one.to_json() if options.json else incident_metrics_lines(one))


def _approve(options: argparse.Namespace) -> int:
    from .approval import approval_lines, approve

    def show(lines: Sequence[str]) -> None:
        print(*map(sentences.plain, lines), sep="\n", file=sys.stderr, flush=True)

    given = approve(options.incident, options.gate, key=options.key, show=show)
    return _print(given.to_json() if options.json else approval_lines(given))


def _comms(options: argparse.Namespace) -> int:
    from .comms import command

    if options.follow:
        return _follow(options)
    if options.check:
        found: Any = command.check(options.inventory)
    elif options.table:
        found = command.table(options.inventory, options.incident)
    else:
        found = command.serve(options.incident)
    _print(found.to_json() if options.json else map(sentences.plain, found.lines()))
    return EXIT_CODES[found.outcome]


def _follow(options: argparse.Namespace) -> int:
    from .comms.server import Server

    if options.incident is None:
        raise UsageError("say which incident to follow: hft-incident comms INC --follow")
    incident = find(options.incident)
    Server(incident).follow()
    return _print({"id": incident.id, "outcome": "done"} if options.json else [f"{incident.id}: over, all are told"])


def _completion(options: argparse.Namespace) -> int:
    from . import completion

    if options.shell in completion.SCRIPTS:
        completion.write_script(options.shell)
        return EXIT_CODES["done"]
    return _print(completion.answer(options.words, parser_of))


def _doctor(options: argparse.Namespace) -> int:
    from .doctor.examination import diagnose

    found = diagnose(options.inventory, timeout=options.timeout)
    _print(found.to_json() if options.json else map(sentences.plain, found.lines()))
    return EXIT_CODES[found.outcome]


def _ack(options: argparse.Namespace) -> int:
    from .roles import acknowledge

    return _done(options, acknowledge(options.incident, options.by))


def _evidence(options: argparse.Namespace) -> int:
    from . import evidence_access

    asked = {"reason": options.reason, "host": options.host, "by": options.by}
    if options.item is None:
        if options.to or options.identity:
            raise UsageError("--to and --identity are for one ITEM: name it")
        return _done(options, evidence_access.listed(options.incident, **asked))
    if not options.to:
        raise UsageError("--to FILE: say where the copy goes (-: standard output)")
    if options.to == evidence_access.STANDARD_OUTPUT and options.json:
        raise UsageError("--json: the item itself goes to standard output")
    done = evidence_access.copied(options.incident, options.item, to=options.to, identity=options.identity, **asked)
    return 0 if options.to == evidence_access.STANDARD_OUTPUT else _done(options, done)


def _clocks(options: argparse.Namespace) -> int:
    from .clocks import clocks, end

    name, state = (options.met, "met") if options.met else (options.stop, "stopped")
    if not name:
        if options.by or options.reference:
            raise UsageError("--by and --reference belong to --met NAME or --stop NAME")
        return _done(options, clocks(options.incident))
    if not options.incident:
        raise UsageError("say of which incident: hft-incident clocks INC --met NAME --by PERSON")
    return _done(options, end(options.incident, name, state, options.by or "", options.reference))


def _role(options: argparse.Namespace) -> int:
    from .roles import assign

    return _done(options, assign(options.incident, options.role, options.person, options.note))


def _key(options: argparse.Namespace) -> int:
    from .key_put import put

    return _done(options, put(options.name, options.inventory, in_use=options.in_use, seen_by=options.seen_by))


def _credentials(options: argparse.Namespace) -> int:
    from .credentials import checklist, tick

    if options.done:
        return _done(options, tick(options.incident, options.done, options.by))
    if options.by:
        raise UsageError("--by says who has done it; name what with --done")
    found = checklist(options.incident)
    _done(options, found)
    return EXIT_CODES["held" if found.open else "done"]


def _done(options: argparse.Namespace, done: Any) -> int:
    return _print(done.to_json() if options.json else map(sentences.plain, done.lines()))


def _severity(options: argparse.Namespace) -> int:
    from . import severity

    if options.action == "set":
        changed = severity.set_severity(options.incident, options.level, options.reason)
        return _print(changed.to_json() if options.json else changed.lines())
    explained = severity.explain(options.subject, dict(options.facts), options.inventory)
    return _print(explained.to_json() if options.json else map(sentences.plain, explained.lines()))


def _lab(options: argparse.Namespace) -> int:
    if util.find_spec("aiohttp") is None:
        raise UsageError("the lab is not installed here: pip install 'hft-incident[lab]'")
    from .lab import lab
    from .lab.errors import LabError
    from .lab.status import status as lab_status

    home = home_directory()
    try:
        if options.action == "down":
            _tell_of_no_drill(home)
            stopped = lab.down(home)
            return _print({"up": False, **stopped._asdict()} if options.json else stopped.render())
        if options.action == "up":
            running = lab.up(home, sinks=True)
            payload = {"up": True, "inventory": str(running.inventory), **json.loads(running.record.to_json())}
            return _print(payload if options.json else running.render())
        found = lab_status(home)
        processes = [process._asdict() for process in found.processes]
        _print({"up": found.up, "processes": processes} if options.json else found.render())
        return EXIT_CODES["done" if found.up else "failed"]
    except LabError as error:
        raise IncidentError(str(error)) from error


def _tell_of_no_drill(home: Path) -> None:
    """Whoever follows an incident of the lab has nobody to tell, and nothing to tell of, once that is down."""
    from ansible_collections.hft.incident.plugins.module_utils import follower
    from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents

    from .metrics import nature

    for incident in list_incidents(home):
        if follower.follower_of(incident.directory) and nature(incident.journal.events()) == "drill":
            follower.end(incident.directory)


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


def _print(result: Mapping[str, Any] | Iterable[str]) -> int:
    """An object as JSON, lines as they are."""
    lines = [json.dumps(result, ensure_ascii=False)] if isinstance(result, Mapping) else result
    for line in lines:
        print(line)
    return EXIT_CODES["done"]


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def _declare_nothing(parser: argparse.ArgumentParser) -> None:
    """Some commands take only what all take."""


def _declare_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="the incident's type; `hft-incident list` shows them")
    parser.add_argument(
        "-i",
        "--inventory",
        metavar="INVENTORY",
        help="default: $ANSIBLE_INVENTORY, ansible.cfg's, /etc/hft-incident/inventory, else the running lab's",
    )
    parser.add_argument(
        "-e",
        "--extra-vars",
        metavar="NAME=VALUE",
        type=_pair,
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
    _declare_timeout(parser)


def _declare_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="stop the playbook after so many seconds")


def _declare_resume(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
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
    _declare_timeout(parser)


def _declare_lab(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("up", "down", "status"), help="what to do with it")


def _declare_incident(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", metavar="INC", help="the incident's id")


def _declare_evidence(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
    parser.add_argument("item", metavar="ITEM", nargs="?", help="an item by its name; default: all are listed")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why you look; it is recorded")
    parser.add_argument("--host", metavar="HOST", help="of this host only")
    parser.add_argument("--to", metavar="FILE", help="where the copy of ITEM goes: a new file; -: standard output")
    parser.add_argument(
        "--identity", metavar="FILE", help="decrypt it with this key: one of age's, or an SSH key without passphrase"
    )
    parser.add_argument("--by", metavar="NAME", help="who looks; default: you, as user@host")


def _declare_report(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
    parser.add_argument("--output", metavar="DIR", type=Path, help="default: the folder `report` of the incident's own")


def _declare_actions(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        type=Path,
        help="the report in Markdown that people filled in; default: that in the folder `report` of the incident's own",
    )
    parser.add_argument("--format", choices=("json", "csv"), default="json", help="default: %(default)s")
    parser.add_argument("--output", metavar="FILE", type=Path, help="default: standard output")


def _declare_approve(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
    parser.add_argument("gate", metavar="GATE", help="the gate that holds it, as `status` and its message say")
    parser.add_argument(
        "--key",
        metavar="FILE",
        help="your SSH key; FILE.pub: one your agent holds (default: $HFT_INCIDENT_SSH_KEY, else ssh's usual files)",
    )


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
    parser.add_argument(
        "-i", "--inventory", metavar="INVENTORY", help="whose policy is shown or checked; default: as `run`"
    )


def _declare_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell",
        choices=("bash", "zsh", "fish", "words"),
        help="whose script to print; words: what could stand there next, which those scripts ask",
    )
    parser.add_argument("words", metavar="=WORD", nargs="*", help="what was typed after `hft-incident`, each behind =")


def _declare_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--inventory", metavar="INVENTORY", help="whose site is looked at; default: as `run`")
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, default=30.0, help="for all checks together; default: %(default)g"
    )


def _declare_ack(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
    parser.add_argument("--by", metavar="NAME", help="who has it; default: you, as user@host")


def _declare_clocks(parser: argparse.ArgumentParser) -> None:
    _declare_status(parser)
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--met", metavar="NAME", help="this clock was met: the notification was sent")
    ends.add_argument("--stop", metavar="NAME", help="this clock does not apply; --reference says why")
    parser.add_argument("--by", metavar="PERSON", help="who did it, or says so")
    parser.add_argument("--reference", metavar="TEXT", default="", help="the receipt, or why it does not apply")


def _declare_role(parser: argparse.ArgumentParser) -> None:
    from .roles import ROLES

    _declare_incident(parser)
    parser.add_argument("role", metavar="ROLE", help=f"one of: {', '.join(ROLES)}")
    parser.add_argument("person", metavar="PERSON", help="who has it from now on")
    parser.add_argument("--note", metavar="TEXT", default="", help="what they have to know; it goes into the record")


def _declare_key(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="put", required=True)
    put = actions.add_parser(
        "put",
        allow_abbrev=False,
        help="store a key that was made on a venue's website; asked for without echo, or JSON on standard input",
    )
    put.add_argument("name", metavar="KEY", help="as hft_api_keys of the inventory names it")
    put.add_argument("-i", "--inventory", metavar="INVENTORY", help="whose keys and store; default: as `run`")
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


def _declare_credentials(parser: argparse.ArgumentParser) -> None:
    _declare_incident(parser)
    parser.add_argument("--done", metavar="CREDENTIAL", help="this one is replaced; it goes into the record")
    parser.add_argument("--by", metavar="PERSON", help="who has replaced it; default: you, as user@host")


def _declare_severity(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="set|explain", required=True)
    change = actions.add_parser(
        "set", allow_abbrev=False, help="a person's word: raise or lower the severity, with the reason, on record"
    )
    _declare_incident(change)
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
        type=_pair,
        action="append",
        default=[],
        help="what is known, or unknown; may be repeated (a fact that there is none of: the message names all)",
    )
    explain.add_argument(
        "-i", "--inventory", metavar="INVENTORY", help="whose rules; default: as `run`, and of an incident its own"
    )
    for one in (change, explain):
        one.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on standard output"
        )


def _declare_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", metavar="INC", nargs="?", help="only this one, in full")


_INCIDENT = "inc-20261123T100000Z-exchange_outage-1"
_COMMANDS: Mapping[str, Command] = {
    "list": Command(
        "The incident types, a line each, with what to give `run`.", "hft-incident list", _declare_nothing, _list
    ),
    "run": Command(
        "Open an incident and run its playbook. A response goes on if this command is killed; Ctrl-C stops it.",
        "hft-incident run exchange_outage -e exchange=binance --severity 1",
        _declare_run,
        _run,
    ),
    "resume": Command(
        "Go on with an open incident where its record says it stopped: after a hold, a failure, a reboot or a kill.",
        f"hft-incident resume {_INCIDENT}",
        _declare_resume,
        _resume,
    ),
    "lab": Command(
        "The lab by itself: a trading system and its venues on this machine, for `ansible-playbook` by hand.",
        "hft-incident lab up",
        _declare_lab,
        _lab,
    ),
    "status": Command(
        "Incidents on record, the open ones first, or one of them in full.",
        f"hft-incident status {_INCIDENT}",
        _declare_status,
        _status,
    ),
    "timeline": Command(
        "What happened in an incident, a line an event.",
        f"hft-incident timeline {_INCIDENT}",
        _declare_incident,
        _timeline,
    ),
    "severity": Command(
        "How severe an incident is: 1 (worst) to 4. Rules over what is known give it when it is opened and raise it\n"
        "as more becomes known (playbooks/vars/severity.yml, over it the inventory's group_vars/all/severity.yml).\n"
        "Only a person lowers it.",
        "hft-incident severity explain performance_degradation -e latency_p99_ms=12 -e latency_for_s=40\n"
        f"  hft-incident severity explain {_INCIDENT}\n"
        f"  hft-incident severity set {_INCIDENT} 3 --reason 'only the test account is affected'",
        _declare_severity,
        _severity,
    ),
    "comms": Command(
        "Tell everybody what is due now, open the war room, put the figures on record: once, for a timer, or with\n"
        "--follow until it is over. A response does so by itself; any number of these may run at once. Exit 3:\n"
        "something is due and not delivered.",
        f"hft-incident comms {_INCIDENT}",
        _declare_comms,
        _comms,
    ),
    "ack": Command(
        "Say that you have it: nobody else is paged.", f"hft-incident ack {_INCIDENT} --by alice", _declare_ack, _ack
    ),
    "clocks": Command(
        "By when regulators and others have to be notified, of one incident, or what runs of all: how much time is\n"
        "left, whose it is, what has run out. --met NAME takes a person's word that it was done; nothing is\n"
        "sent.",
        f"hft-incident clocks {_INCIDENT} --met dora_initial --by erin --reference 'receipt 4711'",
        _declare_clocks,
        _clocks,
    ),
    "role": Command(
        "Who leads, operates, communicates, writes, talks to the desk: name somebody, or hand over, on record.",
        f"hft-incident role {_INCIDENT} commander alice --note 'venues are clear, waiting for binance'",
        _declare_role,
        _role,
    ),
    "key": Command(
        "Put an API key that a person made on a venue's website into the secret store, for the rotation to verify and\n"
        "go on with. It is asked for without echo, or read from standard input as JSON: id, secret, passphrase.",
        "hft-incident key put hft-1/kraken -i /etc/hft-incident/inventory",
        _declare_key,
        _key,
    ),
    "credentials": Command(
        "The other credentials that an intruder may have: which are replaced, and whose job the rest is. Exit 4: some\n"
        "are still to be replaced.",
        f"hft-incident credentials {_INCIDENT} --done 'database, role hft' --by bob",
        _declare_credentials,
        _credentials,
    ),
    "report": Command(
        "The draft of a post-mortem, as Markdown and as one HTML file that needs no network: what the record says,\n"
        "each row with its lines of the journal, and empty places for people. Made anew each time; a page that people\n"
        "have changed is kept beside the new one. For one that is resolved also the invitation to the review, within\n"
        "48 hours, as a calendar file. Exit codes as `verify`.",
        f"hft-incident report {_INCIDENT} --output ./post-mortems",
        _declare_report,
        _report,
    ),
    "actions": Command(
        "The action items that people wrote into the report, as issues for a tracker: title, body, assignee, due_on,\n"
        "labels. Each needs an owner and a due date (exit 2, naming the row); nothing is exported before that.",
        f"hft-incident actions {_INCIDENT} --format csv --output issues.csv",
        _declare_actions,
        _actions,
    ),
    "metrics": Command(
        "How long it took to detect, acknowledge, contain (as the venues saw it), mitigate, restore and resolve:\n"
        "median and 90th percentile over all incidents on record, drills and rehearsals apart; or one incident, line\n"
        "by line.",
        f"hft-incident metrics {_INCIDENT}",
        _declare_status,
        _metrics,
    ),
    "approve": Command(
        "Approve, as one of several people, what an incident waits for: signed with your SSH key, over its record as\n"
        "it stands. Who may, and how many are needed, the inventory says. What would not count is refused (exit 2).",
        f"hft-incident approve {_INCIDENT} resume_trading --key ~/.ssh/id_ed25519",
        _declare_approve,
        _approve,
    ),
    "doctor": Command(
        "Can this machine do its job right now? Every check is a line: ok, warn, BAD or unknown, and the mend where\n"
        "one is needed. It reads only: no order, no host and no record is touched, no message is sent. Exit 0: all is\n"
        "well, or there are warnings; 3: something is BAD or unknown.",
        "hft-incident doctor -i /etc/hft-incident/inventory",
        _declare_doctor,
        _doctor,
    ),
    "completion": Command(
        "Completion for your shell: commands and options from the commands' own parsers, incidents, gates and venues\n"
        "from the record and the inventory.",
        "hft-incident completion bash > /etc/bash_completion.d/hft-incident\n"
        "  source <(hft-incident completion zsh)\n"
        "  hft-incident completion fish > ~/.config/fish/completions/hft-incident.fish",
        _declare_completion,
        _completion,
    ),
    "evidence": Command(
        "What was kept as evidence of an incident's hosts, or one item of it, proven and copied out. Who looked, at\n"
        "what and why is recorded first; where that cannot be, nothing is shown.",
        f"hft-incident evidence {_INCIDENT} --reason 'who was logged in?'\n"
        f"  hft-incident evidence {_INCIDENT} volatile/users.json --host hft-1 --to users.json --reason 'the same'",
        _declare_evidence,
        _evidence,
    ),
    "verify": Command(
        "Whether an incident's record and evidence are as they were written: exit 0 intact, 1 altered, 3 torn.",
        f"hft-incident verify {_INCIDENT}",
        _declare_incident,
        _verify,
    ),
}
NAMES = (*_COMMANDS, DRILL)
