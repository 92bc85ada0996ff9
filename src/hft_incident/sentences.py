# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What happened, in English: one sentence for each event of the journal, on one line and harmless to a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

Sentence = Callable[[Mapping[str, Any]], str]


def heading(data: Mapping[str, Any]) -> str:
    """The phase and its play, whose name may begin with the phase's own."""
    phase, play = (str(data.get(field, "?")) for field in ("phase", "play"))
    first, colon, rest = play.partition(": ")
    return f"{phase.upper()}: {rest if colon and first.lower() == phase.lower() else play}"


def sentence(event: Event) -> str:
    """One event in English, on one line; a kind nobody wrote a sentence for shows its fields."""
    write = SENTENCES.get(event.kind)
    try:
        text = write(event.data) if write else _fields(event)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        # a kind we know with data we do not: show it as it is
        text = _fields(event)
    return plain(text)


def offset(start: str, at: str) -> str:
    """The time between two ``at`` as ``T+0:01:02.345``; days count as hours."""
    span = datetime.fromisoformat(at) - datetime.fromisoformat(start)
    sign, span = ("-", -span) if span < timedelta(0) else ("+", span)
    milliseconds = span // timedelta(milliseconds=1)
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"T{sign}{minutes // 60}:{minutes % 60:02}:{seconds:02}.{milliseconds % 1000:03}"


def plain(text: str) -> str:
    """``text`` on one line and without control characters: a venue's error must not be able to steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def venue_said(verdict: str, open_after: int | None) -> str:
    """A venue's verdict, with what is still open there."""
    return verdict if not open_after else f"{verdict}, {open_after} orders still open"


def _fields(event: Event) -> str:
    pairs = (f"{name}={_value(value)}" for name, value in event.data.items() if value is not None)
    return " ".join([event.kind, *pairs])


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _opened(data: Mapping[str, Any]) -> str:
    severity = f", severity {data['severity']}" if data.get("severity") else ""
    inputs = "".join(f", {name} {_value(value)}" for name, value in data.get("inputs", {}).items())
    why = data.get("assessment") or {}
    by = f"; severity by {why.get('rule') or 'a person'}: {why.get('reason')}" if why else ""
    return f"incident opened: {data['type']}{severity}{inputs}{_check(data)}{by}"


def _severity_set(data: Mapping[str, Any]) -> str:
    by = data.get("rule") or ("a person" if data.get("by") == "person" else "an escalation")
    before = data.get("before") or "none"
    return f"SEVERITY {before} -> {data['severity']}, by {by}: {data.get('reason') or 'no reason on record'}"


def _task(data: Mapping[str, Any]) -> str:
    where = "" if data.get("host") in (None, "localhost") else f" on {data['host']}"
    took = "" if data.get("elapsed_ms") is None else f" ({data['elapsed_ms'] / 1000:.2f} s)"
    said = f": {data['msg']}" if data.get("msg") else ""
    ended = "held" if data.get("outcome") == "held" else data["status"]
    return f"{ended}  {data['task']}{where}{took}{said}"


def _kill(data: Mapping[str, Any]) -> str:
    told = []
    for venue in data["venues"]:
        cancelled = f", {venue['cancelled']} cancelled" if venue.get("cancelled") is not None else ""
        error = f" ({venue['error']})" if venue.get("error") else ""
        told.append(f"{venue['name']} {venue_said(venue['verdict'], venue.get('open_after'))}{cancelled}{error}")
    told += [f"{system['name']} {system['verdict']}" for system in data.get("trading_systems", ())]
    return f"kill verified, {data['verdict']}: " + "; ".join(told)


def _run_finished(data: Mapping[str, Any]) -> str:
    return (
        f"run finished: {data['outcome']} ({data['tasks']} tasks, "
        f"{data['failed']} failed, {data['unreachable']} unreachable)"
    )


def _check(data: Mapping[str, Any]) -> str:
    return " (check mode)" if data.get("check") else ""


def _says(template: str) -> Sentence:
    """A sentence with the fields of the data in it; a missing field is a KeyError, so the fields are shown instead."""
    return lambda data: template.format_map(data)


def _strategies(verb: str) -> Sentence:
    return lambda data: f"{verb} at {data['trading_system']}: " + ", ".join(data["ids"])


def _exposure(data: Mapping[str, Any]) -> str:
    nets = [f"{asset['asset']} {asset['net']}" for asset in data["assets"] if not asset["stable"]]
    unknown = f"; not known: {', '.join(data['unknown'])}" if data["unknown"] else ""
    return f"net exposure{' (partial)' if data['partial'] else ''}: " + (", ".join(nets) or "none") + unknown


