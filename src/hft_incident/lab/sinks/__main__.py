# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A process that stands for every service that the product sends to::

    python -m hft_incident.lab.sinks --keys keys.json --ca-file ca.pem

It writes the certificate of its authority to ``--ca-file``. When every port listens it prints one line,
``{"proxy_port": n, "webhook_port": n, "smtp_port": n, "control_port": n}``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trustme
from aiohttp import web

from ..connections import Refusing
from ..sink_keys import ADDRESS, SMTP_USER, STATUS_PAGE, ZOOM_ACCOUNT, ZOOM_CLIENT, SinkKeys
from ..state import write_private
from . import smtp
from .arrivals import Arrivals
from .control import Control
from .faults import Faults
from .pagerduty import PagerDuty
from .proxy import Proxy
from .server import ServiceServer
from .service import Service
from .slack import Slack
from .statuspage import Statuspage
from .twilio import Twilio
from .webhook import Webhook
from .zoom import Zoom

Factory = Callable[[], asyncio.Protocol]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.sinks", description=__doc__)
    parser.add_argument("--keys", type=Path, required=True, metavar="FILE", help="JSON: see lab/sink_keys.py")
    parser.add_argument("--ca-file", type=Path, required=True, metavar="FILE", help="written: whom clients must trust")
    options = parser.parse_args(arguments)
    try:
        keys = SinkKeys.read(options.keys)
    except (OSError, ValueError) as error:
        parser.error(f"--keys: {error}")
    asyncio.run(host(keys, options.ca_file))
    return 0


def services_for(keys: SinkKeys) -> Sequence[Service]:
    """Every service over HTTP, empty."""
    return (
        Slack(keys.slack_token, keys.slack_webhook),
        PagerDuty(keys.routing_keys),
        Statuspage(STATUS_PAGE, keys.statuspage_key),
        Zoom(ZOOM_ACCOUNT, ZOOM_CLIENT, keys.zoom_secret),
        Twilio(keys.twilio_sid, keys.twilio_token),
        Webhook(),
    )


async def host(keys: SinkKeys, ca_file: Path) -> None:
    """Run all of it until the process is asked to end."""
    ending = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, ending.set)
    services = services_for(keys)
    faults, arrivals = Faults([*(service.name for service in services), smtp.NAME]), Arrivals()
    tls = make_tls([ADDRESS, smtp.HOSTNAME, *(host for service in services for host in service.hosts)], ca_file)
    async with contextlib.AsyncExitStack() as stack:
        servers = [ServiceServer(service, faults, arrivals) for service in services]
        for server in servers:
            stack.push_async_callback(server.stop)
        reached = {f"{host}:443": server for server in servers for host in server.service.hosts}
        webhook = servers[-1]
        webhook_port = await listen(stack, guarded(Webhook.name, webhook, faults))
        reached[f"{ADDRESS}:{webhook_port}"] = webhook
        mail = smtp.MailServer(SMTP_USER, keys.smtp_password, tls, faults, arrivals)
        runner = web.AppRunner(
            Control({service.name: service for service in services}, faults, arrivals).application(),
            access_log=None,
            shutdown_timeout=0.1,
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, 0).start()
        report = {
            "proxy_port": await listen(stack, Proxy(reached, tls, arrivals)),
            "webhook_port": webhook_port,
            "smtp_port": await listen(stack, guarded(smtp.NAME, mail, faults)),
            "control_port": runner.addresses[0][1],
        }
        print(json.dumps(report), flush=True)
        await ending.wait()


def make_tls(names: Sequence[str], ca_file: Path) -> ssl.SSLContext:
    """For all these names, by a new authority whose certificate is in ``ca_file`` afterwards."""
    authority = trustme.CA(organization_name="hft-incident lab")
    write_private(ca_file, authority.cert_pem.bytes().decode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def guarded(service: str, factory: Factory, faults: Faults) -> Factory:
    """Its connections, which are reset as soon as they are made while it is down."""
    return lambda: Refusing() if faults.refuses(service) else factory()


async def listen(stack: contextlib.AsyncExitStack, factory: Factory) -> int:
    """The port, any free one of 127.0.0.1."""
    server = await asyncio.get_running_loop().create_server(factory, ADDRESS, 0, backlog=512)
    stack.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


if __name__ == "__main__":
    sys.exit(main())
