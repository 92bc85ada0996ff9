# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Their fault or ours, at real lab venues with a real trading system: every verdict by the fault that earns it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.diagnosis import SWITCHED_OFF
from ansible_collections.hft.incident.plugins.module_utils.steps import venue_status_info
from hft_incident.lab.venues.server import VenueServer

from ..trading_system_process import TradingSystemProcess, trading_system
from ..venues_host import Host, venue_host
from ..waiting import wait_until
from .steps import Arguments, Ran, run, writes

EXCHANGES = {"alpha": "binance", "beta": "binance"}
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there
STALE_AFTER_S = 1.0


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(EXCHANGES) as running:
        for venue in running.venues.values():
            venue.exchange.feed_running = True
        yield running


@pytest.fixture
def alpha(host: Host) -> VenueServer:
    return host.venues["alpha"]


@pytest.fixture
def hft(tmp_path: Path, host: Host) -> Iterator[TradingSystemProcess]:
    """A trading system that is connected and has market data, and is held from quoting."""
    (tmp_path / "hold").touch()
    with trading_system(tmp_path, host, EXCHANGES) as system:
        wait_until(lambda: all(sees(system, name)["last_market_data_age_s"] is not None for name in EXCHANGES))
        wait_until(lambda: all(sees(system, name)["connected"] for name in EXCHANGES))
        yield system


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Arguments:
    return Arguments(tmp_path, host)


def sees(hft: TradingSystemProcess, exchange: str) -> Any:
    return hft.get(f"/exchanges/{exchange}")


def look(given: Arguments, hft: TradingSystemProcess | None = None, **more: Any) -> Ran:
    """One look at alpha, with beta beside it."""
    args: dict[str, Any] = {
        "venues": [given.venue(name, driver) for name, driver in EXCHANGES.items()],
        "trading_systems": [given.system(hft)] if hft else [],
        "name": "alpha",
        "timeout": 3.0,
        "stale_after": STALE_AFTER_S,
        **more,
    }
    return run(venue_status_info, **args)


def broken(given: Arguments, **changes: Any) -> list[dict[str, Any]]:
    """The venues, alpha's entry with these changes."""
    return [{**given.venue("alpha", "binance"), **changes}, given.venue("beta", "binance")]