def _open_orders(data: Mapping[str, Any]) -> str:
    counts = (f"{name} {'unknown' if count is None else count}" for name, count in data["venues"].items())
    return "open orders: " + ", ".join(counts)


def _probe(system: Mapping[str, Any]) -> str:
    said = system["error"] or ", ".join(dict.fromkeys((system["status"], system["mode"])))
    return f"{system['name']} {system['verdict']} ({said}{', restarted' if system['restarted'] else ''})"


def _gate_held(data: Mapping[str, Any]) -> str:
    so_far = f", so far {' and '.join(data['approved_by'])}" if data["approved_by"] else ""
    refused = "".join(f"; refused: {item['person']}: {item['reason']}" for item in data["refused"])
    return f"gate {data['gate']} waits for {data['people']} of {' or '.join(data['groups'])}{so_far}{refused}"


def _things(data: Mapping[str, Any]) -> str:
    """What was taken over; a record that nobody can believe names nothing."""
    names = dict.fromkeys(f"{thing['kind']} {thing['name']}" for thing in data.get("things") or ())
    return ", ".join(names) or "nothing, its record is passed over as it stands"


def _crash(data: Mapping[str, Any]) -> str:
    """What it died of, how sure that is, and the first line that proves it."""
    kind = str(data["kind"]).replace("_", " ")
    ended = data["signal"] or (None if data["exit_status"] is None else f"exit status {data['exit_status']}")
    again = (
        f"crashes: {data['crashes']}" if data["crashes"] > 1 else "started again since" if data["repeated"] else None
    )
    how = ", ".join(str(part) for part in (data["confidence"], ended, again) if part)
    proof = f": {data['because'][0]}" if data["because"] else ""
    against = f"; against it: {data['contradictions'][0]}" if data["contradictions"] else ""
    return f"{data['unit']} on {data['host']}: {kind} ({how}){proof}{against}"


def _measured(data: Mapping[str, Any]) -> str:
    """What stands out first, then how long tasks waited of the last 10 s, memory, and the fullest disk."""
    stalls = [
        f"{resource} {figures['some']['avg10_percent']:.1f} %"
        for resource, figures in sorted(data["pressure"].items())
        if figures and "some" in figures
    ]
    available = data["memory"].get("available_bytes")
    fullest = max(data["disks"], key=lambda disk: disk["used_percent"] or 0.0, default=None)
    told = [
        *data["notable"],
        *([f"waiting for {', '.join(stalls)} of the last 10 s"] if stalls else []),
        *([] if available is None else [f"{available / 1e9:.1f} GB of memory available"]),
        *([f"{fullest['path']} {fullest['used_percent'] or 0.0:.0f} % full"] if fullest else []),
    ]
    return f"{data['host']}: " + ("; ".join(told) or "it tells nothing of itself")


def _release(data: Mapping[str, Any]) -> str:
    found = "; ".join(data["reasons"])
    as_approved = f"version {data['version']['approved']}, {data['files']} files, the configuration is valid"
    return f"release on {data['host']}: {str(data['verdict']).replace('_', ' ')}: {found or as_approved}"


#: Of many findings a sentence names so many; the record has them all.
MANY = 12


def _audit(data: Mapping[str, Any]) -> str:
    counts = [f"{count} {severity}" for severity, count in reversed(data["counts"].items()) if count]
    alarming = [finding["what"] for finding in data["findings"] if finding["severity"] == "alarming"]
    told = f"audit of {data['host']}: {', '.join(counts) or 'nothing found'}, {len(data['unknown'])} parts unknown"
    shown = [*alarming[:MANY], *([f"{len(alarming) - MANY} more that alarm"] if len(alarming) > MANY else [])]
    return f"{told}: {'; '.join(shown)}" if shown else told


def _accounts(data: Mapping[str, Any]) -> str:
    counts = [f"{count} {severity}" for severity, count in reversed(data["counts"].items()) if count]
    since = f", since {data['since']}" if "since" in data else ""
    told = f"accounts at {', '.join(data['venues'])} looked at{since}: {', '.join(counts) or 'nothing found'}"
    for field, words in (("unknown", "UNKNOWN"), ("not_offered", "without an API, a person has to look")):
        if data[field]:
            told += f"; {words}: {', '.join(sorted({row['venue'] + ' ' + row['part'] for row in data[field]}))}"
    return told


