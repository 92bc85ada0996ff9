# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The inventory as Ansible understands it, who may approve, the trading hosts, and what a breach needs: four subjects
of one look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import approvals, breach, hosts
from .ansible_look import Look, look
from .findings import BAD, OK, UNKNOWN, Finding
from .site import Site

_NOWHERE = "hft-incident init writes one to start from, /etc/hft-incident/inventory; or name yours with -i"


def inventory(site: Site) -> list[Finding]:
    if not site.sources:
        return [Finding("inventory", "", BAD, "there is none: no playbook could run", _NOWHERE)]
    seen = look(site.sources, site.deadline)
    return [*_parsed(seen, site), *approvals.approvals(seen), *hosts.hosts(seen, site), *breach.breach(seen, site)]


def _parsed(seen: Look, site: Site) -> Iterator[Finding]:
    named = ", ".join(site.sources)
    if not seen.told:
        mend = f"ansible-inventory -i {site.sources[0]} --list"
        yield Finding("inventory", "", UNKNOWN if "in time" in seen.fault else BAD, f"{named}: {seen.fault}", mend)
        return
    found = seen.of("venues")
    if found is None or found.ended != "ok":
        why = found.why if found else seen.fault
        yield Finding("inventory", "", BAD, f"{named}: {why}", "write hft_venues and hft_trading_systems into it")
        return
    yield _one_truth(found.result.get("msg"), site, named)


def _one_truth(theirs: Any, site: Site, named: str) -> Finding:
    """What playbooks act on and what the red button acts on must be the same."""
    ours = {
        "venues": [entry.name for entry in site.settings.venues],
        "trading_systems": [entry.name for entry in site.settings.trading_systems],
    }
    if site.venues_path and theirs != ours:
        says = f"{named}: its venues or trading systems are not those of {site.venues_path}, which the red button reads"
        return Finding("inventory", "", BAD, says, "keep both lists in group_vars/all/venues.yml and nowhere else")
    return Finding("inventory", "", OK, f"{named} can be parsed")
