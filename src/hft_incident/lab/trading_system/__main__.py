# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``python -m hft_incident.lab.trading_system --config FILE``. Once it listens it says so on standard output, as
``{"port": 8080}``; SIGTERM and SIGINT stop quoting, cancel what can be cancelled in a few seconds, and end it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from . import VERSION
from .api import Api
from .settings import Settings, SettingsError, load
from .system import TradingSystem

log = logging.getLogger("system")


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    system = TradingSystem(settings)
    runner = web.AppRunner(Api(system, settings.token).application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", settings.port).start()
        port = runner.addresses[0][1]
        log.info("version %s listens on 127.0.0.1:%d", VERSION, port)
        print(json.dumps({"port": port}), flush=True)
        await system.run(stop)
    finally:
        await runner.cleanup()
    log.info("stopped")


class UtcFormatter(logging.Formatter):
    """One line an event: UTC time stamp, level, component, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s [%(name)s] %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def log_to(path: Path) -> None:
    handler = logging.FileHandler(path)
    handler.setFormatter(UtcFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.trading_system")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    try:
        settings = load(parser.parse_args().config)
        log_to(settings.log_file)
    except (SettingsError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(settings))
    except Exception:
        log.critical("crashed", exc_info=True)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