def _unknown_keys(data: Mapping[str, Any]) -> str:
    told = []
    for venue in data["venues"]:
        for key in venue["unknown"]:
            named = f"{venue['name']}: {key['id']}" + (f" '{key['label']}'" if key["label"] else "")
            told.append(f"{named} {'NOT PROVEN REVOKED' if key['left'] else 'revoked'}")
        if venue["verdict"] == "unknown":
            told.append(f"{venue['name']}: UNKNOWN ({venue['error']})")
    return f"keys that are none of ours: {'; '.join(told) or 'none'}"


def _withdrawals(data: Mapping[str, Any]) -> str:
    stopped = sum(len(venue["cancelled"]) for venue in data["venues"])
    doubtful = [f"{venue['name']} is {venue['verdict']}" for venue in data["venues"] if venue["verdict"] != "frozen"]
    late = [f"{venue['name']} TOO LATE for {len(venue['gone'])}" for venue in data["venues"] if venue["gone"]]
    return f"withdrawals: {stopped} cancelled; {'; '.join([*late, *doubtful]) or 'nothing is on its way out'}"


def _evidence_kept(data: Mapping[str, Any]) -> str:
    kept = f"evidence of {data['host']} kept: {data['items']} items, {data['bytes']} bytes in {data['folder']}"
    return f"{kept}; missing: {', '.join(data['missing'])}" if data["missing"] else kept


def _evidence_accessed(data: Mapping[str, Any]) -> str:
    what = f"{data['item']} of {data['host']}" if data["item"] else f"the list of {data['host'] or 'all hosts'}"
    where = f", copied to {data['to']}" if data["to"] else ""
    return (
        f"evidence: {data['by']} looked at {what}{where}{', decrypted' if data['decrypted'] else ''}: {data['reason']}"
    )


def _latch_stays(data: Mapping[str, Any]) -> str:
    """It was told to open and did not."""
    scope = f"{data['scope']} {data['name']}" if data["name"] else "all trading"
    why = data["difference"] or f"the hold file is {data['hold']}"
    return f"latch of {data['host']}, {scope}: NOT OPENED: {why}"


def _isolated(data: Mapping[str, Any]) -> str:
    if data.get("on_host") is False:
        return f"{data['host']} is isolated from outside alone, NOT TRIED OUT"
    proven = "isolated, proven over a new connection"
    at = data["reverts_at"]
    unproven = "NOT PROVEN isolated; " + (f"open again at {at}" if at else "no revert is armed")
    out = [probe["destination"] for probe in data["probes"] if probe["blocked"]]
    kept = f"; only {', '.join(data['responders'])} get in" + (f", it cannot reach {', '.join(out)}" if out else "")
    cut = f"; {len(data['sockets_killed'])} connections cut{_not_cut(data)}"
    return f"{data['host']} is {proven if data['confirmed'] else unproven}{kept}{cut}"


def _from_outside(data: Mapping[str, Any]) -> str:
    state = str(data["state"])
    return f"{data['host']} from outside: " + (state if data["done"] else f"NOT {state}: {data['msg']}")


def _not_cut(data: Mapping[str, Any]) -> str:
    return f"; NOT CUT: {', '.join(data['sockets_left'])}" if data.get("sockets_left") else ""


def _latch(data: Mapping[str, Any]) -> str:
    scope = f"{data['scope']} {data['name']}" if data["name"] else "all trading"
    what = f"latch of {data['host']}, {scope}: told {data['state']}"
    return f"{what}; its parts differ: {data['difference']}" if data["difference"] else what


def _role(data: Mapping[str, Any]) -> str:
    return str(data["role"]).replace("_", " ")


def _note(data: Mapping[str, Any]) -> str:
    return f": {data['note']}" if data.get("note") else ""


def _audience(data: Mapping[str, Any]) -> str:
    """Who is told what: "management (update)"."""
    return f"{data['audience']} ({data['kind']})".replace("_", " ")


def _late(data: Mapping[str, Any]) -> str:
    return f", {data['late_s']:.0f} s LATE" if data.get("late") else ""


def _planned(data: Mapping[str, Any]) -> str:
    audiences = dict.fromkeys(str(row["audience"]).replace("_", " ") for row in data["rows"])
    return f"communications planned for {', '.join(audiences) or 'nobody'}"


def _war_room(data: Mapping[str, Any]) -> str:
    """Its channel, where it has one, and the call."""
    what = (
        f"{'private ' if data.get('private') else ''}war room {data['name']} {'made' if data['created'] else 'found'}"
    )
    told = [f"{what}: {data['url']}"] if data.get("url") else []
    told += [f"{data['meeting']['kind']} call: {data['meeting']['join']}"] if data.get("meeting") else []
    return "; ".join([*told, *filter(None, [data.get("complaint")])])


