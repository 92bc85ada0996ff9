# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One look at the accounts of all venues: what was read, what of it is a finding, and what nobody can say. Shared by
``venue_account_info`` and ``api_key_info``."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from .account_evidence import keep_accounts, require_place
from .account_reading import PARTS, NotThere, Seen, read_accounts
from .account_review import (
    ApprovedKey,
    Finding,
    Yardstick,
    approved_keys,
    missing_keys,
    not_judged,
    review_addresses,
    review_keys,
    review_logins,
    review_orders,
    review_withdrawals,
)
from .arguments import chosen_venues, require_positive
from .audit_accounts import networks
from .audit_findings import SEVERITIES, SUSPICIOUS, worst
from .deadline import Deadline
from .errors import IncidentError, UnprovenError, UsageError
from .http_client import at_once
from .reading import Answer, answers
from .secret_ref import is_reference, resolve
from .secret_stores import open_store
from .secret_stores.api import NEXT, PREVIOUS, SecretStore
from .settings import SettingsError, VenueEntry
from .steps import event
from .timestamps import iso_of_ms, moment
from .venues.accounts import ACCOUNTS, account_class
from .venues.accounts.api import ApiKey
from .venues.api import OpenOrder

LOOKED_AT, FINDING = "account.looked_at", "account.finding"
WINDOW_MS = 7 * 86_400_000
#: So many findings of one kind are told for each venue; one more says how many there are.
PER_KIND = 50

#: Options that say what is ours; each from the inventory where a task leaves it out.
YARDSTICKS: dict[str, Any] = {
    "keys": {"type": "list", "elements": "dict", "default": [], "no_log": False},
    "secret_store": {"type": "dict", "default": {}, "no_log": False},
    "withdrawal_addresses": {"type": "list", "elements": "str", "default": []},
    "known_networks": {"type": "list", "elements": "str"},
    "client_id_pattern": {"type": "str"},
}


def yardstick(params: Mapping[str, Any], entries: Sequence[VenueEntry], now_ms: int) -> Yardstick:
    """What of the options says what is ours; raises UsageError for what means nothing."""
    pattern = params.get("client_id_pattern")
    try:
        client_id = re.compile(pattern) if pattern else None
    except re.error as error:
        raise UsageError(f"client_id_pattern: {pattern!r} is no regular expression: {error}") from None
    chosen = {entry.name for entry in entries}
    return Yardstick(
        keys=tuple(key for key in approved_keys(params["keys"]) if key.venue in chosen),
        addresses=frozenset(params.get("withdrawal_addresses") or ()),
        networks=networks("known_networks", params.get("known_networks") or ()),
        client_id=client_id,
        since_ms=_since_ms(params.get("since"), now_ms),
    )


def look(
    params: Mapping[str, Any], parts: Sequence[str] = PARTS, killed: Mapping[str, Sequence[OpenOrder]] | None = None
) -> dict[str, Any]:
    """The result's fields; ``killed``: by venue, orders that the response has cancelled, which nobody else can show any
    more. Raises UsageError before anything is asked."""
    require_positive(params, "timeout")
    require_place(params)
    entries = chosen_venues(params)
    known = yardstick(params, entries, int(time.time() * 1000))
    store = open_store(params["secret_store"]) if params["secret_store"] else None
    reads: list[Callable[[], Any]] = [
        partial(read_accounts, entries, parts, known.since_ms, params["timeout"]),
        partial(read_ids, known.keys, store, params["timeout"]),
    ]
    seen, ids = at_once(reads)
    unread = unread_keys(known.keys, ids)
    known = known._replace(keys=with_ids(known.keys, ids))
    gone = killed or {}
    findings = _bounded(
        finding for one in seen.values() for finding in _review(one, known, gone.get(one.entry.name, ()))
    )
    unknown = [row for one in seen.values() for row in _unknown(one)] + unread
    return {
        "since": iso_of_ms(known.since_ms),
        "findings": [finding._asdict() for finding in findings],
        "counts": {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES},
        "worst": worst(finding.severity for finding in findings),
        "unknown": unknown,
        "not_offered": [row for one in seen.values() for row in _not_offered(one)],
        "not_judged": not_judged(known, parts),
        "known": not unknown,
        "accounts": [_account(one, parts) for one in seen.values()],
    }


