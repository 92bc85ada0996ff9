# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an isolated host may still do, as rules: pure.

Loopback, and answers from its SSH ports to the responders; nothing else, in either family and for what it forwards. In
nftables a drop is final in whichever chain it is met, so nothing that other tables accept can open a hole, and to
delete the one table is to undo it all.

Source: seed-faults A1; nft(8), "Address families" (inet), "Chains" (policy), ss(8), "STATE-FILTER" and "EXPRESSION".
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Union

from .errors import UsageError

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

#: The widest network that can be meant by responders; what is wider is most likely a slip.
WIDEST = {4: 8, 6: 16}
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,30}")


class Destination(NamedTuple):
    """Where an isolated host must not get."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


class Kept(NamedTuple):
    """Whom the host still answers, and on which of its ports."""

    responders: tuple[Network, ...]
    ssh_ports: tuple[int, ...]

    def covers(self, address: Address, port: int) -> bool:
        return port in self.ssh_ports and self.knows(address)

    def knows(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.responders)


class Ruleset(NamedTuple):
    """The one table. ``digest`` is how two runs know that they want the same."""

    table: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def transaction(self) -> str:
        """What nft takes at once: safe where the table is not there, and where it is another one."""
        return f"table inet {self.table} {{ }}\ndelete table inet {self.table}\n{self.text}"


# What people write ----------------------------------------------------------------------------------------------------


def table_name(value: str) -> str:
    """Raises UsageError for what is no name of a table."""
    if not _TABLE.fullmatch(value):
        raise UsageError(f"table: {value!r} is not the name of a table (letters, digits and _)")
    return value


def ports(values: Iterable[int], option: str) -> tuple[int, ...]:
    """Raises UsageError for what is no port."""
    found = tuple(sorted(set(values)))
    for port in found:
        if not 0 < port < 65536:
            raise UsageError(f"{option}: {port} is not a port (1 to 65535)")
    return found


def responders(values: Iterable[Any]) -> tuple[Network, ...]:
    """As few networks as say the same. Raises UsageError for what cannot be a responder, naming it."""
    found = [_responder(str(value)) for value in values]
    if not found:
        raise UsageError("responders: nobody could reach the host any more; give the jumphost's own address at least")
    networks: list[Network] = []
    networks += ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv4Network))
    networks += ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv6Network))
    for network in networks:  # several together may be as wide as one that was refused
        _require_narrow(network)
    return tuple(networks)


def refuse_own(networks: Iterable[Network], own: Iterable[Address]) -> None:
    """Raises UsageError for a responder that is the host itself; a network that the host is in is none."""
    mistaken = {ipaddress.ip_network(address) for address in own} & set(networks)
    if mistaken:
        raise UsageError(f"responders: {min(map(_shown, mistaken))} is this host's own address")


def destination(value: str) -> Destination:
    """``192.0.2.1:443`` or ``[2001:db8::1]:443``. Raises UsageError for anything else: the host's DNS is closed, so a
    name that it cannot resolve would prove nothing."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"forbidden: {value!r} is not an address and a port, as in 192.0.2.1:443 or [2001:db8::1]:443")
    bracketed = host.startswith("[") and host.endswith("]")
    address = _address(host[1:-1] if bracketed else host, "forbidden", value)
    if (address.version == 6) != bracketed:
        raise UsageError(f"forbidden: {value!r}: an IPv6 address goes into brackets, an IPv4 address does not")
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        raise UsageError(f"forbidden: {value!r} is not another host's address")
    return Destination(address, int(port))


def destinations(values: Iterable[Any]) -> tuple[Destination, ...]:
    """Raises UsageError where that is none: an isolation that is not tried out is not proven."""
    found = tuple(destination(str(value)) for value in values)
    if not found:
        raise UsageError("forbidden: give one destination at least that must be out of reach, such as an exchange's")
    return found


def refuse_own_destinations(found: Iterable[Destination], own: Iterable[Address]) -> None:
    """Raises UsageError for one of the host's own, which stays in reach over loopback."""
    mine = set(own)
    for one in found:
        if one.address in mine:
            raise UsageError(f"forbidden: {one} is this host's own address, which it keeps")


