# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What of an account does not look like ours: keys, withdrawals, addresses, logins, orders. Pure rules, no I/O.

A rule without its yardstick (nobody has said which keys, networks, addresses or client ids are ours) is not judged, and
says so: that nothing was found must never mean that nothing was looked at.

Source: seed-faults A8.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from .api_keys.entries import network
from .audit_accounts import Network, within
from .audit_findings import ALARMING, INFO, SUSPICIOUS, line
from .errors import UsageError
from .timestamps import iso_of_ms
from .venues.accounts.api import Address, ApiKey, Login, Withdrawal
from .venues.api import OpenOrder

#: What a key is good for that only looks.
HARMLESS = frozenset({"read"})


class Finding(NamedTuple):
    """``kind``: for programs; ``what``: a sentence; ``detail``: more words, "" where there are none."""

    venue: str
    kind: str
    severity: str
    what: str
    detail: str = ""


class ApprovedKey(NamedTuple):
    """One entry of ``hft_api_keys``. None: it does not say; an empty ``ip_allow_list`` approves every address."""

    name: str
    venue: str
    key_id: str | None = None  #: the id, or a reference to it
    slot: str | None = None  #: of the secret store, where the id is
    permissions: frozenset[str] | None = None
    ip_allow_list: frozenset[str] | None = None


class Yardstick(NamedTuple):
    """What is ours. Empty or None: nobody has said."""

    keys: tuple[ApprovedKey, ...] = ()
    addresses: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    client_id: re.Pattern[str] | None = None
    since_ms: int = 0


def approved_keys(rows: object, source: str = "keys") -> tuple[ApprovedKey, ...]:
    """The entries of ``hft_api_keys``, whoever else reads other fields of them; raises UsageError."""
    if not isinstance(rows, (list, tuple)):
        raise UsageError(f"{source}: must be a list of entries with 'name' and 'venue'")
    return tuple(_approved_key(row, f"{source}: entry {number}") for number, row in enumerate(rows, 1))


def _approved_key(row: object, where: str) -> ApprovedKey:
    if not isinstance(row, Mapping) or not all(isinstance(row.get(field), str) for field in ("name", "venue")):
        raise UsageError(f"{where}: needs a 'name' and a 'venue'")
    where = f"{where} ({row['name']})"
    for field in ("permissions", "ip_allow_list"):
        if not isinstance(row.get(field, []), (list, tuple)):
            raise UsageError(f"{where}: '{field}' must be a list")
    for field in ("key_id", "slot"):
        if row.get(field) is not None and not isinstance(row[field], str):
            raise UsageError(f"{where}: '{field}' must be text")
    try:
        addresses = frozenset(network(str(text)) for text in row.get("ip_allow_list", ()))
    except ValueError as error:
        raise UsageError(f"{where}: ip_allow_list: {error}") from None
    return ApprovedKey(
        name=row["name"],
        venue=row["venue"],
        key_id=row.get("key_id"),
        slot=row.get("slot"),
        permissions=frozenset(map(str, row["permissions"])) if "permissions" in row else None,
        ip_allow_list=addresses if "ip_allow_list" in row else None,
    )


# Keys -----------------------------------------------------------------------------------------------------------------


def review_keys(venue: str, keys: Iterable[ApiKey], ours: Mapping[str, str], known: Yardstick) -> list[Finding]:
    """``ours``: ids that our own files use there → as what; such a key is known without an entry, if not approved."""
    approved = {entry.key_id: entry for entry in known.keys if entry.venue == venue and entry.key_id}
    found = []
    for key in keys:
        if key.id in approved:
            found += _beyond(venue, key, approved[key.id])
        elif key.id in ours:
            found += _unbound(venue, key, f"key {_named(key)} ({ours[key.id]})")
        else:
            found.append(_unknown_key(venue, key, known))
    return found


