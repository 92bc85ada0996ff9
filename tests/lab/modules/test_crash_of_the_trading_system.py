# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``crash_report_info`` of the lab's own trading system, by every way in which it can end by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..trading_system_process import ROOT
from ..waiting import wait_until
from .steps import Ran
from .unit_host import UNIT, TradingHost, served

NOBODY = "http://127.0.0.1:1"  # so that its log is full of refused connections, of which none was its end


class Engine:
    """The trading system as the unit of a host."""

    def __init__(self, host: TradingHost) -> None:
        self.host = host
        self.fault_file = host.folder / "fault"
        key = host.folder / "trading.key"
        key.write_text(json.dumps({"id": "k", "secret": "cw=="}))
        self.config: dict[str, Any] = {
            "port": 0,
            "hold_file": str(host.folder / "hold"),
            "log_file": str(host.log),
            "fault_file": str(self.fault_file),
            "exchanges": [{"name": "alpha", "driver": "binance", "url": NOBODY, "key_file": str(key)}],
        }

    def start(self, **config: Any) -> None:
        config_file = self.host.folder / "config.json"
        config_file.write_text(json.dumps({**self.config, **config}))
        self.host.start(
            f"""
            import sys
            sys.path.insert(0, {str(ROOT / "src")!r})
            from hft_incident.lab.trading_system.__main__ import main
            sys.exit(main(["--config", {str(config_file)!r}]))
            """
        )

    def listens(self) -> None:
        wait_until(lambda: self.host.log.exists() and "listens on" in self.host.log.read_text())

    def ended(self) -> Ran:
        wait_until(lambda: self.host.shown("ActiveState") in ("failed", "inactive"))
        return self.host.report(log_files=[str(self.host.log)])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with served(TradingHost(tmp_path)) as host:
        yield Engine(host)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("segfault", "segmentation_fault"),
        ("out_of_memory", "out_of_memory"),
        ("assertion", "assertion_failure"),
        ("exception", "unhandled_exception"),
    ],
)
def test_a_mishap_is_understood(engine: Engine, word: str, kind: str) -> None:
    engine.start()
    engine.listens()
    engine.fault_file.write_text(word)
    engine.host.ask("kill", "-s", "USR1", UNIT)
    seen = engine.ended()
    assert (seen["kind"], seen["contradictions"]) == (kind, []), seen.result
    assert any(line["source"] in (str(engine.host.log), "journal", "kernel") for line in seen["because"])


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"database": "host=127.0.0.1 port=1 dbname=hft user=hft"}, "database_connection_lost"),
        ({"log_file": "/dev/full"}, "disk_full"),
        ({"exchanges": [{"name": "alpha", "driver": "binance-v2"}]}, "bad_configuration"),
        ({"exchanges": None}, "bad_configuration"),
        ({"surprise": 1}, "bad_configuration"),
    ],
)
def test_what_it_cannot_start_with_is_understood(engine: Engine, config: dict[str, Any], kind: str) -> None:
    engine.start(**config)
    seen = engine.ended()
    assert (seen["kind"], seen["contradictions"]) == (kind, []), seen.result


def test_asked_to_stop_it_stopped_cleanly(engine: Engine) -> None:
    engine.start()
    engine.listens()
    engine.host.ask("stop", UNIT)
    assert engine.ended()["kind"] == "clean_stop"


def test_killed_without_a_word_it_was_killed_by_a_signal(engine: Engine) -> None:
    engine.start()
    engine.listens()
    engine.host.ask("kill", "-s", "KILL", UNIT)
    seen = engine.ended()
    assert (seen["kind"], seen["signal"]) == ("killed_by_signal", "SIGKILL")
