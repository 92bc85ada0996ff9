# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""An isolation's part on the suspect host itself: applied with a revert armed, tried out and kept, or taken back.

Nothing here asks the control node. What it needs to know of it (that this is another machine, that its session comes
in) is in the arguments and in the session that runs this.

Source: seed-faults A1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import nftables
from .arguments import require_positive
from .deadline import Deadline
from .errors import HeldError, IncidentError, UnprovenError, UsageError
from .host_connections import Connection, Connections, own_addresses
from .isolation_revert import Applied, Isolation
from .isolation_rules import (
    Address,
    Destination,
    Kept,
    destinations,
    plain_address,
    ports,
    refuse_own,
    refuse_own_destinations,
    responders,
    ruleset,
    table_name,
)
from .network_probe import loopback, reach
from .steps import Context, Params, Result

SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["isolated", "open"], "required": True},
    "responders": {"type": "list", "elements": "str", "default": []},
    "forbidden": {"type": "list", "elements": "str", "default": []},
    "ssh_ports": {"type": "list", "elements": "int", "default": []},
    "table": {"type": "str", "default": "ir_isolate"},
    "revert_after": {"type": "int", "default": 300},
    "probe_timeout": {"type": "float", "default": 2.0},
    "timeout": {"type": "float", "default": 30.0},
    "kill_processes": {"type": "list", "elements": "str", "default": []},
    "force": {"type": "bool", "default": False},
    "external_command": {"type": "list", "elements": "str", "default": []},
    "external_timeout": {"type": "float", "default": 60.0},
    "on_host": {"type": "bool", "default": True},
    "control_node": {"type": "str"},
    "confirm": {"type": "str"},
}
MACHINE_ID = Path("/etc/machine-id")
DEFAULT_PORT = 22
#: How far up to look for the session that a process belongs to; sudo hides it from its child.
ANCESTORS = 20


class Wanted(NamedTuple):
    """What a task asks for, as far as it can be checked anywhere."""

    responders: tuple[Any, ...]
    forbidden: tuple[Destination, ...]
    ssh_ports: tuple[int, ...]


def wanted(params: Params) -> Wanted:
    """Raises UsageError for the first thing that is wrong with it."""
    table_name(params["table"])
    require_positive(params, "revert_after", "probe_timeout", "timeout", "external_timeout")
    ssh_ports = ports(params["ssh_ports"], "ssh_ports")
    return Wanted(responders(params["responders"]), destinations(params["forbidden"]), ssh_ports)


def machine_id() -> str:
    """Of this machine; "" where it has none."""
    try:
        return MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def change(params: Params, context: Context) -> Result:
    """The host's part of what is asked; raises UsageError before anything is changed."""
    table_name(params["table"])
    require_positive(params, "revert_after", "probe_timeout", "timeout")
    if params["control_node"] and params["control_node"] == machine_id():
        raise UsageError(CONTROL_NODE)
    if params["state"] == "open":
        return _Opening(params).open(check=context.check)
    if params["confirm"]:
        return _confirm(params, wanted(params))
    return _Isolating(params, wanted(params)).isolate(check=context.check)


CONTROL_NODE = (
    "this host is the control node itself, which the kill path needs: isolate it from outside, or respond from another"
)

# Isolated -------------------------------------------------------------------------------------------------------------