def missing_keys(venue: str, keys: Iterable[ApiKey], known: Yardstick) -> list[Finding]:
    """Approved keys that a complete listing does not have: whoever deletes ours stops our hand."""
    listed = {key.id for key in keys}
    ids: dict[str, set[str]] = {}
    for entry in known.keys:
        if entry.venue == venue and entry.key_id:
            ids.setdefault(entry.name, set()).add(entry.key_id)
    return [
        Finding(venue, "key_gone", SUSPICIOUS, line(f"the approved key {name} is not there any more"))
        for name, some in ids.items()
        if not some & listed
    ]


def _unknown_key(venue: str, key: ApiKey, known: Yardstick) -> Finding:
    rights = key.permissions
    told = bool(known.keys)
    harmless = rights is not None and rights <= HARMLESS
    severity = ALARMING if told and key.enabled and not harmless else SUSPICIOUS
    why = "is none of ours" if told else "may be anybody's: nobody has said which keys are ours (hft_api_keys)"
    return Finding(venue, "key_unknown", severity, line(f"key {_named(key)} {why}"), line(_described(key)))


def _beyond(venue: str, key: ApiKey, entry: ApprovedKey) -> list[Finding]:
    name, found = f"key {entry.name}", []
    if key.permissions is not None and entry.permissions is not None and key.permissions - entry.permissions:
        more = ", ".join(sorted(key.permissions - entry.permissions))
        what = f"{name} may {more}, which nobody approved"
        found.append(Finding(venue, "key_rights", ALARMING, line(what), line(_described(key))))
    if entry.ip_allow_list is None:
        return found + _unbound(venue, key, name)
    if key.ip_allow_list is None:
        if entry.ip_allow_list:
            what = f"{name} is bound to addresses that the venue does not tell"
            found.append(Finding(venue, "key_addresses", INFO, line(what)))
        return found
    if not entry.ip_allow_list:
        return found
    bound = {_network_or_text(text) for text in key.ip_allow_list}
    if not bound:
        what = f"{name} is good from every address, approved for {', '.join(sorted(entry.ip_allow_list))} only"
        found.append(Finding(venue, "key_addresses", ALARMING, line(what), line(_described(key))))
    elif bound - entry.ip_allow_list:
        what = f"{name} is good from {', '.join(sorted(bound - entry.ip_allow_list))}, which nobody approved"
        found.append(Finding(venue, "key_addresses", ALARMING, line(what), line(_described(key))))
    return found


def _unbound(venue: str, key: ApiKey, name: str) -> list[Finding]:
    if key.ip_allow_list == ():
        what = f"{name} is good from every address"
        return [Finding(venue, "key_addresses", SUSPICIOUS, line(what), line(_described(key)))]
    return []


def _network_or_text(text: str) -> str:
    try:
        return network(text)
    except ValueError:
        return text


def _named(key: ApiKey) -> str:
    return f"{key.id} '{key.label}'" if key.label else key.id


def _described(key: ApiKey) -> str:
    rights = "rights not told" if key.permissions is None else f"may {', '.join(sorted(key.permissions)) or 'nothing'}"
    if key.ip_allow_list is None:
        bound = "addresses not told"
    else:
        bound = f"from {', '.join(key.ip_allow_list) or 'every address'}"
    made = "" if key.created_ms is None else f", made {iso_of_ms(key.created_ms)}"
    return f"{rights}, {bound}{made}{'' if key.enabled else ', disabled'}{f', of {key.owner}' if key.owner else ''}"


# Money ----------------------------------------------------------------------------------------------------------------


def review_withdrawals(venue: str, withdrawals: Iterable[Withdrawal], known: Yardstick) -> list[Finding]:
    """What is on its way, whenever it was asked for, and what has gone since."""
    found = []
    for one in withdrawals:
        to_us = one.address in known.addresses
        if one.state == "pending":
            severity = SUSPICIOUS if to_us else ALARMING
            what = f"{_amount(one)} is on its way to {_whose(one.address, known)}"
            found.append(Finding(venue, "withdrawal_pending", severity, line(what), line(_asked(one))))
        elif one.state == "done" and one.at_ms >= known.since_ms:
            severity = INFO if to_us else ALARMING
            what = f"{_amount(one)} has gone to {_whose(one.address, known)}"
            found.append(Finding(venue, "withdrawal_done", severity, line(what), line(_asked(one))))
    return found


