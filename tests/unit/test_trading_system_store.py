# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system: what waits to be stored is bounded, and hold files by their names."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from hft_incident.lab.trading_system import store
from hft_incident.lab.trading_system.holds import Holds
from hft_incident.lab.trading_system.orders import WorkingOrder
from hft_incident.lab.trading_system.store import DatabaseLost, PostgresStore


def an_order(client_id: str) -> WorkingOrder:
    return WorkingOrder(client_id, "mm", "buy", Decimal("0.01"), Decimal(100))


def test_changes_of_one_thing_wait_as_one_and_a_database_that_falls_behind_is_fatal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "PENDING_LIMIT", 3)
    waiting = PostgresStore("", "hft000000")
    for _ in range(10):
        waiting.put_order("alpha", an_order("c1"))
    waiting.put_order("beta", an_order("c1"))
    waiting.put_strategy("mm", True)
    with pytest.raises(DatabaseLost, match="too slow"):
        waiting.put_strategy("probe", True)


def test_a_hold_is_known_by_its_name_whatever_the_file_says(tmp_path: Path) -> None:
    holds = Holds(tmp_path / "ir-hold")
    assert holds.present() == frozenset()
    folder = tmp_path / "ir-hold.d"
    folder.mkdir()
    for name in ("exchange-alpha", "strategy-mm-alpha", ".exchange-beta.tmp", "readme"):
        (folder / name).write_text("{}")
    assert holds.present() == {"exchange-alpha", "strategy-mm-alpha"}
    assert (holds.exchange("alpha"), holds.exchange("beta")) == (True, False)
    assert (holds.strategy("mm-alpha"), holds.strategy("alpha")) == (True, False)
    assert holds.all is False
    (tmp_path / "ir-hold").touch()
    assert holds.all is True
    assert holds.present() == {"hold", "exchange-alpha", "strategy-mm-alpha"}
