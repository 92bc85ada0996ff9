# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``evidence``: what the investigation of a crash needs, copied once, with a manifest that proves it.

Source: seed-faults A3 to A5 and B4, B5. The folder of a host is made once and closed by its manifest; nothing in it is
ever written again. Whatever does not fit it (a first attempt that was cut short, another question, a copy that somebody
altered) leads to a folder of its own beside it, ``attempt-2`` and so on.

One failing item does not fail the run: evidence comes second, money first. It fails where nothing at all was kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from ..arguments import HOST_TOOLS, require_positive
from ..deadline import Deadline
from ..errors import IncidentError, UnprovenError, UsageError
from ..evidence_cipher import Sealer, recipients
from ..evidence_manifest import ATTEMPT, Checked, check, facts_of, make_folder, sync_folder, write
from ..host_evidence import Asked, Collection, Item, Limits, Tools, collector, items, reason
from ..host_volatile import is_whole, persistence_items, volatile_items
from ..timestamps import utc_now
from . import Context, Params, Result, event

MIB = 1024 * 1024

ARGUMENT_SPEC: dict[str, Any] = {
    **HOST_TOOLS,
    "unit": {"type": "str"},
    "log_files": {"type": "list", "elements": "path", "default": []},
    "config_file": {"type": "path"},
    "version_command": {"type": "list", "elements": "str", "default": []},
    "core": {"type": "bool", "default": False},
    "volatile": {"type": "bool", "default": False},
    "volatile_timeout": {"type": "float", "default": 120.0},
    "paths": {"type": "list", "elements": "path", "default": []},
    "clock_offset": {"type": "float"},
    "signing_key": {"type": "path"},
    "encrypt_to": {"type": "list", "elements": "str", "default": []},
    "allowed_signers": {"type": "path"},
    "item_size_limit": {"type": "int", "default": 64 * MIB},
    "core_size_limit": {"type": "int", "default": 1024 * MIB},
    "total_size_limit": {"type": "int", "default": 2048 * MIB},
    "timeout": {"type": "float", "default": 60.0},
    "dest": {"type": "path"},
    "host": {"type": "str"},
    "host_dest": {"type": "path", "default": "/var/tmp"},  # noqa: S108  # a private folder is made in it
}
#: The fields of an item that a result shows; the manifest has them all.
SHOWN = ("name", "source", "size", "sha256", "truncated", "changed_while_read", "restricted", "error")


class Kept(NamedTuple):
    """A folder that its manifest closes, as it was found when it was read again."""

    folder: str
    facts: Mapping[str, Any]
    checked: Checked


def run(params: Params, context: Context) -> Result:
    """Copy everything into ``dest``/``host``, close it with a manifest, and read it again."""
    return keep(params, context.check, {})


def keep(params: Params, check_mode: bool, recorded: Mapping[str, str]) -> Result:
    """``recorded``: the manifests' hashes, by folder, that the journal knows. Raises IncidentError."""
    asked, limits, tools, place = given(params)
    before = finished(place, asked, recorded)
    if before:
        return described(before, place, recorded, changed=False)
    if check_mode:
        return _predicted(asked, tools, limits, place, Deadline(params["timeout"]))
    folder = fresh_folder(place)
    limits = limits._replace(total=min(limits.total, _room(folder)))
    first = Deadline(params["volatile_timeout"])
    seal = Sealer(asked.encrypt_to).seal if asked.encrypt_to else None
    collection = Collection(folder, limits, first, params["clock_offset"], seal)
    started_at = utc_now()
    for item in volatile_items(params["clock_offset"]) if asked.volatile else ():
        collection.keep(item)
    collection.deadline = Deadline(params["timeout"])
    for item in _lasting(asked, tools, limits, collection.deadline):
        collection.keep(item)
    if not collection.hashes:
        raise IncidentError(
            f"nothing could be kept of {params['host'] or 'this host'}: {'; '.join(_missing(collection.rows))}"
        )
    facts = {
        "host": os.path.basename(place),
        "encrypted_to": list(asked.encrypt_to),
        "node": os.uname().nodename,
        "collector": collector(),
        "started_at": started_at,
        "ended_at": utc_now(),
        "asked": plain(asked),
        "clock_offset_s": params["clock_offset"],
        "volatile": asked.volatile and is_whole(collection.rows),
        "missing": _missing(collection.rows),
        "items": collection.rows,
    }
    try:
        written = write(folder, facts, collection.hashes)
    except OSError as error:
        raise IncidentError(f"{folder}: the manifest cannot be written: {reason(error)}") from None
    return described(proven(folder, written), place, recorded, changed=True)


def finished(place: str, asked: Asked, recorded: Mapping[str, str]) -> Kept | None:
    """What was kept before for the same question and is as it was put there, also by what the journal says of it."""
    for folder in _attempts(place):
        facts = facts_of(folder)
        if facts.get("asked") == plain(asked):
            kept = Kept(folder, facts, check(folder))
            if kept.checked.intact and recorded.get(folder, kept.checked.sha256) == kept.checked.sha256:
                return kept
    return None


def fresh_folder(place: str) -> str:
    """A new folder for the owner only: the first is ``place`` itself. Raises UsageError."""
    try:
        make_folder(os.path.dirname(place))
        n = 1
        while True:
            folder = place if n == 1 else os.path.join(place, f"attempt-{n}")
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                n += 1
            else:
                sync_folder(os.path.dirname(folder))
                return folder
    except OSError as error:
        raise UsageError(f"no place for the evidence: {place}: {reason(error)}") from None