def test_a_venue_where_everything_works_is_healthy(
    given: Arguments, hft: TradingSystemProcess, alpha: VenueServer
) -> None:
    seen = look(given, hft)
    assert (seen["verdict"], seen["venue_reachable"], seen["changed"]) == ("healthy", True, False)
    assert seen["evidence"]["trading_system"]["connected"] is True
    assert seen["evidence"]["clock_window_ms"] == 5000
    assert abs(seen["evidence"]["clock_offset_ms"]) < 5000
    assert seen["evidence"]["others"] == {"ok": 1, "tried": 1}
    assert seen["evidence"]["tls"]["state"] == "unknown"
    (told,) = seen.recorded("venue.diagnosed")
    assert told.items() >= {"name": "alpha", "verdict": "healthy"}.items()
    assert told["evidence"] == seen["evidence"]
    assert writes(alpha) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "refuse"}, "takes no connection"),
        ({"kind": "status", "status": 503}, "no usable answers"),
        ({"kind": "html"}, "no usable answers"),
        ({"kind": "empty_object"}, "no usable answers"),
        ({"kind": "hang"}, "no usable answers"),
        ({"kind": "reset"}, "no usable answers"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_venue_that_fails_while_others_answer_is_down(
    given: Arguments, host: Host, hft: TradingSystemProcess, fault: dict[str, Any], words: str
) -> None:
    host.inject("alpha", **fault)
    seen = look(given, hft, timeout=1.0 if fault["kind"] == "hang" else 5.0)
    assert (seen["verdict"], seen["venue_reachable"], seen.failed) == ("venue_down", False, False)
    assert words in seen["sentence"]
    assert "venue_down" in seen["msg"]


def test_a_status_page_that_lies_decides_nothing(given: Arguments, host: Host, hft: TradingSystemProcess) -> None:
    host.inject("alpha", kind="status_lies")
    host.inject("alpha", kind="status", status=503)
    down = look(given, hft)
    assert down["supporting"] == ["status page: online; it decides nothing"]
    assert down["verdict"] == "venue_down"


def test_a_status_page_that_cries_wolf_decides_nothing(
    given: Arguments, alpha: VenueServer, hft: TradingSystemProcess
) -> None:
    alpha.exchange.maintenance = True
    well = look(given, hft)
    assert well["supporting"] == ["status page: maintenance; it decides nothing"]
    assert well["verdict"] == "healthy"


def test_a_refused_key_is_ours(given: Arguments, host: Host, hft: TradingSystemProcess) -> None:
    host.inject("alpha", kind="revoked_key")
    seen = look(given, hft)
    assert (seen["verdict"], seen["venue_reachable"]) == ("our_key", False)
    assert seen["evidence"]["public_time"]["state"] == "ok"
    assert seen["evidence"]["authenticated_read"]["kind"] == "auth"


@pytest.mark.parametrize(("status", "words"), [(418, "banned us"), (429, "limits our rate")])
def test_being_told_to_ask_less_is_ours(given: Arguments, host: Host, status: int, words: str) -> None:
    host.inject("alpha", kind="status", status=status)
    seen = look(given)
    assert seen["verdict"] == "our_connection"
    assert words in seen["sentence"]


def test_a_trading_system_that_lost_the_venue_is_ours_whatever_the_second_one_says(
    given: Arguments, host: Host, hft: TradingSystemProcess
) -> None:
    host.inject("alpha", kind="refuse")
    wait_until(lambda: not sees(hft, "alpha")["connected"])
    host.clear("alpha")
    alone = look(given, hft)
    assert alone["verdict"] == "our_connection"
    assert "not connected" in alone["sentence"]
    with_a_dead_one = look(given, trading_systems=[given.system(hft), {"name": "hft-2", "url": NOBODY}])
    assert with_a_dead_one["verdict"] == "our_connection"
    assert "not connected" in with_a_dead_one["sentence"]


def test_an_exchange_switched_off_by_us_is_ours(given: Arguments, hft: TradingSystemProcess) -> None:
    assert hft.call("PUT", "/config", {"exchanges": {"alpha": {"enabled": False}}}).status == 200
    seen = look(given, hft)
    assert seen["verdict"] == "our_connection"
    assert seen["sentence"] == f"Nothing is wrong with the venue or with our connection to it. {SWITCHED_OFF}"


def test_an_exchange_switched_off_by_us_hides_no_connection_that_is_lost_afterwards(
    given: Arguments, host: Host, hft: TradingSystemProcess
) -> None:
    assert hft.call("PUT", "/config", {"exchanges": {"alpha": {"enabled": False}}}).status == 200
    host.inject("alpha", kind="refuse")
    wait_until(lambda: not sees(hft, "alpha")["connected"])
    down = look(given, hft)
    assert down["verdict"] == "venue_down"
    assert down["sentence"] == f"The venue takes no connection while other venues answer. {SWITCHED_OFF}"
    # It answers again, also from here, and the trading system has not come back to it.
    host.clear("alpha")
    seen = look(given, hft)
    assert seen["verdict"] == "our_connection"
    assert "our trading system is not connected to it" in seen["sentence"]
    assert seen["sentence"].endswith(SWITCHED_OFF)


def test_a_feed_that_stopped_at_the_venue_is_theirs(given: Arguments, host: Host, hft: TradingSystemProcess) -> None:
    host.inject("alpha", kind="feed_stops")
    wait_until(lambda: (sees(hft, "alpha")["last_market_data_age_s"] or 0) > STALE_AFTER_S)
    seen = look(given, hft)
    assert (seen["verdict"], seen["venue_reachable"]) == ("venue_down", True)
    assert "feed stopped" in seen["sentence"]
    assert seen["evidence"]["market_data"] == "stale"


def test_a_clock_too_far_from_ours_is_told_with_the_venues_own_limit(
    given: Arguments, host: Host, hft: TradingSystemProcess
) -> None:
    host.inject("alpha", kind="clock_skew", seconds=20.0)
    seen = look(given, hft)
    assert (seen["verdict"], seen["venue_reachable"]) == ("our_connection", True)
    assert any(line.startswith("clock: ") and "it tolerates 5000 ms" in line for line in seen["because"])


def test_everything_failing_at_once_is_our_own_network(given: Arguments, host: Host) -> None:
    host.inject("alpha", kind="refuse")
    host.inject("beta", kind="refuse")
    seen = look(given)
    assert seen["verdict"] == "our_connection"
    assert "our own network" in seen["sentence"]


def test_a_broken_entry_of_another_venue_says_nothing_about_our_network(given: Arguments, host: Host) -> None:
    host.inject("alpha", kind="refuse")
    others = [given.venue("beta", "binance"), *({"name": f"x{n}", "driver": "nosuch"} for n in range(3))]
    seen = look(given, venues=[given.venue("alpha", "binance"), *others])
    assert seen["verdict"] == "venue_down"
    assert seen["evidence"]["others"] == {"ok": 1, "tried": 1}


def test_a_refusal_of_another_venue_is_an_answer_of_our_network(given: Arguments, host: Host) -> None:
    host.inject("alpha", kind="refuse")
    host.inject("beta", kind="status", status=429)
    assert look(given)["verdict"] == "venue_down"


def test_a_silent_trading_system_leaves_it_unknown_and_says_why(given: Arguments) -> None:
    seen = look(given, trading_systems=[{"name": "hft-1", "url": NOBODY}])
    assert (seen["verdict"], seen["venue_reachable"]) == ("unknown", True)
    assert any("hft-1: " in line and "connection refused" in line for line in seen["because"])


def test_an_exchange_that_no_trading_system_has_is_not_called_healthy(
    given: Arguments, host: Host, hft: TradingSystemProcess
) -> None:
    host.add("gamma", "binance")
    venues = [given.venue(name, "binance") for name in ("alpha", "gamma")]
    seen = look(given, hft, venues=venues, name="gamma")
    assert seen["verdict"] == "unknown"
    assert any("none trades at gamma" in line for line in seen["because"])


# Our own entry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:HFT_TEST_NO_SUCH_KEY", "environment variable HFT_TEST_NO_SUCH_KEY is not set"),
        ("file:/nonexistent/key", "cannot read /nonexistent/key"),
        ("cmd:false", "the command failed"),
        ("cmd:sleep 60", "could not be read in time"),
    ],
)
def test_a_key_that_cannot_be_read_is_ours_and_everything_public_is_still_looked_at(
    given: Arguments, hft: TradingSystemProcess, reference: str, words: str
) -> None:
    seen = look(given, hft, venues=broken(given, api_key=reference), timeout=2.0)
    assert (seen["verdict"], seen["venue_reachable"]) == ("our_key", False)
    assert any(words in line for line in seen["because"])
    assert seen["evidence"]["market_data"] == "fresh"
    assert seen["evidence"]["status_page"] == "online"


