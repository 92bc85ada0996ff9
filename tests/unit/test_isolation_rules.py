# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who may be let in to an isolated host, what it must not reach, and the rules that say so."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.isolation_rules import (
    WIDEST,
    Kept,
    destination,
    destinations,
    foreign_sockets,
    plain_address,
    ports,
    refuse_own,
    responders,
    ruleset,
    table_name,
)

ADDRESSES = st.ip_addresses().filter(
    lambda one: not (one.is_multicast or one.is_loopback or one.is_unspecified or str(one) == "255.255.255.255")
).filter(lambda one: one.version == 4 or one.ipv4_mapped is None)  # fmt: skip


@st.composite
def networks(draw: st.DrawFn) -> str:
    """What may be written."""
    address = draw(ADDRESSES)
    length = draw(st.integers(WIDEST[address.version], address.max_prefixlen))
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    return draw(st.sampled_from([str(network), str(address)]))


def accepted(values: list[str]) -> bool:
    try:
        responders(values)
    except UsageError:
        return False
    return True


@given(st.lists(networks(), min_size=1, max_size=6))
def test_every_address_that_was_written_is_let_in_and_no_network_grows(values: list[str]) -> None:
    if not accepted(values):  # a network of multicast addresses and the like, or several that are too wide together
        return
    found = responders(values)
    kept = Kept(found, (22,))
    written = [ipaddress.ip_network(value) for value in values]
    for network in written:
        assert kept.covers(network[0], 22)
        assert kept.covers(network[-1], 22)
        assert not kept.covers(network[0], 443)
    assert sum(network.num_addresses for network in found) <= sum(network.num_addresses for network in written)
    assert all(network.prefixlen >= WIDEST[network.version] for network in found)
    assert responders(map(str, found)) == found, "and they can be read back"


@given(st.text(max_size=40))
def test_whatever_is_no_address_is_refused_in_one_line(text: str) -> None:
    if accepted([text]):
        assert responders([text]) == (ipaddress.ip_network(text.strip()),)
        return
    with pytest.raises(UsageError, match=r"^responders: ") as refused:
        responders([text])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "nobody could reach the host any more"),
        (["0.0.0.0/0"], "wider than /8"),
        (["::/0"], "wider than /16"),
        (["8.0.0.0/8", "9.0.0.0/8"], "8.0.0.0/7 is wider than /8"),
        (["224.0.0.1"], "'224.0.0.1' is a multicast address"),
        (["ff02::1"], "'ff02::1' is a multicast address"),
        (["127.0.0.1"], "is loopback"),
        (["::1"], "is loopback"),
        (["0.0.0.0"], "is no host's address"),  # noqa: S104  # nothing is bound
        (["255.255.255.255"], "is the broadcast address"),
        (["::ffff:192.0.2.1"], "write it as such"),
        (["fe80::1%eth0"], "without a zone"),
        (["TRUSTED_IP"], "'TRUSTED_IP' is not an address or a network (a name cannot be used"),
        (["jump.example.com"], "a name cannot be used"),
        (["192.0.2.10/24"], "did you mean 192.0.2.0/24?"),
        (["192.0.2.10", ""], "'' is not an address"),
        (["192.0.2.1; drop"], "is not an address"),
    ],
)
def test_what_cannot_be_a_responder_is_named(values: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        responders(values)
    assert said in str(refused.value)


def test_the_host_itself_is_no_responder_but_may_be_in_their_network() -> None:
    own = [ipaddress.ip_address("192.0.2.5")]
    refuse_own(responders(["192.0.2.0/24"]), own)
    with pytest.raises(UsageError, match=r"192\.0\.2\.5 is this host's own"):
        refuse_own(responders(["192.0.2.5"]), own)


@pytest.mark.parametrize("text", ["192.0.2.1:443", "[2001:db8::1]:5432"])
def test_a_destination_is_read_and_said_the_same_way(text: str) -> None:
    assert str(destination(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.1", "is not an address and a port"),
        ("192.0.2.1:0", "is not an address and a port"),
        ("192.0.2.1:65536", "is not an address and a port"),
        ("192.0.2.1:https", "is not an address and a port"),
        ("192.0.2.1:٤٤٣", "is not an address and a port"),
        ("2001:db8::1:443", "goes into brackets"),
        ("[192.0.2.1]:443", "goes into brackets"),
        ("api.exchange.com:443", "a name proves nothing"),
        ("127.0.0.1:443", "is not another host's address"),
        ("[ff02::1]:443", "is not another host's address"),
    ],
)
def test_what_cannot_be_tried_out_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        destination(text)
    assert said in str(refused.value)


def test_something_must_be_tried_out() -> None:
    with pytest.raises(UsageError, match="one destination at least"):
        destinations([])


@pytest.mark.parametrize("name", ["", "ir isolate", "x; flush ruleset", "-f", "9lives", "a" * 32, "ir_isolate\n"])
def test_what_is_no_name_of_a_table_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a table"):
        table_name(name)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match="is not a port"):
        ports([22, port], "ssh_ports")