def told(params: Mapping[str, Any], looked: Mapping[str, Any], started_at: str, *, check: bool) -> dict[str, Any]:
    """The module's result: what was seen, kept as evidence where that is asked for, and the events of both.

    What could not be kept fails the task, and what was seen is in its result all the same.
    """
    result: dict[str, Any] = {"msg": sentence(looked), **looked, "kept": [], "not_kept": []}
    record = record_of(looked)
    if params["keep"] and not check:
        result |= keep_accounts(params, looked, started_at)
        record += [("evidence.kept", data) for data in result["kept"]]
        if result["not_kept"]:
            result["msg"] += f"; NOT KEPT: {'; '.join(result['not_kept'])}"
            result |= {"failed": True, "outcome": UnprovenError.outcome}
    would_keep = params["keep"] and check
    return {
        **result,
        "changed": bool(result["kept"]) or would_keep,
        "record": [event(kind, data) for kind, data in record],
    }


def record_of(looked: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What the journal gets: that was looked at, and each finding."""
    sizes = {
        account["name"]: {part: None if rows is None else len(rows) for part, rows in account["parts"].items()}
        for account in looked["accounts"]
    }
    summary = {field: looked[field] for field in ("since", "counts", "unknown", "not_judged") if field in looked}
    not_offered = [{field: row[field] for field in ("venue", "part")} for row in looked["not_offered"]]
    told = [(FINDING, dict(finding)) for finding in looked["findings"]]
    return [(LOOKED_AT, {**summary, "not_offered": not_offered, "venues": sizes}), *told]


def sentence(looked: Mapping[str, Any]) -> str:
    """One line for a person: the worst first, and what nobody can say."""
    counts = [f"{count} {severity}" for severity, count in reversed(looked["counts"].items()) if count]
    told = [f"findings: {', '.join(counts) or 'none'}"]
    told += [f"{row['venue']}: {row['what']}" for row in looked["findings"] if row["severity"] == SEVERITIES[-1]]
    if looked["unknown"]:
        told.append("UNKNOWN: " + ", ".join(_places(looked["unknown"])))
    if looked["not_offered"]:
        told.append("no API, a person has to look: " + ", ".join(_places(looked["not_offered"])))
    if looked["not_judged"]:
        told.append("not judged: " + ", ".join(row["part"] for row in looked["not_judged"]))
    return "; ".join(told)


def read_ids(keys: Sequence[ApprovedKey], store: SecretStore | None, timeout: float) -> dict[str, Answer[list[str]]]:
    """Where an id is (a reference, or a slot) → the ids there: in a slot, of the key that is in use, of the one that is
    to take its place, and of the one that is being revoked."""

    def ids(place: str) -> list[str]:
        if is_reference(place):
            return [resolve(place, "key_id").reveal()]
        if store is None:
            raise SettingsError(f"slot '{place}': there is no secret store (hft_secret_store)")
        try:
            kept = [store.read(place + suffix) for suffix in ("", NEXT, PREVIOUS)]
        except IncidentError as error:
            raise SettingsError(str(error)) from None
        return [key.id for key in kept if key is not None]

    places = dict.fromkeys(place for place in map(_place, keys) if place)
    return answers({place: partial(ids, place) for place in places}, Deadline(timeout))


def _place(key: ApprovedKey) -> str:
    """Where the key's id is; "" where the entry has it, or does not say."""
    if key.key_id:
        return key.key_id if is_reference(key.key_id) else ""
    return key.slot or ""


def with_ids(keys: Sequence[ApprovedKey], found: Mapping[str, Answer[list[str]]]) -> tuple[ApprovedKey, ...]:
    """Each key with its id; where there are several, the entry stands for all of them."""
    told: list[ApprovedKey] = []
    for key in keys:
        place = _place(key)
        if place:
            ids: Sequence[str | None] = found[place].value or [None]
            told += [key._replace(key_id=key_id) for key_id in ids]
        else:
            told.append(key)
    return tuple(told)


def unread_keys(keys: Sequence[ApprovedKey], found: Mapping[str, Answer[list[str]]]) -> list[dict[str, Any]]:
    """Keys of ours whose ids nobody could say: they will look like somebody else's."""
    rows = []
    for key in keys:
        answer = found.get(_place(key))
        if answer is not None and answer.error is not None:
            error = f"the id of {key.name} is not known: {answer.error}"
            rows.append({"venue": key.venue, "part": "keys", "error": error, "kind": answer.kind})
    return rows


def _places(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    by_venue: dict[str, list[str]] = {}
    for row in rows:
        parts = by_venue.setdefault(row["venue"], [])
        if row["part"] not in parts:
            parts.append(row["part"])
    return [f"{venue} ({', '.join(parts)})" for venue, parts in by_venue.items()]


def _since_ms(given: str | None, now_ms: int) -> int:
    if given is None:
        return now_ms - WINDOW_MS
    try:
        parsed = moment(given)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise UsageError(f"since: {given!r} is no time with a zone; it is written 2026-11-20T00:00:00Z")
    if parsed.timestamp() * 1000 > now_ms:
        raise UsageError(f"since: {given} has not come yet")
    return int(parsed.timestamp() * 1000)


def _review(seen: Seen, known: Yardstick, killed: Sequence[OpenOrder]) -> list[Finding]:
    venue = seen.entry.name
    reviews: dict[str, Callable[[Any], list[Finding]]] = {
        "withdrawals": lambda rows: review_withdrawals(venue, rows, known),
        "addresses": lambda rows: review_addresses(venue, rows, known),
        "logins": lambda rows: review_logins(venue, rows, known),
        "orders": lambda rows: review_orders(venue, rows, known),
    }
    keys = _keys(seen)
    found = review_keys(venue, keys, seen.ours, known)
    if seen.value("keys") is not None and not account_class(seen.entry.driver).keys_not_listed:
        found += missing_keys(venue, keys, known)
    for part, review in reviews.items():
        rows = seen.value(part)
        if rows is not None:
            found += review(rows)
    return found + review_orders(venue, killed, known, state="cancelled")


def _keys(seen: Seen) -> list[ApiKey]:
    """Listed by the venue, and what each of ours says of itself; once each, the listing first, since it tells more."""
    found: dict[str, ApiKey] = {}
    for part in ("keys", "own_keys"):
        for key in seen.value(part) or ():
            found.setdefault(key.id, key)
    return list(found.values())


def _bounded(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; of what an intruder can make plenty of, some, and how many there are."""
    told, seen = [], Counter[tuple[str, str, str]]()
    for finding in findings:
        kind = (finding.venue, finding.kind, finding.severity)
        seen[kind] += 1
        if seen[kind] <= PER_KIND:
            told.append(finding)
    told += [
        Finding(venue, "more", SUSPICIOUS, f"{count - PER_KIND} more of {kind} ({severity}) are not listed")
        for (venue, kind, severity), count in seen.items()
        if count > PER_KIND
    ]
    return sorted(told, key=lambda finding: -SEVERITIES.index(finding.severity))


def _unknown(seen: Seen) -> list[dict[str, Any]]:
    return [
        {"venue": seen.entry.name, "part": part, "error": answer.error, "kind": answer.kind}
        for part, answer in seen.parts.items()
        if answer.error is not None
    ]


def _not_offered(seen: Seen) -> list[dict[str, Any]]:
    """What the venue has no API for, with the steps for a person; and what its listing of keys leaves out."""
    rows = []
    for part, answer in seen.parts.items():
        if isinstance(answer.value, NotThere):
            rows.append((part, answer.value.what, answer.value.steps))
        elif part == "keys" and answer.error is None and seen.entry.driver in ACCOUNTS:
            left_out = account_class(seen.entry.driver)
            if left_out.keys_not_listed:
                what = f"{seen.entry.driver} has no API to list {left_out.keys_not_listed}"
                rows.append((part, what, left_out.steps_to_look.get("keys", ())))
    return [{"venue": seen.entry.name, "part": part, "what": what, "steps": list(steps)} for part, what, steps in rows]


def _account(seen: Seen, parts: Sequence[str]) -> dict[str, Any]:
    """The account as it was read, without a secret: what is kept as evidence. None: not known, or not offered."""
    documents = {part: seen.value(part) for part in parts}
    return {
        "name": seen.entry.name,
        "driver": seen.entry.driver,
        "parts": {
            part: None if rows is None else [_plain(row._asdict()) for row in rows] for part, rows in documents.items()
        },
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """In types that JSON has, or that the record makes so."""
    return {
        name: sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value
        for name, value in row.items()
    }
