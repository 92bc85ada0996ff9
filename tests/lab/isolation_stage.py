# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is asked of the isolation of a host, and who is there: an intruder who is connected, a responder in a shell."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError
from ansible_collections.hft.incident.plugins.module_utils.isolation_host import SPEC
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Result, run_step
from ansible_collections.hft.incident.plugins.module_utils.steps.host_isolation import run_on

from .isolation_net import C2_PORT, DATABASE_PORT, EXCHANGE_PORT, SERVICE_PORT, Net, v4, v6
from .waiting import wait_until

ROOT = Path(__file__).parents[2]
PART = Path(__file__).with_name("isolation_part.py")
TABLE = "inet ir_isolate"
FORBIDDEN = [
    f"{v4('exchange')}:{EXCHANGE_PORT}",
    f"{v4('database')}:{DATABASE_PORT}",
    f"[{v6('exchange')}]:{EXCHANGE_PORT}",
    f"[{v6('database')}]:{DATABASE_PORT}",
]
DEFAULTS = {name: option.get("default") for name, option in SPEC.items()}
#: As the usual firewall of a server has it: what is established goes on, and SSH is let in.
USUAL = """
table inet usual {
  chain input { type filter hook input priority 0; policy accept;
    ct state established,related accept
    tcp dport 8443 accept
  }
  chain output { type filter hook output priority 0; policy accept;
    ct state established,related accept
  }
}
"""


# What is asked of it --------------------------------------------------------------------------------------------------


def asked(**given: Any) -> dict[str, Any]:
    task = {"state": "isolated", "responders": [v4("control")], "forbidden": FORBIDDEN, "probe_timeout": 0.2}
    return {**DEFAULTS, **task, **given}


def over_ssh(net: Net, params: Params, context: Context, *, node: str = "control") -> Result:
    """The host's part, over a new connection. Raises UnprovenError where that does not come about."""
    told = json.dumps({**params, "control_node": None, "check": context.check})
    try:
        ran = subprocess.run(
            net.ssh(sys.executable, str(PART), node=node),
            input=told,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnprovenError("the host cannot be reached: no answer") from None
    if ran.returncode:
        raise UnprovenError(f"the host cannot be reached: {ran.stderr.strip()}")
    result: Result = json.loads(ran.stdout)
    return result


def play(net: Net, params: Mapping[str, Any], *, check: bool = False, node: str = "control") -> Result:
    """As the module's action plugin plays it."""
    part = partial(over_ssh, net, node=node)
    return run_step(lambda given, context: run_on(given, context, "hft-1", part), params, Context(check, nowhere))


def nowhere(_kind: str, _data: Mapping[str, Any]) -> None:
    pass


def require_proven(result: Result) -> None:
    assert result["confirmed"] is True, result["msg"]


def kinds(result: Result) -> list[str]:
    return [line["kind"] for line in result.get("record", [])]


# Who is there ---------------------------------------------------------------------------------------------------------


class Intruder:
    """Open connections from a process on the host to a server of the intruder's, over both families."""

    def __init__(self, net: Net) -> None:
        with net.listen("c2", C2_PORT) as server:
            self._pairs = []
            for address in (v4("c2"), v6("c2")):
                here = net.connect("host", address, C2_PORT)
                there, _from = server.accept()
                there.settimeout(5)
                self._pairs.append((here, there))

    @property
    def alive(self) -> bool:
        """Whether what its server says arrives on the host, and the answer there."""
        return any(_exchanged(there, here) and _exchanged(here, there) for here, there in self._pairs)

    def require_dead(self) -> None:
        """At both ends: at the host's at once, and its server is told so as soon as it says anything after a revert."""
        for here, there in self._pairs:
            with pytest.raises(OSError):  # noqa: PT011  # reset, aborted, broken pipe: all of them mean it
                here.sendall(b"?")
            wait_until(partial(_is_reset, there))

    def close(self) -> None:
        for pair in self._pairs:
            for end in pair:
                end.close()


def _exchanged(sender: socket.socket, receiver: socket.socket) -> bool:
    receiver.settimeout(1)
    try:
        sender.sendall(b"!")
        return receiver.recv(1) == b"!"
    except OSError:
        return False


def _is_reset(there: socket.socket) -> bool:
    there.settimeout(0.2)
    try:
        there.sendall(b"are you there?")
        assert there.recv(64) == b"", "it came back to life"
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


class Shell:
    """A responder's session that was open before."""

    def __init__(self, net: Net) -> None:
        self._process = subprocess.Popen(net.ssh("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.alive

    @property
    def alive(self) -> bool:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write("still here\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return self._process.stdout.readline() == "still here\n"

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def gets_in(net: Net, node: str = "control", address: str = "") -> bool:
    argv = net.ssh("true", node=node, address=address)
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def require_isolated(net: Net) -> None:
    for node in ("exchange", "database", "c2"):
        port = {"exchange": EXCHANGE_PORT, "database": DATABASE_PORT, "c2": C2_PORT}[node]
        assert not net.reaches("host", v4(node), port)
        assert not net.reaches("host", v6(node), port)
    for address in (v4("host"), v6("host")):
        assert not net.reaches("c2", address, SERVICE_PORT)
        assert not net.reaches("control", address, SERVICE_PORT), "a responder has SSH, and nothing else"
    assert net.reaches("host", "127.0.0.1", SERVICE_PORT)
    assert net.reaches("host", "::1", SERVICE_PORT)
    assert net.reaches("host", v4("host"), SERVICE_PORT), "its own address is loopback, too"


def require_open(net: Net) -> None:
    assert net.reaches("host", v4("exchange"), EXCHANGE_PORT)
    assert net.reaches("c2", v6("host"), SERVICE_PORT)
    assert TABLE not in net.tables()
    assert net.left_in_run() == set()
    wait_until(lambda: not net.reverts())
