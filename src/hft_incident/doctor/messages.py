# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Severity rules and the communications policy load; what the policy names is there; every channel can be resolved and
the way out is open. No message is sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import read_signers

from ..comms.channels import DeliveryError, services
from ..comms.disclosure import signers_of
from ..comms.policy import Policy
from ..comms.policy_check import findings
from ..comms.policy_reading import load
from .approvals import gate_finding
from .findings import BAD, OK, WARN, Finding
from .secrets import fault
from .site import Site

NOWHERE = "nowhere"


def severity(site: Site) -> list[Finding]:
    try:
        rules = severity_rules(site.sources)
    except UsageError as error:
        return [Finding("severity", "", BAD, str(error), "mend that file: no incident can be opened without it")]
    return [Finding("severity", "", OK, f"rules from {', '.join(rules.sources)}")]


def messages(site: Site) -> list[Finding]:
    try:
        policy = load(site.sources)
    except UsageError as error:
        return [Finding("messages", "", BAD, str(error), "mend that file: nobody is told anything without it")]
    told = (_rules(policy), _disclosure(policy, site), _channels(policy), _secrets(policy), _way_out(policy, site))
    return list(chain.from_iterable(told))


def _rules(policy: Policy) -> Iterator[Finding]:
    """What `hft-incident comms --check` finds; channels that lead nowhere are one line."""
    found = findings(policy)
    for one in found:
        if one.kind != NOWHERE:
            yield Finding("messages", one.where, BAD, f"{one.kind}: {one.says}", "hft-incident comms --check")
    nowhere = [one.where for one in found if one.kind == NOWHERE]
    if nowhere:
        mend = "write them into group_vars/all/communications.yml; hft-incident comms --check"
        yield Finding("messages", "", WARN, f"lead nowhere, nobody is told: {', '.join(nowhere)}", mend)
    elif not found:
        yield Finding("messages", "", OK, f"everybody is told; rules from {', '.join(policy.sources)}")


def _disclosure(policy: Policy, site: Site) -> Iterator[Finding]:
    """Who may allow that something is told in public: where nobody can, nothing is, which is safe and may be late."""
    path = signers_of(policy.site.allowed_signers, site.sources)
    if path is None:
        mend = "name allowed_signers in communications.yml, or have allowed_signers.txt beside the inventory"
        yield Finding("gate", ", ".join(policy.gates), WARN, "nobody may open it: no file says who may", mend)
        return
    try:
        signers = read_signers(path)
    except IncidentError as error:
        yield Finding("gate", ", ".join(policy.gates), WARN, str(error), "mend that file")
        return
    for gate in policy.gates:
        found = gate_finding(gate, policy.gates, signers)
        yield found._replace(verdict=WARN) if found.verdict == BAD else found


def _channels(policy: Policy) -> Iterator[Finding]:
    faults = {name: _channel_fault(policy, name) for name in policy.site.channels}
    for name, says in faults.items():
        if says:
            yield Finding("channel", name, BAD, says, "put an apprise URL there, for the responder's account to read")
    if good := [name for name, says in faults.items() if not says]:
        yield Finding("channel", "", OK, f"can be resolved, nothing was sent: {', '.join(good)}")


def _channel_fault(policy: Policy, name: str) -> str:
    try:
        list(services(policy.site, name))
    except DeliveryError as error:
        return str(error)
    return ""


def _secrets(policy: Policy) -> Iterator[Finding]:
    page, slack, zoom = policy.site.status_page, policy.war_room.slack, policy.war_room.zoom
    given = {
        "status page": page.api_key if page else None,
        "war room": slack.token if slack else None,
        "meeting": zoom.client_secret if zoom else None,
    }
    for name, reference in given.items():
        wrong = fault(reference, name) if reference else None
        if wrong:
            yield Finding("channel", name, BAD, *wrong)
        elif reference:
            yield Finding("channel", name, OK, "its secret can be read")


def _way_out(policy: Policy, site: Site) -> Iterator[Finding]:
    if policy.site.ca_file:
        try:
            ssl.create_default_context(cafile=policy.site.ca_file)
            yield Finding("way out", "ca_file", OK, policy.site.ca_file)
        except (OSError, ssl.SSLError) as error:
            says = f"{policy.site.ca_file}: {(error.strerror or 'no certificate in it').lower()}"
            yield Finding("way out", "ca_file", BAD, says, "put the proxy's authority there, as PEM")
    if policy.site.proxy:
        yield _proxy(policy.site.proxy, site)


def _proxy(proxy: str, site: Site) -> Finding:
    parts = urlsplit(proxy)
    where = f"{parts.hostname}:{parts.port or 80}"
    try:
        timeout = min(3.0, max(0.1, site.deadline.remaining()))
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout).close()
    except OSError as error:
        says = f"{where} takes no connection: {(error.strerror or str(error)).lower()}"
        return Finding("way out", "proxy", BAD, says, "open the way to it, or correct proxy in communications.yml")
    return Finding("way out", "proxy", OK, f"{where} takes connections")
