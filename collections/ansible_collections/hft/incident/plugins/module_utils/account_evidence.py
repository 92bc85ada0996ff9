# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the venues told of the accounts, kept as evidence: one folder a venue, beside those of the hosts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .errors import IncidentError, UsageError
from .evidence_documents import keep_documents
from .evidence_signature import require_key, sign
from .incident import ENV_DIR
from .redaction import recordable

KEEPING: dict[str, Any] = {
    "keep": {"type": "bool", "default": False},
    "dest": {"type": "path"},
    "signing_key": {"type": "path", "no_log": False},
}


def require_place(params: Mapping[str, Any]) -> None:
    """Raises UsageError, before anything is asked, where what is to be kept has no place, or its key cannot sign."""
    if params["keep"]:
        _place(params)
        if params["signing_key"]:
            require_key(params["signing_key"])


def keep_accounts(params: Mapping[str, Any], looked: Mapping[str, Any], started_at: str) -> dict[str, Any]:
    """Fields for the result: ``kept``, one row a venue, and ``not_kept``, one sentence for each that could not be."""
    kept: list[dict[str, Any]] = []
    not_kept: list[str] = []
    for account in looked["accounts"]:
        try:
            data = _keep(params, account, _missing(looked, account["name"]), started_at)
        except IncidentError as error:
            not_kept.append(f"{account['name']}: {error}")
            continue
        try:
            data["signed_by"] = (
                sign(data["folder"], require_key(params["signing_key"])) if params["signing_key"] else None
            )
        except IncidentError as error:  # what is kept is kept
            data["signed_by"] = None
            not_kept.append(f"{account['name']}: kept, and NOT SIGNED: {error}")
        kept.append({**data, "folder": _as_recorded(data["folder"])})
    return {"kept": kept, "not_kept": not_kept}


def _keep(params: Mapping[str, Any], account: Mapping[str, Any], missing: list[str], started_at: str) -> dict[str, Any]:
    """The data of ``evidence.kept``. Raises IncidentError."""
    told = {part: recordable(rows, part) for part, rows in account["parts"].items() if rows is not None}
    source = f"venue-{account['name']}"
    data = keep_documents(_place(params), source, told, started_at=started_at, missing=missing)
    data["inventory_host"] = data["host"]
    return data


def _as_recorded(folder: str) -> str:
    """Relative to the open incident's folder, which so can be moved as a whole."""
    incident = os.environ.get(ENV_DIR)
    if incident and os.path.commonpath([os.path.abspath(incident), folder]) == os.path.abspath(incident):
        return os.path.relpath(folder, incident)
    return folder


def _missing(looked: Mapping[str, Any], venue: str) -> list[str]:
    unknown = [f"{row['part']}: {row['error']}" for row in looked["unknown"] if row["venue"] == venue]
    return unknown + [f"{row['part']}: {row['what']}" for row in looked["not_offered"] if row["venue"] == venue]


def _place(params: Mapping[str, Any]) -> str:
    incident = os.environ.get(ENV_DIR)
    if params["dest"]:
        return str(params["dest"])
    if not incident:
        raise UsageError("keep: no incident is open here, so say with 'dest' where")
    return os.path.join(incident, "evidence")
