# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``credential_checklist``: what else an intruder may have, put on record, and whether all is replaced.

Source: seed-faults A8 (SSH, database, CI and deploy tokens, chat and paging webhooks, cloud, custody, code signing).
"""

from __future__ import annotations

from typing import Any

from ..credentials import LISTED, credential_items, items
from ..errors import HeldError
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    "credentials": {"type": "list", "elements": "dict", "required": True, "no_log": False},
    "require_all": {"type": "bool", "default": False},
}


def run(params: Params, context: Context) -> Result:
    """Raises HeldError where all have to be replaced and some are not."""
    del context  # it changes nothing but the record
    listed = credential_items(params["credentials"])
    incident = current_incident()
    known = {item.name: item for item in items(incident.journal.events())}
    merged = [known.get(item.name, item)._replace(owner=item.owner, how=item.how) for item in listed]
    merged += [item for name, item in known.items() if name not in {one.name for one in listed}]
    left = [item for item in merged if not item.done_by]
    tell = f"tick each with: hft-incident credentials {incident.id} --done NAME --by PERSON"
    names = ", ".join(f"{item.name} ({item.owner})" for item in left)
    if left and params["require_all"]:
        raise HeldError(f"credentials still to be replaced: {names}; {tell}")
    plain = [{"name": item.name, "owner": item.owner, "how": item.how} for item in listed]
    new = any(item not in [one._replace(done_by="", done_at="") for one in known.values()] for item in listed)
    return {
        "msg": f"credentials still to be replaced: {names}; {tell}" if left else "all credentials are replaced",
        "open": [item.name for item in left],
        "items": [item._asdict() for item in merged],
        "record": [event(LISTED, {"items": plain})] if new else [],
    }