def proven(folder: str, manifest_sha256: str) -> Kept:
    """The folder read again from disk. Raises UnprovenError where it is not what was written."""
    kept = Kept(folder, facts_of(folder), check(folder))
    if not kept.checked.intact or kept.checked.sha256 != manifest_sha256:
        faults = kept.checked.faults or ("its manifest is another one",)
        raise UnprovenError(f"{folder}: what was kept is not what was read: {'; '.join(faults[:3])}")
    return kept


def described(kept: Kept, place: str, recorded: Mapping[str, str], *, changed: bool) -> Result:
    """The result for a folder of evidence."""
    rows = kept.facts.get("items", ())
    shown = [{field: row.get(field) for field in SHOWN} for row in rows]
    count = sum(row["sha256"] is not None for row in rows)
    missing = list(kept.facts.get("missing", ()))
    size = sum(row["size"] for row in rows)
    told = {
        "host": kept.facts.get("host"),
        "folder": kept.folder,
        "items": count,
        "bytes": size,
        "manifest_sha256": kept.checked.sha256,
        "volatile": bool(kept.facts.get("volatile")),
        "missing": missing,
    }
    state = f"{count} items, {size} bytes in {kept.folder}"
    result: Result = {
        "changed": changed,
        "msg": ("kept " if changed else "kept before: ") + state + _but(missing),
        **told,
        "items": shown,
        "complete": not missing,
        "diff": {"before": {} if changed else _names(shown), "after": _names(shown)},
        "record": [event("evidence.kept", told)],
    }
    doubtful = [folder for folder in _attempts(place) if folder != kept.folder and _spoiled(folder, recorded)]
    if doubtful:
        result["altered"] = doubtful
        result["msg"] += f"; ALTERED since it was kept: {', '.join(doubtful)}"
    return result


def given(params: Params) -> tuple[Asked, Limits, Tools, str]:
    """What is asked for, with which limits and tools, and the host's folder. Raises UsageError."""
    require_positive(params, "item_size_limit", "core_size_limit", "total_size_limit", "timeout", "volatile_timeout")
    if not params["dest"]:
        raise UsageError("no incident is open here, so nobody knows where to keep it: give dest")
    limits = Limits(params["item_size_limit"], params["core_size_limit"], params["total_size_limit"])
    tools = Tools(params["systemctl"], params["journalctl"], params["coredumpctl"])
    return _asked_of(params), limits, tools, place_of(params["dest"], params["host"] or os.uname().nodename)


def place_of(dest: str, host: str) -> str:
    """The folder of a host; two hosts never share one, whatever their names are."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", host)[:100].lstrip(".") or "_"
    plain = name if name == host else f"{name}-{hashlib.sha256(host.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return os.path.join(os.path.abspath(dest), plain)


def _asked_of(params: Params) -> Asked:
    """What the arguments ask for. Raises UsageError where that is nothing."""
    asked = Asked(
        unit=params["unit"] or None,
        log_files=tuple(params["log_files"]),
        config_file=params["config_file"] or None,
        version_command=tuple(params["version_command"]),
        core=params["core"],
        volatile=params["volatile"],
        paths=tuple(params["paths"]),
        encrypt_to=recipients(params["encrypt_to"]),
    )
    if not any((asked.unit, asked.log_files, asked.config_file, asked.version_command, asked.volatile, asked.paths)):
        raise UsageError("nothing is to be kept: give unit, log_files, config_file, version_command, paths or volatile")
    if asked.core and not asked.unit:
        raise UsageError("core: the unit is needed to find its core dump")
    if asked.unit and asked.unit.startswith("-"):
        raise UsageError(f"unit: {asked.unit!r} is no name of a unit")
    return asked


def _predicted(asked: Asked, tools: Tools, limits: Limits, place: str, deadline: Deadline) -> Result:
    planned = chain(volatile_items(None) if asked.volatile else (), _lasting(asked, tools, limits, deadline))
    shown: list[dict[str, Any]] = [
        {**dict.fromkeys(SHOWN), "name": item.name, "source": item.source, "size": item.size} for item in planned
    ]
    return {
        "changed": True,
        "msg": f"would keep {len(shown)} items in {place}",
        "host": os.path.basename(place),
        "folder": place,
        "items": shown,
        "diff": {"before": {}, "after": _names(shown)},
    }


def _lasting(asked: Asked, tools: Tools, limits: Limits, deadline: Deadline) -> Iterator[Item]:
    """What is on the disk, once what is not is kept."""
    yield from items(asked, tools, limits, deadline)
    if asked.volatile:
        yield from persistence_items(tools.systemctl)


def plain(asked: Asked) -> dict[str, Any]:
    """As JSON gives it back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asked._asdict().items()}


def _missing(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['source']}: {row['error']}" for row in rows if row["error"] and not row["optional"]]


def _but(missing: list[str]) -> str:
    return f"; NOT COMPLETE: {'; '.join(missing)}" if missing else ""


def _names(shown: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["name"]: row["source"] for row in shown if not row["error"]}


def _attempts(place: str) -> Iterator[str]:
    """Every folder that a collection was begun in, the first first."""
    if not os.path.isdir(place) or os.path.islink(place):
        return
    yield place
    names = [name for name in os.listdir(place) if ATTEMPT.fullmatch(name)]
    yield from (os.path.join(place, name) for name in sorted(names, key=lambda name: int(name.partition("-")[2])))


def _spoiled(folder: str, recorded: Mapping[str, str]) -> bool:
    """Closed once by a manifest that it does not fit any more, or by another one than the journal knows."""
    found = check(folder)
    known = recorded.get(folder, found.sha256)
    return bool(known) and (not found.intact or found.sha256 != known)


def _room(folder: str) -> int:
    """Half of what is free there: the journal of the incident is on the same disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize // 2