def plain_address(text: str) -> Address | None:
    """An address as a system shows it: without the zone, and an IPv4 address as one; None where it is none."""
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _responder(value: str) -> Network:
    network_text = value.strip()
    if "%" in network_text:
        raise UsageError(f"responders: {value!r}: give the address without a zone")
    try:
        network = ipaddress.ip_network(network_text)
    except ValueError as error:
        raise UsageError(f"responders: {_why_no_network(network_text, error)}") from None
    # Before the rest: a network as wide as that contains them all.
    _require_narrow(network)
    for wrong, what in (
        (network.is_multicast, "a multicast address"),
        (network.is_loopback, "loopback, which is kept anyway"),
        (network.is_unspecified, "no host's address"),
        (network == ipaddress.ip_network("255.255.255.255"), "the broadcast address"),
        (isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped, "IPv4: write it as such"),
    ):
        if wrong:
            raise UsageError(f"responders: {value!r} is {what}")
    return network


def _why_no_network(text: str, error: ValueError) -> str:
    if "host bits" in str(error):
        return f"{text!r} has host bits set; did you mean {ipaddress.ip_network(text, strict=False)}?"
    return f"{text!r} is not an address or a network (a name cannot be used: the host's DNS is closed)"


def _require_narrow(network: Network) -> None:
    if network.prefixlen < WIDEST[network.version]:
        raise UsageError(
            f"responders: {network} is wider than /{WIDEST[network.version]}; that would let in more than responders"
        )


def _address(text: str, option: str, value: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(
            f"{option}: {value!r} has no address but {text!r} (a name proves nothing: the host's DNS is closed)"
        ) from None


# What nft takes -------------------------------------------------------------------------------------------------------


def ruleset(table: str, kept: Kept) -> Ruleset:
    """The table that isolates.

    Answers are known by what they are (TCP from an SSH port, but no first packet of a connection), not by connection
    tracking: that may be full, flushed, or new to a session that was there before.
    """
    families = [(version, family) for version, family in ((4, "ip"), (6, "ip6")) if _of(kept, version)]
    served = f"{{ {', '.join(map(str, kept.ssh_ports))} }}"
    lines = [f"table inet {table} {{"]
    for version, family in families:
        elements = ", ".join(map(_shown, _of(kept, version)))
        lines += [
            f"  set responders{version} {{",
            f"    type {'ipv4' if family == 'ip' else 'ipv6'}_addr; flags interval",
            f"    elements = {{ {elements} }}",
            "  }",
        ]
    lines += [
        "  chain ir_in {",
        "    type filter hook input priority -10; policy drop;",
        '    iif "lo" accept',
        *(f"    {family} saddr @responders{version} tcp dport {served} accept" for version, family in families),
        "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept",
        '    limit rate 5/second log prefix "IR-ISO-IN "',
        "    counter drop",
        "  }",
        "  chain ir_out {",
        "    type filter hook output priority -10; policy drop;",
        '    oif "lo" accept',
        *(
            f"    {family} daddr @responders{version} tcp sport {served} tcp flags & (syn | ack) != syn accept"
            for version, family in families
        ),
        "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        '    limit rate 5/second log prefix "IR-ISO-OUT "',
        "    counter drop",
        "  }",
        "  chain ir_fwd {",
        "    type filter hook forward priority -10; policy drop;",
        '    limit rate 5/second log prefix "IR-ISO-FWD "',
        "    counter drop",
        "  }",
        "}",
    ]
    return Ruleset(table, "\n".join(lines) + "\n")


def _of(kept: Kept, version: int) -> list[Network]:
    return [network for network in kept.responders if network.version == version]


def _shown(network: Network) -> str:
    """A single address as one, as people write it and nft lists it."""
    return str(network.network_address) if network.num_addresses == 1 else str(network)


# What ss takes --------------------------------------------------------------------------------------------------------


def foreign_sockets(kept: Kept, own: Sequence[Address]) -> str:
    """The filter for every connection that the table cuts: not to this host itself, and not a responder's session."""
    mine = " or ".join(["dst 127.0.0.0/8", "dst [::1]", *(f"dst {_peer(ipaddress.ip_network(one))}" for one in own)])
    served = " or ".join(f"sport = :{port}" for port in kept.ssh_ports)
    answered = " or ".join(f"dst {_peer(network)}" for network in kept.responders)
    session = f" and not ( ( {served} ) and ( {answered} ) )" if served and answered else ""
    return f"not ( {mine} ){session}"


def _peer(network: Network) -> str:
    return f"[{_shown(network)}]" if network.version == 6 else _shown(network)