def _pnl(data: Mapping[str, Any]) -> str:
    silent = [f"{system['name']}: {system['error']}" for system in data["systems"] if system["unrealized_usd"] is None]
    silent += [data["error"]] if data.get("error") else []
    total = "not known" if data["total_usd"] is None else f"{data['total_usd']} USD"
    return f"unrealized P&L: {total}" + (f" ({', '.join(silent)})" if silent else "")


def _key(template: str) -> Sentence:
    return lambda data: f"{data['key']}: {template.format_map(data)}"


def _key_verified(data: Mapping[str, Any]) -> str:
    by = f" (by the word of {data['seen_by']}: the venue does not tell {data['untold']})" if data.get("seen_by") else ""
    return f"{data['key']}: key {data['fingerprint']} works, and may do no more than it should{by}"


def _keys(data: Mapping[str, Any]) -> str:
    """The verdict of each key; that none works any more is told of each."""
    told = []
    for row in data["keys"]:
        none_left = ", NO WORKING KEY" if row["working_keys"] == 0 and data["state"] == "rotated" else ""
        told.append(f"{row['key']} {row['verdict']}{none_left}" + (f" ({row['error']})" if row["error"] else ""))
    return "API keys: " + "; ".join(told)


#: By kind of event. A phase that is entered is a heading.
SENTENCES: Mapping[str, Sentence] = {
    "incident.opened": _opened,
    "incident.closed": lambda data: (
        f"incident closed: {data['resolution']}" + (f", {data['summary']}" if data.get("summary") else "")
    ),
    "incident.reopened": lambda data: "incident reopened" + (f": {data['reason']}" if data.get("reason") else ""),
    "severity.set": _severity_set,
    "alarm.judged": lambda data: f"{'REAL' if data['real'] else 'false alarm'}: {data['because']}",
    "incident.escalated": lambda data: f"ESCALATED: it happened before: {', '.join(data['earlier'])}",
    "fire_first.withheld": _says("red button not pressed beforehand: {reason}"),
    "run.started": lambda data: f"run started: {data['playbook']}{_check(data)}",
    "run.resumed": _says("going on from: {play}"),
    "run.stop_requested": _says("asked to stop: {reason}"),
    "run.lost": _says("RUN LOST: {reason}"),
    "run.orphans_ended": lambda data: (
        f"a run that was killed had left {len(data['pids'])} of its processes at work; they were ended"
    ),
    "run.taken_over": lambda data: f"{data['by']} took over from {data['from']['user']}",
    "claims.taken_over": lambda data: f"taken over from {data['incident']}: {_things(data)}",
    "claims.given_up": lambda data: f"given up to {data['incident']}: {_things(data)}",
    "run.finished": _run_finished,
    "run.interrupted": _says("run interrupted after {tasks} tasks"),
    "run.no_hosts": _says("NOTHING RAN: {reason}"),
    "task.finished": _task,
    "task.retried": lambda data: (
        f"retry  {data['task']}: attempt {data['attempt']} of {data['attempts']}"
        + (f": {data['msg']}" if data.get("msg") else "")
    ),
    "kill.verified": _kill,
    "strategies.stopped": _strategies("strategies stopped"),
    "strategies.started": _strategies("strategies started"),
    "strategy.started": _says("{id} runs at {trading_system} and is well"),
    "venue.reported": _says("{name}: {text}"),
    "venue.diagnosed": _says("{name}: {verdict}: {sentence}"),
    "venue.watched": _says("watching {name}, {left_s} s left: {verdict}: {sentence}"),
    "trading_systems.probed": lambda data: "trading systems: " + ", ".join(_probe(one) for one in data["systems"]),
    "trading_system.watched": _says("watching the trading systems, {left_s} s left: {sentence}"),
    "open_orders.listed": _open_orders,
    "exposure.measured": _exposure,
    "exchange.changed": _says("{name} at {trading_system}: {before} -> {state}"),
    "exchange.not_connected": _says("{name} at {trading_system}: attempt {attempt} of {attempts} to connect: {error}"),
    "trading_limit.changed": _says("orders at {trading_system}: {before_pct} % -> {scale_pct} % of their usual size"),
    "service.changed": _says("{unit}: {before} -> {state}"),
    "host.external_isolation": _from_outside,
    "host.isolated": _isolated,
    "host.isolation_reverted": lambda data: (
        f"{data['host']} is no longer isolated, by {data['by']}"
        + (f" at {data['at']}" if data.get("at") else "")
        + _not_cut(data)
    ),
    "latch.changed": _latch,
    "latch.not_opened": _latch_stays,
    "positions.reconciled": _says("{verdict}: {reason}"),
    "kill.ordered": lambda data: f"kill ordered: {', '.join(data['venues'])}: {data['reason']}",
    "inverse.registered": _says("to undo later: {describe}"),
    "inverse.applied": lambda data: f"undone: {data.get('describe') or data['id']}",
    "inverse.failed": _says("could not undo: {describe}: {msg}"),
    "gate.held": _gate_held,
    "evidence.kept": _evidence_kept,
    "evidence.accessed": _evidence_accessed,
    "evidence.waived": lambda data: (
        f"VOLATILE EVIDENCE of {data['host']} GIVEN UP: waived by {' and '.join(data['people'])}"
    ),
    "crash.classified": _crash,
    "host.measured": _measured,
    "release.checked": _release,
    "host.audited": _audit,
    "api_key.created": _key("a new key {fingerprint} made"),
    "api_key.stored": _key("key {fingerprint} is in the store"),
    "api_key.verified": _key_verified,
    "api_key.loaded": _key("the trading systems use key {fingerprint}"),
    "api_key.revoked": _key("key {fingerprint} is dead"),
    "api_key.rotated": _key("rotated, key {fingerprint} is the only one"),
    "api_key.stray_deleted": _key("key {fingerprint}, whose secret nobody had, deleted"),
    "api_key.discarded": _key("unfinished key {fingerprint} deleted"),
    "api_keys.rotated": _keys,
    "breach.level_judged": lambda data: f"breach {data['level'].upper()}: {'; '.join(data['because'])}",
    "credentials.listed": lambda data: (
        "to be replaced by people: " + ", ".join(f"{item['name']} ({item['owner']})" for item in data["items"])
    ),
    "credential.rotated": _says("{name} is replaced, by {by}"),
    "clock.started": lambda data: (
        f"clock {data['clock']} runs from {data['from']}: "
        + (f"due {data['due_at']}" if data.get("due_at") else "due later")
        + f", owner {data['owner']}"
    ),
    "clock.met": lambda data: (
        f"clock {data['clock']} met by {data['by']}" + (f": {data['reference']}" if data.get("reference") else "")
    ),
    "clock.stopped": _says("clock {clock} does not apply, says {by}: {reference}"),
    "account.looked_at": _accounts,
    "account.finding": _says("ACCOUNT at {venue}: {severity}: {what}"),
    "withdrawals.frozen": _withdrawals,
    "unknown_api_keys.revoked": _unknown_keys,
    "database.probed": _says("database {dbname} at {host}: {verdict}: {reason}"),
    "approval.given": _says("{person} approved {gate}"),
    "gate.passed": lambda data: f"gate {data['gate']} passed: approved by {' and '.join(data['people'])}",
    "incident.acknowledged": _says("{by} has it: acknowledged"),
    "role.assigned": lambda data: f"{data['person']} is {_role(data)}, assigned by {data['by']}{_note(data)}",
    "role.handed_over": lambda data: f"{_role(data)}: {data['from']} -> {data['to']}, by {data['by']}{_note(data)}",
    "disclosure.allowed": lambda data: f"{data['gate']} allowed by {' and '.join(data['people'])}",
    "communications.planned": _planned,
    "notice.sent": lambda data: (
        f"told {_audience(data)} through {data['channel']}{_late(data)}: {data.get('subject') or data['notice']}"
    ),
    "notice.failed": lambda data: (
        f"could not tell {_audience(data)} through {data['channel']}, attempt {data['attempt']}: {data['error']}"
        + (f"; again at {data['retry_at']}" if data.get("retry_at") else "")
    ),
    "notice.withheld": lambda data: f"{_audience(data)} not told yet, gate {data['gate']} is closed: {data['reason']}",
    "notice.not_sent": lambda data: (
        f"NOT TOLD: {_audience(data)}"
        + (f" through {data['channel']}" if data.get("channel") else "")
        + f": {data['reason']}"
    ),
    "war_room.opened": _war_room,
    "war_room.failed": lambda data: (
        f"war room: {data['error']}" + (f"; again at {data['retry_at']}" if data.get("retry_at") else "")
    ),
    "war_room.posted": _says("told the war room {lines} lines, up to #{through}"),
    "war_room.closed": _says("war room {name} closed"),
    "pnl.measured": _pnl,
    "record.refused": _says("an event {kind} could not be recorded: {reason}"),
    "journal.torn_line": _says("a crash left {bytes} bytes of an unfinished line; set aside in journal.torn"),
    "journal.alteration_found": _says("THE RECORD WAS ALTERED before this line: {reason}"),
}
