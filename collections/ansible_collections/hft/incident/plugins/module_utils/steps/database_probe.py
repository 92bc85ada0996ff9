# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``database_probe``: does the trading system's database take a write, and if not, in which way?

Source: seed-faults B6; issue section 5 (verified by a write probe and not only by ``SELECT 1``). A database that does
not is data, unless the playbook requires it; then the run is held, with the mend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arguments import require_positive
from ..database_probe import ANSWERS, NAME, Finding, Target, examine
from ..errors import HeldError, UsageError
from ..secret_ref import Secret, SecretError, is_reference, resolve
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    "database": {"type": "dict", "required": True},
    "require": {"type": "str", "choices": ["none", "answers", "writable"], "default": "none"},
    "table": {"type": "str", "default": "hft_incident_probe"},
    "timeout": {"type": "float", "default": 10.0},
}
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
DEFAULTS: Mapping[str, Any] = {"port": 5432, "sslmode": "prefer", "sslrootcert": None, "connect_timeout": 3}
FIELDS = ("host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "connect_timeout")
ENOUGH: Mapping[str, tuple[str, ...]] = {"answers": ANSWERS, "writable": ("writable",)}
#: What the person on call does about it.
MENDS = {
    "read_only": "take back default_transaction_read_only (of the server, the database or the role)",
    "standby": "promote it, or give the address of the primary",
    "disk_full": "free space on the disks of its data and its WAL",
    "unreachable": "start it, or mend the way to it",
    "refused": "mend the role, its password, its rights or pg_hba.conf",
    "unknown": "look into its log and at its sessions, and be sure that it takes writes",
}


def run(params: Params, context: Context) -> Result:
    """Probe it: with a write, in check mode by reading only."""
    require_positive(params, "timeout")
    if not NAME.fullmatch(params["table"]):
        raise UsageError(f"table: {params['table']!r} is not TABLE or SCHEMA.TABLE of letters, digits and _ (40 each)")
    target, password = _target(params["database"])
    finding = examine(target, password, params["table"], params["timeout"], write=not context.check)
    return _described(finding, target, params["require"], check=context.check)


def _target(database: Mapping[str, Any]) -> tuple[Target, Secret | None]:
    """Raises UsageError naming the field, never its value where it may be a secret."""
    unknown = sorted(str(field) for field in set(database) - set(FIELDS))
    if unknown:
        raise UsageError(f"database: unknown field {', '.join(unknown)}; known are {', '.join(FIELDS)}")
    given = {**DEFAULTS, **{field: value for field, value in database.items() if value is not None}}
    for field in ("host", "dbname", "user"):
        if not isinstance(given.get(field), str) or not given[field]:
            raise UsageError(f"database.{field} is missing")
    if "," in given["host"]:
        raise UsageError("database.host: one host, since what is written at one must be read back at the same one")
    if given["sslmode"] not in SSL_MODES:
        raise UsageError(f"database.sslmode is one of {', '.join(SSL_MODES)}")
    numbers = {field: _whole(given[field], field) for field in ("port", "connect_timeout")}
    target = Target(
        given["host"], numbers["port"], given["dbname"], given["user"], given["sslmode"], given["sslrootcert"],
        numbers["connect_timeout"],
    )  # fmt: skip
    return target, _password(given.get("password"))


def _whole(value: Any, field: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if not 0 < number < 65536:
        raise UsageError(f"database.{field} must be a whole number from 1 to 65535")
    return number


def _password(reference: Any) -> Secret | None:
    if reference is None:
        return None
    if not isinstance(reference, str) or not is_reference(reference):
        raise UsageError("database.password must be a reference (env:NAME, file:PATH or cmd:COMMAND), not the password")
    try:
        return resolve(reference, "database.password")
    except SecretError as error:
        raise UsageError(str(error)) from None


def _described(finding: Finding, target: Target, require: str, *, check: bool) -> Result:
    facts = {
        "host": target.host,
        "port": target.port,
        "dbname": target.dbname,
        "user": target.user,
        **finding._asdict(),
    }
    where = f"database {target.dbname} at {target.host}:{target.port}"
    left = f"; LEFT BEHIND there: {finding.left_behind}, the next probe removes it" if finding.left_behind else ""
    result: Result = {
        "changed": finding.left_behind is not None,
        "msg": f"{where} {'would be' if check else 'is'} {finding.verdict}: {finding.reason}{left}",
        **facts,
        "diff": {"before": {}, "after": {"left_behind": finding.left_behind} if finding.left_behind else {}},
    }
    held = require in ENOUGH and finding.verdict not in ENOUGH[require]
    if check:
        return {**result, "would_hold": held}
    result["record"] = [event("database.probed", facts)]
    if held:
        mend = f"{MENDS[finding.verdict]}, then resume the incident"
        result |= {"failed": True, "outcome": HeldError.outcome, "msg": f"held: {result['msg']}; {mend}"}
    return result
