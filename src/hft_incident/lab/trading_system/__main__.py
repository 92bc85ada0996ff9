# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``python -m hft_incident.lab.trading_system --config FILE [--observe]``. Once it listens it says so on standard
output, as ``{"port": 8080}``; SIGTERM and SIGINT stop quoting, cancel what can be cancelled in a few seconds, and end
it. SIGUSR1 sets off what the fault file says.

``--observe`` never sends an order. ``--validate-config`` and ``--version`` say one line and end.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import faulthandler
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from aiohttp import web

from . import VERSION
from .api import Api
from .desk import Run, new_prefix
from .settings import Settings, SettingsError, load, validate
from .store import DatabaseLost, open_store
from .system import TradingSystem

log = logging.getLogger("system")


async def serve(settings: Settings, *, observe: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    prefix = new_prefix()
    store = await open_store(settings.database, prefix, VERSION, observe)
    system = TradingSystem(settings, Run(store, prefix, observe=observe))
    loop.add_signal_handler(signal.SIGUSR1, system.mishap)
    runner = web.AppRunner(Api(system, settings.token).application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await system.prepare()
        await web.TCPSite(runner, settings.address, settings.port).start()
        port = runner.addresses[0][1]
        log.info("version %s listens on %s:%d%s", VERSION, settings.address, port, " and observes" if observe else "")
        print(json.dumps({"port": port}), flush=True)
        await system.run(stop)
    finally:
        await runner.cleanup()
        await store.close()
    log.info("stopped")


class UtcFormatter(logging.Formatter):
    """One line an event: UTC time stamp, level, component, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s [%(name)s] %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class IndispensableFile(WatchedFileHandler):
    """Who cannot write the log must not trade: a full disk ends the process, whoever was about to log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def log_to(path: Path) -> None:
    handler = IndispensableFile(path)
    handler.setFormatter(UtcFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.trading_system")
    parser.add_argument("--config", type=Path, metavar="FILE")
    parser.add_argument("--observe", action="store_true", help="connect, book and answer, and never send an order")
    parser.add_argument("--validate-config", action="store_true", help="say whether the configuration can be used")
    parser.add_argument("--version", action="version", version=VERSION)
    options = parser.parse_args(arguments)
    if options.config is None:
        parser.error("--config FILE is needed")
    try:
        if options.validate_config:
            settings = validate(options.config)
            print(f"{options.config}: valid ({len(settings.exchanges)} exchanges)")
            return 0
        settings = load(options.config)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        log_to(settings.log_file)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1 if error.errno == errno.ENOSPC else 2
    faulthandler.enable()
    try:
        asyncio.run(serve(settings, observe=options.observe))
    except Exception as error:
        log.critical("%s", error if isinstance(error, DatabaseLost) else "crashed", exc_info=True)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
