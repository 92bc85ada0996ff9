# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The kernel's tables, read: what they say is told, and what does not fit is kept and loses no other line."""

from __future__ import annotations

import ipaddress
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import proc_net

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENS = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100\n"
little = pytest.mark.skipif(sys.byteorder != "little", reason="the examples are of a little-endian machine")


def as_the_kernel_writes(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> str:
    packed = address.packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65535))
def test_every_address_is_read_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    text, found = proc_net.address(as_the_kernel_writes(address, port))
    assert (ipaddress.ip_address(text), found) == (address, port)


@little
def test_a_socket_is_told_with_its_ends_its_state_and_its_inode() -> None:
    (row,) = proc_net.sockets("tcp", HEAD + LISTENS)
    assert row == {
        "protocol": "tcp",
        "local": "127.0.0.1",
        "local_port": 8080,
        "remote": "0.0.0.0",  # noqa: S104  # nothing is bound
        "remote_port": 0,
        "state": "listen",
        "uid": 1000,
        "inode": 4711,
    }


@given(st.text(), st.sampled_from(["tcp", "udp6", "unix", "packet"]))
def test_what_does_not_fit_is_kept_and_loses_no_other_line(odd: str, name: str) -> None:
    rows = list(proc_net.sockets(name, HEAD + odd.replace("\n", " ") + "\n" + LISTENS))
    assert len(rows) >= (1 if name != "tcp" else bool(odd.strip()) + 1)
    assert name != "tcp" or rows[-1]["inode"] == 4711


@given(st.text())
def test_no_table_raises_whatever_the_kernel_says(text: str) -> None:
    for read in (proc_net.routes, proc_net.routes6, proc_net.neighbors, proc_net.modules, proc_net.mounts):
        list(read(text))


def test_a_unix_socket_with_a_name_and_one_without() -> None:
    text = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 20 /run/a b.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0002 03 21\n"
    )
    listening, other = proc_net.sockets("unix", text)
    assert (listening["state"], listening["type"], listening["path"]) == ("listening", "stream", "/run/a b.sock")
    assert (other["state"], other["type"], "path" in other) == ("connected", "datagram", False)


def test_a_sniffer_is_told() -> None:
    text = "sk RefCnt Type Proto Iface R Rmem User Inode\n0000000000000000 3 3 0003 2 1 0 0 99\n"
    (row,) = proc_net.sockets("packet", text)
    assert (row["ethertype"], row["inode"]) == ("0x0003", 99)


@little
def test_routes_neighbors_modules_and_mounts() -> None:
    (route,) = proc_net.routes("Iface ...\neth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n")
    assert (route["destination"], route["gateway"], route["metric"]) == ("0.0.0.0/0", "192.0.2.1", 100)
    zero, gateway = "0" * 32, "fe80000000000000" + "0" * 15 + "1"
    (six,) = proc_net.routes6(f"{zero} 00 {zero} 00 {gateway} 00000400 00000001 00000000 00000003 eth0\n")
    assert (six["destination"], six["gateway"], six["metric"]) == ("::/0", "fe80::1", 1024)
    (neighbor,) = proc_net.neighbors("IP ...\n192.0.2.1 0x1 0x6 02:00:00:00:00:01 * eth0\n")
    assert (neighbor["complete"], neighbor["permanent"]) == (True, True)
    (module,) = proc_net.modules("evil 16384 1 a,b, Live 0x0000000000000000 (OE)\n")
    assert (module["used_by"], module["taints"]) == (["a", "b"], "OE")
    (mount,) = proc_net.mounts("22 27 0:21 / /a\\040b rw,relatime shared:1 - ext4 /dev/sda rw\n")
    assert (mount["place"], mount["type"], mount["source"]) == ("/a b", "ext4", "/dev/sda")
