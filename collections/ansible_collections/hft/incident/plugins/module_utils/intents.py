# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Inverses written down before the change that they undo: killed in between, the next run still knows how to undo it.

Source: architecture.md, idea 4. An inverse that is open already, with the same module and arguments on the same host,
is not written a second time: to play it once undoes the change, however often that was made.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .errors import IncidentError
from .incident import Incident, Inverse, open_inverses
from .redaction import recordable

KIND = "inverse.registered"


class Registration(NamedTuple):
    """``inverses`` of a result, each with its id; ``drafts``: the events to write for those that are new."""

    inverses: list[dict[str, Any]]
    drafts: list[tuple[str, dict[str, Any]]]


def registration(
    still_open: Sequence[Inverse], inverses: Iterable[Mapping[str, Any]], *, task: str, host: str
) -> Registration:
    """What to write so that all of ``inverses`` are open: pure. Raises TypeError for arguments that JSON cannot say."""
    known = {_key(item.module, item.args, item.host): item.id for item in still_open}
    made = Registration([], [])
    for item in inverses:
        module, args = item.get("module"), item.get("args") or {}
        key = _key(str(module), recordable(args, "args"), host)
        if key not in known:
            known[key] = uuid.uuid4().hex[:12]
            described = {"module": module, "args": args, "describe": item.get("describe")}
            made.drafts.append((KIND, {"id": known[key], "task": task, "host": host, **described}))
        made.inverses.append({**item, "id": known[key]})
    return made


def register(
    incident: Incident, inverses: Iterable[Mapping[str, Any]], *, task: str, host: str
) -> list[dict[str, Any]]:
    """The inverses with their ids, on disk when this returns.

    Never raises for a record that cannot be kept: closing must not wait for that. They come back without ids then, and
    the scribe, which fails the run over it, tries once more with the result.
    """
    given = [dict(item) for item in inverses]
    try:
        still_open = open_inverses(incident.journal.events(), host)
        made = registration(still_open, given, task=task, host=host)
        incident.journal.extend(made.drafts)
    except IncidentError:
        return given
    return made.inverses


def _key(module: str, args: Any, host: str) -> tuple[str, str, str]:
    return module, repr(_sorted(args)), host


def _sorted(value: Any) -> Any:
    """Objects as sorted pairs: the order in which fields were written means nothing."""
    if isinstance(value, Mapping):
        return sorted((str(key), _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value
