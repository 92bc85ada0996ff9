# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an API told, kept as evidence beside that of the hosts: JSON documents in a folder closed by their manifest."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .errors import IncidentError
from .evidence_cipher import SUFFIX, Sealer
from .evidence_manifest import create, hash_of, make_folder, safe_name, sync, write
from .host_evidence import OURSELVES, collector, reason
from .steps.evidence import fresh_folder, place_of, proven
from .timestamps import utc_now


def keep_documents(
    dest: str,
    source: str,
    documents: Mapping[str, Any],
    *,
    started_at: str,
    missing: Sequence[str] = (),
    restricted: Collection[str] = (),
    encrypt_to: Sequence[str] = (),
) -> dict[str, Any]:
    """Keeps ``documents``, by name, as what ``source`` (a venue, say) told since ``started_at``; the data of their
    ``evidence.kept``, whose ``folder`` is as ``dest`` is. Nothing that was kept before is written over.

    ``missing``: what it did not tell, and why. ``restricted``: those that may hold secrets; with ``encrypt_to`` (age's
    public keys) they are stored encrypted. Raises UsageError, UnprovenError, IncidentError.
    """
    seal = Sealer(encrypt_to).seal if encrypt_to else None
    place = place_of(dest, source)
    folder = fresh_folder(place)
    rows: list[dict[str, Any]] = []
    try:
        for name, document in documents.items():
            plain = json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
            row: dict[str, Any] = {"name": f"{safe_name(name)}.json", "source": f"{source}: {name}", "tool": OURSELVES}
            path = os.path.join(folder, row["name"])
            make_folder(os.path.dirname(path))
            if seal and name in restricted:
                row["name"], path = row["name"] + SUFFIX, path + SUFFIX
                row["plain"] = {"size": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
            with create(path) as file:
                if seal and "plain" in row:
                    seal(io.BytesIO(plain), file)
                else:
                    file.write(plain)
                sync(file)
            row["sha256"], row["size"] = hash_of(path)
            told = {"optional": False, "restricted": name in restricted, "truncated": False, "error": None}
            times = {"changed_while_read": False, "started_at": started_at, "ended_at": utc_now()}
            rows.append({**row, **told, **times})
        facts = {
            "host": os.path.basename(place),
            "node": os.uname().nodename,
            "collector": collector(),
            "started_at": started_at,
            "ended_at": utc_now(),
            "encrypted_to": list(encrypt_to),
            "missing": list(missing),
            "items": rows,
        }
        written = write(folder, facts, {row["name"]: row["sha256"] for row in rows})
    except OSError as error:
        raise IncidentError(f"{folder}: {reason(error)}") from None
    proven(folder, written)
    return {
        "host": facts["host"],
        "folder": folder,
        "items": len(rows),
        "bytes": sum(row["size"] for row in rows),
        "manifest_sha256": written,
        "volatile": False,
        "missing": list(missing),
    }