def test_a_key_that_cannot_be_read_does_not_hide_that_the_venue_is_down(given: Arguments, host: Host) -> None:
    host.inject("alpha", kind="refuse")
    seen = look(given, venues=broken(given, api_key="env:HFT_TEST_NO_SUCH_KEY"))
    assert seen["verdict"] == "venue_down"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"driver": "nosuch"}, "unknown driver 'nosuch'"),
        ({"api_key": None}, "'api_key' is missing"),
        ({"product_lines": ["nosuch"]}, "unknown product line 'nosuch'"),
        ({"base_url": "https://127.0.0.1:9", "ca_file": "/nonexistent/ca.pem"}, "ca_file: no such file"),
    ],
)
def test_an_entry_that_cannot_be_used_is_ours_with_the_reason(
    given: Arguments, changes: dict[str, Any], words: str
) -> None:
    seen = look(given, venues=broken(given, **changes))
    assert (seen["verdict"], seen["venue_reachable"]) == ("our_connection", False)
    assert any(words in line for line in seen["because"])


def test_a_name_that_hangs_in_resolution_is_told_as_such_and_holds_nothing_up(
    given: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, resolve = threading.Event(), socket.getaddrinfo

    def hanging(host: Any, *args: Any, **more: Any) -> Any:
        if host == "hangs.invalid":
            release.wait()
        return resolve(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    seen: list[Ran] = []
    venues = broken(given, base_url="https://hangs.invalid")
    looking = threading.Thread(target=lambda: seen.append(look(given, venues=venues, timeout=0.5)), daemon=True)
    looking.start()
    looking.join(timeout=20)
    release.set()
    assert seen, "the look hangs with the resolver"
    assert seen[0]["verdict"] == "venue_down"
    assert seen[0]["evidence"]["dns"] == {"state": "failed", "kind": "unavailable", "detail": "no answer in time"}


@pytest.mark.parametrize("name", ["nosuch", ""])
def test_an_unknown_exchange_is_refused_with_the_known_ones_before_anything_is_asked(
    given: Arguments, alpha: VenueServer, name: str
) -> None:
    seen = look(given, name=name)
    assert seen.outcome == "usage"
    assert "alpha, beta" in seen["msg"]
    assert alpha.seen == []


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": "nan"}, {"stale_after": -1}])
def test_limits_that_mean_nothing_are_refused(given: Arguments, wrong: dict[str, Any]) -> None:
    assert look(given, **wrong).outcome == "usage"