class _Isolating:
    def __init__(self, params: Params, asked: Wanted) -> None:
        self._params = params
        self._deadline = Deadline(params["timeout"])
        self._isolation = Isolation(params["table"])
        session = ssh_session()
        self._kept = Kept(asked.responders, asked.ssh_ports or (session.port if session else DEFAULT_PORT,))
        if session and not self._kept.covers(session.client, session.port):
            raise UsageError(
                f"responders: this very connection, from {session.client} to port {session.port}, is not let in by "
                "responders and ssh_ports: the host would be out of reach"
            )
        own = own_addresses(self._deadline)
        refuse_own(asked.responders, own)
        refuse_own_destinations(asked.forbidden, own)
        self._ruleset = ruleset(params["table"], self._kept)

    def isolate(self, *, check: bool) -> Result:
        before = nftables.listing(self._ruleset.table, self._deadline)
        nftables.check(self._ruleset, self._deadline)
        connections = Connections(self._kept, self._deadline)
        if self._confirmed(before):
            return self._told(before, changed=False) | {"sockets_left": list(map(str, connections.listed()))}
        if check:
            return self._told(before, changed=True, words="would be applied")
        with self._isolation.locked():
            self._deadline = Deadline(self._params["timeout"])  # not less for having waited for somebody else
            return self._isolate(Connections(self._kept, self._deadline))

    def _isolate(self, connections: Connections) -> Result:
        before = nftables.listing(self._ruleset.table, self._deadline)  # as nobody can change it any more
        if self._confirmed(before):  # by another responder, while this one waited
            return self._told(before, changed=False) | {"sockets_left": list(map(str, connections.listed()))}
        reverted_at, was_safe = self._isolation.reverted_at, before is None or self._stands(before)
        name, at = self._isolation.arm(self._params["revert_after"], connections.kill_command, self._deadline)
        self._isolation.disarm(but=name)  # two are armed at no moment that counts, and none at no moment at all
        self._isolation.acknowledge()
        try:
            self._apply(before, was_safe)
            listing = nftables.listing(self._ruleset.table, self._deadline)
            if listing is None:
                raise UnprovenError(f"table inet {self._ruleset.table} was applied and is gone")
            self._isolation.note(self._applied(listing, name, at))
            found, left = connections.destroy(self._params["kill_processes"])
        except IncidentError as error:
            taken_back = f"; what was applied is taken back at {at}" if self._isolation.armed else ""
            raise UnprovenError(f"{error}{taken_back}") from error
        return self._told(before, changed=True, words="is in force") | {
            "reverts_at": at,
            "reverted_at": reverted_at,
            **_destroyed(found, left, connections.forget()),
        }

    def _apply(self, before: str | None, was_safe: bool) -> None:
        """Where it did not come about, and what was there before was not waiting to be taken back, that stays."""
        try:
            nftables.apply(self._ruleset, self._deadline)
        except UnprovenError:
            if was_safe and nftables.listing(self._ruleset.table, Deadline(self._params["timeout"])) == before:
                self._isolation.disarm()
            raise

    def _applied(self, listing: str, revert: str, at: str) -> Applied:
        kept = self._kept
        return Applied(self._ruleset.digest, listing, kept.responders, kept.ssh_ports, revert, False, at)

    def _confirmed(self, listing: str | None) -> bool:
        """The very rules, in force and proven."""
        applied = self._isolation.applied
        return bool(applied and applied.digest == self._ruleset.digest and self._stands(listing))

    def _stands(self, listing: str | None) -> bool:
        """Whether what was applied last is what is in force, proven, and not to be taken back."""
        applied = self._isolation.applied
        return bool(applied and applied.confirmed and applied.listing == listing and not self._isolation.armed)

    def _told(self, before: str | None, *, changed: bool, words: str = "was in force and proven already") -> Result:
        shown = (before or "") if changed else self._ruleset.text
        return {
            "changed": changed,
            "msg": f"table inet {self._ruleset.table} {words}",
            "confirmed": not changed,
            "ruleset": self._ruleset.digest,
            "responders": list(map(str, self._kept.responders)),
            "ssh_ports": list(self._kept.ssh_ports),
            "reverts_at": "",
            "reverted_at": "",
            "sockets_killed": [],
            "sockets_left": [],
            "conntrack": "",
            "diff": {"before": shown, "after": self._ruleset.text},
        }


_TAMPERED = "the rules in force are not those that were applied"
_TOO_LATE = "the host has opened by itself already"


def _confirm(params: Params, asked: Wanted) -> Result:
    """Over a connection that is newer than the rules: that this runs proves the way in. Disarms only where everything
    else holds, too; otherwise says what does not, and leaves the revert armed."""
    isolation, deadline = Isolation(params["table"]), Deadline(params["timeout"])
    with isolation.locked():
        applied = isolation.applied
        if applied is None or applied.digest != params["confirm"]:
            return _not_confirmed([], ["another responder has isolated it differently meanwhile"], applied)
        if not applied.confirmed and not isolation.armed:
            return _not_confirmed([], [_TOO_LATE], None)
        inner = loopback(params["probe_timeout"])
        probes = reach(asked.forbidden, params["probe_timeout"])
        problems = [f"loopback does not work ({inner})"] if inner else []
        problems += [f"{one.destination} is in reach ({one.how})" for one in probes if not one.blocked]
        if nftables.listing(params["table"], deadline) != applied.listing:
            problems.append(_TAMPERED)
        shown = [one.shown() for one in probes]
        if problems:
            return _not_confirmed(shown, problems, applied)
        _found, left = Connections(applied.kept, deadline).destroy(params["kill_processes"])
        if not applied.confirmed and applied.revert not in isolation.disarm():
            return _not_confirmed(shown, [_TOO_LATE], None)
        if nftables.listing(params["table"], deadline) != applied.listing:
            return _not_confirmed(shown, [_TAMPERED], None)
        isolation.note(applied._replace(confirmed=True, reverts_at=""))
    return {
        "changed": not applied.confirmed,
        "msg": "proven over a new connection",
        "confirmed": True,
        "reverts_at": "",
        "probes": shown,
        "sockets_left": list(map(str, left)),
    }


