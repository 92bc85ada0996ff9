# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""nftables of this host, one table at a time, through ``nft``; its words become ours where somebody can mend it."""

from __future__ import annotations

from .deadline import Deadline
from .errors import UnprovenError, UsageError
from .host_command import CANNOT_START, MISSING, Ran, located, run
from .isolation_rules import Ruleset


class NftMissing(UsageError):
    """There is no nft on this host."""


#: The longest that nft may take (s): it only talks to the kernel.
NFT_S = 10.0


def listing(table: str, deadline: Deadline) -> str | None:
    """The table as the kernel has it, without its counters; None where there is none. Raises UsageError where nft is
    missing or not allowed, UnprovenError where nobody can say."""
    ran = _nft(["-s", "list", "table", "inet", table], deadline)
    if ran.ok:
        return ran.out
    if "No such file or directory" in ran.err:
        return None
    raise UnprovenError(f"whether table inet {table} is there is unknown: nft: {ran.complaint}")


def check(ruleset: Ruleset, deadline: Deadline) -> None:
    """Raises UsageError where this host's nft or kernel would not take it. Changes nothing."""
    ran = _nft(["-c", "-f", "-"], deadline, ruleset.transaction)
    if not ran.ok:
        raise UsageError(f"this host does not take the rules: nft: {_first_line(ran)}")


def apply(ruleset: Ruleset, deadline: Deadline) -> None:
    """All of it or nothing. Raises UnprovenError where nft does not say that it did."""
    ran = _nft(["-f", "-"], deadline, ruleset.transaction)
    if not ran.ok:
        raise UnprovenError(f"table inet {ruleset.table} was not applied: nft: {_first_line(ran)}")


def delete(table: str, deadline: Deadline) -> None:
    """Raises UnprovenError where it is still there."""
    ran = _nft(["delete", "table", "inet", table], deadline)
    if listing(table, deadline) is not None:
        raise UnprovenError(f"table inet {table} is still there: nft: {_first_line(ran)}")


def _nft(arguments: list[str], deadline: Deadline, text: str = "") -> Ran:
    ran = run([located("nft"), *arguments], timeout=max(0.1, min(NFT_S, deadline.remaining())), stdin=text.encode())
    if ran.problem and ran.rc in (MISSING, CANNOT_START):
        raise NftMissing(f"{ran.problem}: the host cannot be isolated without nftables (`apt install nftables`)")
    if not ran.ok and ("Operation not permitted" in ran.err or "must be root" in ran.err):
        raise UsageError("nft: not permitted: only root may isolate a host (`become: true`)")
    return ran


def _first_line(ran: Ran) -> str:
    """nft says what is wrong first, and shows the line after it."""
    lines = [line for line in (ran.err or ran.out).splitlines() if line.strip()]
    return " ".join(lines[0].split())[:300] if lines and not ran.problem else ran.complaint