def review_addresses(venue: str, book: Iterable[Address], known: Yardstick) -> list[Finding]:
    """Entries that are new, and, where somebody has said which addresses are ours, those that are not."""
    found = []
    for entry in book:
        new = entry.added_ms is not None and entry.added_ms >= known.since_ms
        if entry.address in known.addresses or not (new or known.addresses):
            continue
        severity = ALARMING if new else SUSPICIOUS
        when = "when it was added is not told" if entry.added_ms is None else f"added {iso_of_ms(entry.added_ms)}"
        trust = {True: ", no further confirmation needed", False: ", to be confirmed", None: ""}[entry.trusted]
        what = f"{entry.asset} {entry.address} {'is new' if new else 'is none of ours and'} in the address book"
        label = f", '{entry.label}'" if entry.label else ""
        found.append(Finding(venue, "address_added", severity, line(what), line(f"{when}{trust}{label}")))
    return found


def _amount(one: Withdrawal) -> str:
    return f"{_plain(one.amount)} {one.asset}"


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whose(address: str, known: Yardstick) -> str:
    if address in known.addresses:
        return f"{address}, which is ours"
    return f"{address}, which is none of ours" if known.addresses else address


def _asked(one: Withdrawal) -> str:
    return f"withdrawal {one.id}, asked for {iso_of_ms(one.at_ms)}"


# Logins and orders ----------------------------------------------------------------------------------------------------


def review_logins(venue: str, logins: Iterable[Login], known: Yardstick) -> list[Finding]:
    """Logins from elsewhere, where somebody has said what is not; and every other act in the account's history."""
    found = []
    for one in logins:
        if one.at_ms < known.since_ms:
            continue
        foreign = bool(known.networks) and not within(one.ip, known.networks)
        when = f"{iso_of_ms(one.at_ms)}{f', {one.detail}' if one.detail else ''}"
        if one.event != "login":
            severity = ALARMING if foreign else SUSPICIOUS
            what = f"{one.event} from {one.ip}"
            found.append(Finding(venue, "account_changed", severity, line(what), line(when)))
        elif foreign:
            what = f"{'login' if one.ok else 'failed login'} from {one.ip}, where nobody of us is"
            severity = ALARMING if one.ok else SUSPICIOUS
            found.append(Finding(venue, "login_foreign", severity, line(what), line(when)))
    return found


def review_orders(venue: str, orders: Sequence[OpenOrder], known: Yardstick, state: str = "open") -> list[Finding]:
    """Orders that none of our systems has sent, by their client ids; one finding a client id."""
    if known.client_id is None:
        return []
    foreign: dict[str, list[OpenOrder]] = {}
    for order in orders:
        if not known.client_id.fullmatch(order.client_id):
            foreign.setdefault(order.client_id, []).append(order)
    found = []
    for client_id, some in foreign.items():
        whose = f"with the client id {client_id}" if client_id else "without a client id"
        what = f"{len(some)} {state} order{'s' if len(some) > 1 else ''} {whose}, as none of our systems sends them"
        shown = "; ".join(f"{o.side} {_plain(o.qty)} {o.symbol} ({o.id})" for o in some[:5])
        more = f"; {len(some) - 5} more" if len(some) > 5 else ""
        found.append(Finding(venue, "order_foreign", ALARMING, line(what), line(f"{shown}{more}")))
    return found


def not_judged(known: Yardstick, parts: Collection[str]) -> list[dict[str, Any]]:
    """What could not be held against anything, since nobody has said what is ours."""
    yardsticks = {
        "keys": (known.keys, "which keys are ours: hft_api_keys"),
        "withdrawals": (known.addresses, "which addresses are ours: hft_withdrawal_addresses"),
        "logins": (known.networks, "where we come from: hft_known_networks"),
        "orders": (known.client_id, "what our client ids look like: hft_client_id_pattern"),
    }
    return [
        {"part": part, "why": f"nobody has said {what}"}
        for part, (given, what) in yardsticks.items()
        if part in parts and not given
    ]
