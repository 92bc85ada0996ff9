# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A process that hosts venues and their control API::

    python -m hft_incident.lab.venues --venue binance=binance --keys keys.json

When every port listens it prints one line, ``{"control_port": n, "venues": {name: {"port": n, "symbols": […]}}}``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from .control import Control
from .exchange import Key
from .registry import DIALECTS, make_dialect
from .server import VenueServer


class VenueSpec(NamedTuple):
    """``NAME=DRIVER[:PORT]``; port 0 is any free one."""

    name: str
    driver: str
    port: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.venues", description=__doc__)
    parser.add_argument("--venue", dest="venues", metavar="NAME=DRIVER[:PORT]", type=venue_spec, action="append")
    parser.add_argument(
        "--address", default="127.0.0.1", help="where the venues listen; their control API never leaves 127.0.0.1"
    )
    parser.add_argument("--control-port", type=int, default=0, metavar="PORT", help="default: any free one")
    parser.add_argument("--keys", type=Path, required=True, metavar="FILE", help="JSON: {venue: [{id, secret, …}]}")
    options = parser.parse_args(arguments)
    if not options.venues:
        parser.error("name at least one --venue")
    try:
        keys = read_keys(options.keys)
    except (OSError, ValueError) as error:
        parser.error(f"--keys: {error}")
    asyncio.run(host(options.venues, keys, options.address, options.control_port))
    return 0


def venue_spec(text: str) -> VenueSpec:
    name, _, kind = text.partition("=")
    driver, _, port = kind.partition(":")
    if not name or driver not in DIALECTS or (port and not port.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DRIVER[:PORT]; drivers: {', '.join(DIALECTS)}")
    return VenueSpec(name, driver, int(port or 0))


def read_keys(path: Path) -> dict[str, list[Key]]:
    """``{venue: [{"id", "secret", "passphrase"?, "label"?, "permissions"?, "ips"?}]}``.

    Raises OSError or ValueError.
    """
    try:
        return {venue: [_key(row) for row in rows] for venue, rows in json.loads(path.read_text()).items()}
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"{path} holds no keys of venues: {error!r}") from None


def _key(row: Mapping[str, Any]) -> Key:
    key = Key(row["id"], row["secret"], row.get("passphrase", ""))
    key.permissions = frozenset(row.get("permissions", key.permissions))
    key.label, key.ips = row.get("label", ""), tuple(row.get("ips", ()))
    return key


async def host(specs: Sequence[VenueSpec], keys: Mapping[str, list[Key]], address: str, control_port: int) -> None:
    """Run the venues and their control API until the process is asked to end."""
    ending = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, ending.set)
    async with contextlib.AsyncExitStack() as stack:
        venues: dict[str, tuple[str, VenueServer]] = {}
        for spec in specs:
            port = stack.enter_context(reserved_port(address, spec.port))
            dialect = make_dialect(spec.driver, keys.get(spec.name, []))
            server = VenueServer(spec.name, dialect, address=address, port=port)
            stack.push_async_callback(server.stop)
            await server.start()
            venues[spec.name] = (spec.driver, server)
        runner = web.AppRunner(Control(venues).application(), access_log=None, shutdown_timeout=0.1)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", control_port).start()
        ports = {
            name: {"port": server.port, "symbols": list(server.exchange.instruments)}
            for name, (_driver, server) in venues.items()
        }
        print(json.dumps({"control_port": runner.addresses[0][1], "venues": ports}), flush=True)
        await ending.wait()


@contextlib.contextmanager
def reserved_port(address: str, port: int) -> Iterator[int]:
    """A port that stays ours while the venue refuses connections: nobody else can bind it, and nothing answers there.

    Linux lets a listener share a port with a socket that is bound but does not listen. Elsewhere: the port as given.
    """
    if not sys.platform.startswith("linux"):
        yield port
        return
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, port))
        yield holder.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