def _not_confirmed(probes: list[dict[str, Any]], problems: list[str], applied: Applied | None) -> Result:
    armed = applied.reverts_at if applied else ""
    return {
        "failed": True,
        "outcome": UnprovenError.outcome,
        "msg": "; ".join(problems),
        "confirmed": False,
        "reverts_at": armed,
        "probes": probes,
    }


# Open -----------------------------------------------------------------------------------------------------------------


class _Opening:
    def __init__(self, params: Params) -> None:
        self._params = params
        self._table = params["table"]
        self._deadline = Deadline(params["timeout"])
        self._isolation = Isolation(self._table)

    def open(self, *, check: bool) -> Result:
        found = self._listing()
        if found is None and (check or not self._isolation.known):
            return self._told(None, "was open already") | {"reverted_at": self._isolation.reverted_at}
        if check:
            return self._told(found, "would be open")
        with self._isolation.locked():
            self._deadline = Deadline(self._params["timeout"])
            before = nftables.listing(self._table, self._deadline)
            reverted_at = self._isolation.reverted_at
            if before is None:
                self._isolation.forget()
                return self._told(None, "was open already") | {"reverted_at": reverted_at}
            gone = self._destroy()
            nftables.delete(self._table, self._deadline)
            self._isolation.forget()
        return self._told(before, "is open") | {"reverted_at": reverted_at, **gone}

    def _listing(self) -> str | None:
        """None also where there is no nft, nor any trace of an isolation: to undo what never came about is no error."""
        try:
            return nftables.listing(self._table, self._deadline)
        except nftables.NftMissing:
            if os.geteuid() == 0 and not self._isolation.known:
                return None
            raise

    def _destroy(self) -> Result:
        """Before the rules go. Raises HeldError where a connection would go on as if nothing had been."""
        kept = self._kept()
        if kept is None:
            if self._params["force"]:
                return _destroyed([], [], "")
            raise HeldError(f"nobody knows whose sessions table inet {self._table} keeps, so none can be cut: {_FORCE}")
        connections = Connections(kept, self._deadline)
        found, left = connections.destroy(self._params["kill_processes"])
        forgotten = connections.forget()
        if left and not self._params["force"]:
            what = ", ".join(map(str, left))
            raise HeldError(f"{len(left)} connections could not be cut and would go on: {what}: {_FORCE}")
        return _destroyed(found, left, forgotten)

    def _kept(self) -> Kept | None:
        applied, session = self._isolation.applied, ssh_session()
        if applied:
            return applied.kept
        return Kept(responders([session.client]), (session.port,)) if session else None

    def _told(self, before: str | None, words: str) -> Result:
        return {
            "changed": before is not None,
            "msg": f"table inet {self._table}: the host {words}",
            "confirmed": False,
            "reverts_at": "",
            "reverted_at": "",
            **_destroyed([], [], ""),
            "diff": {"before": before or "", "after": ""},
        }


_FORCE = "end their processes (kill_processes), or accept it with force: true"


def _destroyed(found: list[Connection], left: list[Connection], remembered: str) -> Result:
    return {
        "sockets_killed": [str(one) for one in found if one not in left],
        "sockets_left": list(map(str, left)),
        "conntrack": remembered,
    }


# The session that runs this -------------------------------------------------------------------------------------------


class Session(NamedTuple):
    """Where it comes from, and the port of this host that it came to."""

    client: Address
    port: int


def ssh_session() -> Session | None:
    """None where sshd has not started this, or nobody can tell."""
    for words in _connections_of_ancestors():
        client, port = plain_address(words[0]), words[3]
        if client and port.isdigit():
            return Session(client, int(port))
    return None


def _connections_of_ancestors() -> list[list[str]]:
    """``SSH_CONNECTION`` of this process and of those that started it, the nearest first."""
    found, pid = [os.environ.get("SSH_CONNECTION", "")], os.getppid()
    for _turn in range(ANCESTORS):
        if pid <= 1:
            break
        told = _process(pid)
        found.append(told.get("SSH_CONNECTION", ""))
        pid = int(told.get("PPid", "0"))
    return [text.split() for text in found if len(text.split()) == 4]


def _process(pid: int) -> Mapping[str, str]:
    """Its environment and its parent; empty where it is gone or not ours to see."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
        parent = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
    except (OSError, IndexError):
        return {}
    return {**dict(line.partition("=")[::2] for line in environment if line), "PPid": parent}