def rules(*values: str, served: tuple[int, ...] = (22,)) -> str:
    return ruleset("ir_isolate", Kept(responders(values), served)).text


@pytest.mark.parametrize(("value", "mine", "other"), [("192.0.2.1", "ip ", "ip6 "), ("2001:db8::1", "ip6 ", "ip ")])
def test_a_family_without_a_responder_lets_nobody_in(value: str, mine: str, other: str) -> None:
    text = rules(value)
    assert f"    {mine}saddr @responders" in text
    assert f"    {other}saddr" not in text
    assert text.count("policy drop;") == text.count("hook ") == 3


def test_these_are_the_rules() -> None:
    assert (
        rules("192.0.2.1", "2001:db8::/64", served=(22, 2222))
        == """\
table inet ir_isolate {
  set responders4 {
    type ipv4_addr; flags interval
    elements = { 192.0.2.1 }
  }
  set responders6 {
    type ipv6_addr; flags interval
    elements = { 2001:db8::/64 }
  }
  chain ir_in {
    type filter hook input priority -10; policy drop;
    iif "lo" accept
    ip saddr @responders4 tcp dport { 22, 2222 } accept
    ip6 saddr @responders6 tcp dport { 22, 2222 } accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
    limit rate 5/second log prefix "IR-ISO-IN "
    counter drop
  }
  chain ir_out {
    type filter hook output priority -10; policy drop;
    oif "lo" accept
    ip daddr @responders4 tcp sport { 22, 2222 } tcp flags & (syn | ack) != syn accept
    ip6 daddr @responders6 tcp sport { 22, 2222 } tcp flags & (syn | ack) != syn accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    limit rate 5/second log prefix "IR-ISO-OUT "
    counter drop
  }
  chain ir_fwd {
    type filter hook forward priority -10; policy drop;
    limit rate 5/second log prefix "IR-ISO-FWD "
    counter drop
  }
}
"""
    )


def test_the_order_in_which_responders_are_written_does_not_matter() -> None:
    assert rules("192.0.2.1", "2001:db8::/64", "192.0.2.9") == rules("2001:db8::/64", "192.0.2.9", "192.0.2.1")
    one = ruleset("a", Kept(responders(["192.0.2.1"]), (22,)))
    assert one.digest != ruleset("a", Kept(responders(["192.0.2.1"]), (2222,))).digest
    assert one.digest != ruleset("b", Kept(responders(["192.0.2.1"]), (22,))).digest
    assert one.transaction.startswith("table inet a { }\ndelete table inet a\ntable inet a {")


def test_connections_are_told_apart_as_the_table_does() -> None:
    kept = Kept(responders(["192.0.2.0/24", "2001:db8::1"]), (22, 2222))
    own: list[Any] = [ipaddress.ip_address("10.0.0.5")]
    assert foreign_sockets(kept, own) == (
        "not ( dst 127.0.0.0/8 or dst [::1] or dst 10.0.0.5 ) and "
        "not ( ( sport = :22 or sport = :2222 ) and ( dst 192.0.2.0/24 or dst [2001:db8::1] ) )"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [("fe80::1%eth0", "fe80::1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1"), ("x", None)],
)
def test_an_address_is_read_as_systems_show_it(text: str, address: str | None) -> None:
    assert plain_address(text) == (ipaddress.ip_address(address) if address else None)
