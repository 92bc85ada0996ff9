# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a response to a security breach needs: evidence that counts, a way to isolate a host, and keys that can be
replaced. Each part that nobody has prepared is named in one line, not in ten."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.reading import Answer, answers

from . import accounts, api_keys, evidence, isolation
from .ansible_look import Look
from .findings import UNKNOWN, WARN, Finding
from .site import Site

#: What Ansible has told is read (s) also where it took all the time.
READ_S = 1.0


class Part(NamedTuple):
    """``lack``: what a response could not do without it, and the variables that prepare it."""

    name: str
    lack: str
    is_prepared: bool
    look: Callable[[], list[Finding]]


def breach(seen: Look, site: Site) -> list[Finding]:
    if not seen.told:
        return [Finding("breach", "", UNKNOWN, "the inventory could not be read", "see there")]
    parts = [
        Part("evidence", evidence.LACK, evidence.is_prepared(seen), partial(evidence.evidence, seen, site)),
        Part("isolation", isolation.LACK, isolation.is_prepared(seen), partial(isolation.isolation, seen)),
        Part("api keys", api_keys.LACK, api_keys.is_prepared(seen), partial(api_keys.api_keys, seen, site)),
        Part("accounts", accounts.LACK, accounts.is_prepared(site), list),  # looked at by themselves
    ]
    deadline = Deadline(max(site.deadline.remaining(), READ_S))
    told = answers({part.name: part.look for part in parts if part.is_prepared}, deadline)
    found = [_told(name, answer) for name, answer in told.items()]
    return [*chain.from_iterable(found), *_unprepared([part for part in parts if not part.is_prepared])]


def _told(name: str, answer: Answer[list[Finding]]) -> list[Finding]:
    if answer.value is not None:
        return answer.value
    return [Finding(name, "", UNKNOWN, answer.error or "no answer", "ask again; with --timeout, give more time")]


def _unprepared(parts: list[Part]) -> list[Finding]:
    if not parts:
        return []
    says = f"a response could not {'; nor '.join(part.lack for part in parts)}"
    return [Finding("breach", "", WARN, says, 'prepare it as docs/breach.md says in "Before it happens"')]
