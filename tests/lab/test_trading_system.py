# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system as a real process at real lab venues: its API, its gates, and whether its books are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hft_incident.lab.venues.server import VenueServer

from .trading_system_process import TradingSystemProcess, trading_system
from .venues_host import KEY, Host, venue_host
from .waiting import wait_until

EXCHANGES = {"alpha": "binance", "beta": "binance"}
TICKERS_THAT_PROVE_TIME_PASSED = 8  # the process asks for each venue's market data five times a second
REASON = "a test of the killswitch"


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
def beta(host: Host) -> VenueServer:
    return host.venues["beta"]


@pytest.fixture
def hft(tmp_path: Path, host: Host) -> Iterator[TradingSystemProcess]:
    """A trading system that quotes at both venues."""
    with trading_system(tmp_path, host, EXCHANGES) as system:
        wait_until(lambda: all(quoting(venue) for venue in host.venues.values()))
        yield system


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystemProcess]:
    """A trading system without market data: it answers and sends nothing."""
    folder = tmp_path_factory.mktemp("idle")
    with venue_host(EXCHANGES) as still, trading_system(folder, still, EXCHANGES) as system:
        yield system


def count(venue: VenueServer, op: str) -> int:
    return sum(seen.op == op for seen in list(venue.seen))


def quoting(venue: VenueServer) -> bool:
    return count(venue, "place") > 12


def orders_arrive(venue: VenueServer) -> None:
    """Fails where no further order comes."""
    before = count(venue, "place")
    wait_until(lambda: count(venue, "place") > before + 3)


def no_order_arrives(venue: VenueServer, before: int) -> None:
    """While the process is seen to live on, no order beyond ``before``."""
    tickers = count(venue, "ticker")
    wait_until(lambda: count(venue, "ticker") > tickers + TICKERS_THAT_PROVE_TIME_PASSED)
    assert count(venue, "place") == before


def exchange(hft: TradingSystemProcess, name: str) -> Any:
    return hft.get(f"/exchanges/{name}")


def all_cancelled(venue: VenueServer) -> None:
    """Fails where an order stays live."""
    wait_until(lambda: not venue.exchange.open_orders())


def live_ids(venue: VenueServer) -> set[str]:
    return {str(order.id) for order in venue.exchange.open_orders()}


def all_fills_are_booked(hft: TradingSystemProcess, venue: VenueServer) -> None:
    path, fills = f"/fills?exchange={venue.name}&limit=1000", len(venue.exchange.executions)
    wait_until(lambda: len(hft.get(path)["fills"]) == fills)


# The API ----------------------------------------------------------------------------------------------------------


def test_every_read_has_the_shape_of_the_contract(hft: TradingSystemProcess, alpha: VenueServer) -> None:
    wait_until(lambda: alpha.exchange.executions and hft.get("/fills?exchange=alpha")["fills"])
    wait_until(lambda: hft.get("/health")["status"] == "ok")
    health = hft.get("/health")
    assert health["mode"] == "live"
    assert health["uptime_s"] > 0
    assert isinstance(health["version"], str)
    assert health["components"]["gateway.alpha"] == "connected"

    row = exchange(hft, "alpha")
    assert set(row) == {"name", "enabled", "connected", "last_market_data_age_s", "open_orders", "key_fingerprint"}
    assert (row["name"], row["enabled"], row["connected"]) == ("alpha", True, True)
    assert 0 <= row["last_market_data_age_s"] < 1
    assert [row["name"] for row in hft.get("/exchanges")["exchanges"]] == ["alpha", "beta"]

    assert hft.get("/strategies")["strategies"] == [
        {"id": "mm-alpha", "exchanges": ["alpha"], "priority": "high", "state": "running"},
        {"id": "mm-beta", "exchanges": ["beta"], "priority": "high", "state": "running"},
        {"id": "probe-alpha", "exchanges": ["alpha"], "priority": "low", "state": "running"},
        {"id": "probe-beta", "exchanges": ["beta"], "priority": "low", "state": "running"},
        {"id": "arb-alpha-beta", "exchanges": ["alpha", "beta"], "priority": "normal", "state": "running"},
    ]

    order = hft.open_orders("alpha")[0]
    assert order.items() >= {"exchange": "alpha", "account": "spot", "symbol": "BTCUSDT", "status": "open"}.items()
    assert order["side"] in ("buy", "sell")
    assert order["client_id"].startswith("hft")
    assert Decimal(order["qty"]) == Decimal("0.01")
    assert isinstance(order["price"], str)

    fill = hft.get("/fills?exchange=alpha")["fills"][0]
    assert {"id", "order_id", "exchange", "symbol", "side", "qty", "price", "at", "at_ms"} <= set(fill)
    assert hft.get(f"/fills?since={fill['at']}")["fills"]
    assert hft.get("/fills?since=2199-01-01T00:00:00Z")["fills"] == []

    positions = hft.get("/positions")
    fields = {"exchange", "account", "symbol", "qty", "avg_price", "unrealized_pnl_usd"}
    assert all(fields <= set(row) for row in positions["positions"])
    total = sum(Decimal(row["unrealized_pnl_usd"]) for row in positions["positions"])
    assert Decimal(positions["total_unrealized_pnl_usd"]) == total

    latency = hft.get("/latency?window_s=60")
    assert latency["count"] > 12
    assert 0 < latency["p50_us"] <= latency["p99_us"] <= latency["p999_us"] <= latency["max_us"] < 2e6
    assert hft.get("/latency?window_s=0") == {
        "count": 0, "p50_us": None, "p99_us": None, "p999_us": None, "max_us": None
    }  # fmt: skip


def test_every_order_has_its_action_and_status(hft: TradingSystemProcess) -> None:
    assert hft.call("POST", "/system/clear_caches")[0] == 202
    assert hft.get("/orders")["orders"]
    wait_until(lambda: hft.get("/orders?status=canceled")["orders"])
    assert hft.call("POST", "/orders/archive").body["archived"] > 0
    assert hft.call("POST", "/exchanges/alpha/credentials/reload").status == 200
    reply = hft.call("POST", "/exchanges/alpha/reconnect")
    assert (reply.status, reply.body) == (202, {"connected": True})
    stopped = hft.call("POST", "/strategies/mm-alpha/stop")
    assert (stopped.status, stopped.body["state"]) == (200, "stopped")
    started = hft.call("POST", "/strategies/mm-alpha/start")
    assert (started.status, started.body["state"]) == (200, "running")


@pytest.mark.parametrize(
    ("method", "path", "raw", "status", "code"),
    [
        ("GET", "/exchanges/nowhere", b"", 404, "unknown_exchange"),
        ("POST", "/exchanges/nowhere/cancel_all_orders", b"", 404, "unknown_exchange"),
        ("POST", "/exchanges/nowhere/reconnect", b"", 404, "unknown_exchange"),
        ("GET", "/orders?exchange=nowhere", b"", 404, "unknown_exchange"),
        ("GET", "/orders?cursor=x", b"", 400, "bad_request"),
        ("GET", "/fills?since=yesterday", b"", 400, "bad_request"),
        ("GET", "/latency?window_s=long", b"", 400, "bad_request"),
        ("POST", "/strategies/nothing/stop", b"", 404, "unknown_strategy"),
        ("POST", "/killswitch", b'{"reason": ', 400, "bad_json"),
        ("PUT", "/config", b"[1]", 400, "bad_json"),
        ("PUT", "/config", b'{"exchanges": {"nowhere": {"enabled": false}}}', 404, "unknown_exchange"),
        ("PUT", "/config", b'{"exchanges": {"alpha": {"enabled": "no"}}}', 400, "bad_configuration"),
        ("PUT", "/config", b'{"exchanges": null}', 400, "bad_configuration"),
        ("PUT", "/config", b'{"mode": "fast"}', 400, "bad_configuration"),
        ("PUT", "/config", b'{"market_data": {"stale_after_s": -1}}', 400, "bad_configuration"),
        ("GET", "/nothing", b"", 404, "not_found"),
        ("DELETE", "/health", b"", 405, "method_not_allowed"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_changes_nothing(
    idle: TradingSystemProcess, method: str, path: str, raw: bytes, status: int, code: str
) -> None:
    before = idle.get("/config"), idle.get("/killswitch"), idle.get("/strategies")
    reply = idle.call(method, path, raw=raw)
    assert (reply.status, reply.body["error"]["code"]) == (status, code)
    assert reply.body["error"]["message"]
    assert (idle.get("/config"), idle.get("/killswitch"), idle.get("/strategies")) == before


def test_without_the_right_token_nothing_is_answered(tmp_path: Path, host: Host) -> None:
    with trading_system(tmp_path, host, EXCHANGES, token="a-token") as hft:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-token"}):
            for method, path in (("GET", "/health"), ("POST", "/killswitch"), ("PUT", "/config"), ("GET", "/no")):
                reply = hft.call(method, path, headers=headers)
                assert (reply.status, reply.body["error"]["code"]) == (401, "unauthorized")
        assert hft.call("GET", "/killswitch", headers={"Authorization": "Bearer a-token"}).body["active"] is False


def pages(hft: TradingSystemProcess, what: str, limit: int) -> list[list[str]]:
    """The ids on every page."""
    found, cursor = [], ""
    while cursor is not None:
        page = hft.get(f"/{what}?limit={limit}&cursor={cursor}")
        found.append([row["id"] for row in page[what]])
        cursor = page["cursor"]
    return found


def test_pages_of_fills_follow_the_cursor_across_exchanges(
    hft: TradingSystemProcess, alpha: VenueServer, beta: VenueServer
) -> None:
    wait_until(lambda: min(len(venue.exchange.executions) for venue in (alpha, beta)) >= 3)
    for venue in (alpha, beta):
        venue.exchange.feed_running = False
        all_fills_are_booked(hft, venue)
    everything = [row["id"] for row in hft.get("/fills?limit=1000")["fills"]]
    assert pages(hft, "fills", 1) == [[fill] for fill in everything]


def test_pages_follow_the_cursor_and_lose_nothing(hft: TradingSystemProcess, alpha: VenueServer) -> None:
    hft.call("POST", "/killswitch", {"reason": REASON})
    all_cancelled(alpha)
    wait_until(lambda: hft.open_orders() == [])
    everything = hft.get("/orders?limit=1000")["orders"]
    # Which orders there are, not how they stand: an exchange that is not waited for may still be settling.
    found = pages(hft, "orders", 5)
    assert [order for page in found for order in page] == [order["id"] for order in everything]
    assert [len(page) for page in found[:-1]] == [5] * (len(found) - 1)
    assert len(found) > 1


# The configuration ------------------------------------------------------------------------------------------------


def test_a_fragment_is_merged_into_the_rest(hft: TradingSystemProcess) -> None:
    before = hft.get("/config")
    after = hft.call("PUT", "/config", {"exchanges": {"alpha": {"enabled": False}}, "risk": {"limit": 3}}).body
    before["exchanges"]["alpha"]["enabled"] = False
    assert after == {**before, "risk": {"limit": 3}} == hft.get("/config")


def test_a_change_that_somebody_else_overtook_is_refused(hft: TradingSystemProcess) -> None:
    etag = hft.call("GET", "/config").headers["ETag"]
    first = hft.call("PUT", "/config", {"owner": "first"}, headers={"If-Match": etag})
    assert first.status == 200
    second = hft.call("PUT", "/config", {"owner": "second"}, headers={"If-Match": etag})
    assert (second.status, second.body["error"]["code"]) == (412, "precondition_failed")
    assert hft.get("/config")["owner"] == "first"
    third = hft.call("PUT", "/config", {"owner": "third"}, headers={"If-Match": first.headers["ETag"]})
    assert (third.status, third.body["owner"]) == (200, "third")


# Gates ------------------------------------------------------------------------------------------------------------


def test_after_the_killswitch_answered_no_order_arrives_and_all_are_cancelled(
    hft: TradingSystemProcess, host: Host, alpha: VenueServer, beta: VenueServer
) -> None:
    for venue in (alpha, beta):
        venue.latency_s = 0.02  # so that orders are on their way while it is pressed
        orders_arrive(venue)
    reply = hft.call("POST", "/killswitch", {"reason": REASON})
    placed = {venue.name: count(venue, "place") for venue in (alpha, beta)}
    assert reply.status == 202
    assert reply.body["active"] is True
    assert reply.body["reason"] == REASON
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", reply.body["since"])
    assert hft.get("/killswitch") == reply.body
    assert (hft.get("/health")["mode"], hft.get("/health")["status"]) == ("halted", "halted")
    again = hft.call("POST", "/killswitch", {"reason": "a second hand"})
    assert again.body == reply.body
    for venue in (alpha, beta):
        all_cancelled(venue)
        no_order_arrives(venue, placed[venue.name])
        assert exchange(hft, venue.name)["open_orders"] == 0
    assert hft.call("DELETE", "/killswitch").body == {"active": False, "reason": None, "since": None}
    orders_arrive(alpha)


def test_the_killswitch_does_not_wait_for_a_venue_that_hangs(
    hft: TradingSystemProcess, host: Host, alpha: VenueServer
) -> None:
    host.inject("alpha", kind="hang", op="place")
    orders_arrive(alpha)
    assert hft.call("POST", "/killswitch", {"reason": REASON}).body["active"] is True
    no_order_arrives(alpha, count(alpha, "place"))
    wait_until(lambda: not (hft.get("/orders?status=pending")["orders"] + hft.get("/orders?status=unknown")["orders"]))


def test_a_disabled_exchange_gets_no_orders_and_the_other_does(
    hft: TradingSystemProcess, alpha: VenueServer, beta: VenueServer
) -> None:
    alpha.latency_s = 0.02
    orders_arrive(alpha)
    assert hft.call("PUT", "/config", {"exchanges": {"alpha": {"enabled": False}}}).status == 200
    placed = count(alpha, "place")
    orders_arrive(beta)
    no_order_arrives(alpha, placed)
    assert exchange(hft, "alpha")["enabled"] is False
    assert exchange(hft, "alpha")["connected"] is True
    all_cancelled(alpha)
    hft.call("PUT", "/config", {"exchanges": {"alpha": {"enabled": True}}})
    orders_arrive(alpha)


def test_a_hold_file_halts_it_and_its_absence_lets_it_go_on(hft: TradingSystemProcess, alpha: VenueServer) -> None:
    hft.hold_file.touch()
    wait_until(lambda: hft.get("/health")["mode"] == "halted" and not alpha.exchange.open_orders())
    no_order_arrives(alpha, count(alpha, "place"))
    hft.hold_file.unlink()
    wait_until(lambda: hft.get("/health")["mode"] == "live")
    orders_arrive(alpha)


def test_started_under_a_hold_file_it_watches_and_sends_nothing(tmp_path: Path, host: Host, alpha: VenueServer) -> None:
    (tmp_path / "hold").touch()
    with trading_system(tmp_path, host, EXCHANGES) as hft:
        wait_until(lambda: exchange(hft, "alpha")["connected"] and exchange(hft, "alpha")["last_market_data_age_s"])
        no_order_arrives(alpha, 0)
        hft.hold_file.unlink()
        orders_arrive(alpha)


def test_observing_means_no_orders(hft: TradingSystemProcess, alpha: VenueServer) -> None:
    hft.call("PUT", "/config", {"mode": "observe"})
    placed = count(alpha, "place")
    assert hft.get("/health")["mode"] == "observe"
    no_order_arrives(alpha, placed)


def test_a_stopped_strategy_sends_nothing_and_takes_only_its_own_orders_back(
    hft: TradingSystemProcess, alpha: VenueServer
) -> None:
    for strategy in ("probe-alpha", "arb-alpha-beta"):
        hft.call("POST", f"/strategies/{strategy}/stop")
    wait_until(lambda: {order["strategy"] for order in hft.open_orders("alpha")} == {"mm-alpha"})
    orders_arrive(alpha)
    hft.call("POST", "/strategies/mm-alpha/stop")
    placed = count(alpha, "place")
    all_cancelled(alpha)
    no_order_arrives(alpha, placed)
    hft.call("POST", "/strategies/probe-alpha/start")
    wait_until(lambda: {order["strategy"] for order in hft.open_orders("alpha")} == {"probe-alpha"})


def test_stale_market_data_pauses_quoting_and_then_ends_the_session(
    hft: TradingSystemProcess, host: Host, alpha: VenueServer, beta: VenueServer
) -> None:
    host.inject("alpha", kind="feed_stops")
    wait_until(lambda: exchange(hft, "alpha")["last_market_data_age_s"] > 1)
    placed = count(alpha, "place")
    wait_until(lambda: not exchange(hft, "alpha")["connected"])
    assert hft.get("/health")["status"] == "degraded"
    assert hft.get("/health")["components"]["gateway.alpha"] == "disconnected"
    assert exchange(hft, "beta")["connected"]
    host.clear("alpha")
    wait_until(lambda: (age := exchange(hft, "alpha")["last_market_data_age_s"]) is not None and age < 1)
    no_order_arrives(alpha, placed)  # the data is back, but nobody has reconnected
    assert hft.call("POST", "/exchanges/alpha/reconnect").body == {"connected": True}
    orders_arrive(alpha)


def test_an_unreachable_venue_stays_disconnected_until_a_reconnect_reaches_it(
    hft: TradingSystemProcess, host: Host, alpha: VenueServer
) -> None:
    host.inject("alpha", kind="refuse")
    wait_until(lambda: not exchange(hft, "alpha")["connected"])
    reply = hft.call("POST", "/exchanges/alpha/reconnect")
    assert (reply.status, reply.body) == (202, {"connected": False})
    outside = [order for order in alpha.exchange.open_orders() if alpha.exchange.cancel(order)]
    assert {row["id"] for row in hft.open_orders("alpha")} >= {str(order.id) for order in outside}
    host.clear("alpha")
    assert hft.call("POST", "/exchanges/alpha/reconnect").body == {"connected": True}
    assert not {row["id"] for row in hft.open_orders("alpha")} & {str(order.id) for order in outside}
    orders_arrive(alpha)


def test_a_revoked_key_ends_the_session_and_a_reloaded_one_regains_it(
    hft: TradingSystemProcess, alpha: VenueServer
) -> None:
    alpha.exchange.keys["the-new-key"] = alpha.exchange.keys.pop(KEY.id)
    wait_until(lambda: not exchange(hft, "alpha")["connected"])
    assert hft.call("POST", "/exchanges/alpha/reconnect").body == {"connected": False}
    hft.key_file.write_text("torn")
    assert hft.call("POST", "/exchanges/alpha/credentials/reload").status == 500
    hft.write_key("the-new-key")
    assert hft.call("POST", "/exchanges/alpha/credentials/reload").status == 200
    assert hft.call("POST", "/exchanges/alpha/reconnect").body == {"connected": True}
    orders_arrive(alpha)


# Books ------------------------------------------------------------------------------------------------------------


def test_cancel_all_orders_takes_what_was_open_and_quoting_goes_on(
    hft: TradingSystemProcess, alpha: VenueServer
) -> None:
    before = live_ids(alpha)
    reply = hft.call("POST", "/exchanges/alpha/cancel_all_orders")
    assert reply.status == 202
    assert reply.body["requested"] >= 1
    wait_until(lambda: not live_ids(alpha) & before)
    orders_arrive(alpha)


def test_a_cancel_that_the_venue_only_claims_is_not_believed_for_long(
    hft: TradingSystemProcess, host: Host, alpha: VenueServer
) -> None:
    host.inject("alpha", kind="cancel_ignored", op="*")
    hft.call("POST", "/killswitch", {"reason": REASON})
    assert live_ids(alpha)
    wait_until(lambda: {row["id"] for row in hft.open_orders("alpha")} == live_ids(alpha))
    host.clear("alpha")
    wait_until(lambda: not live_ids(alpha))


def test_an_order_that_somebody_else_cancelled_is_not_believed_open(
    hft: TradingSystemProcess, alpha: VenueServer
) -> None:
    for strategy in ("mm-alpha", "arb-alpha-beta"):
        hft.call("POST", f"/strategies/{strategy}/stop")
    cancelled = {str(order.id) for order in alpha.exchange.cancel_all()}
    wait_until(lambda: not {row["id"] for row in hft.open_orders("alpha")} & cancelled)


def test_quiet_its_positions_equal_the_venues_own_exactly(
    hft: TradingSystemProcess, alpha: VenueServer, beta: VenueServer
) -> None:
    wait_until(lambda: min(len(venue.exchange.executions) for venue in (alpha, beta)) >= 5)
    hft.call("POST", "/killswitch", {"reason": REASON})
    for venue in (alpha, beta):
        all_cancelled(venue)
        venue.exchange.feed_running = False
        all_fills_are_booked(hft, venue)
        booked = {
            (row["account"], row["symbol"]): Decimal(row["qty"])
            for row in hft.get("/positions")["positions"]
            if row["exchange"] == venue.name
        }
        assert booked == {("spot", asset): qty for asset, qty in venue.exchange.balances.items() if qty}
        assert booked["spot", "USDT"] != Decimal("1000000")


def test_killed_it_leaves_its_orders_live_and_its_successor_books_on_from_the_venues_holdings(
    tmp_path: Path, hft: TradingSystemProcess, host: Host, alpha: VenueServer
) -> None:
    hft.kill_dash_nine()
    orphans = live_ids(alpha)
    assert orphans
    wait_until(lambda: len(alpha.exchange.executions) >= 3 or not live_ids(alpha))
    alpha.exchange.feed_running = False
    left = live_ids(alpha)
    with trading_system(tmp_path, host, EXCHANGES) as successor:
        wait_until(lambda: exchange(successor, "alpha")["connected"])
        rows = [row for row in successor.get("/positions")["positions"] if row["exchange"] == "alpha"]
        assert {row["symbol"]: Decimal(row["qty"]) for row in rows} == alpha.exchange.balances
        assert successor.get("/fills?exchange=alpha")["fills"] == []
        assert live_ids(alpha) == left


def test_asked_to_end_it_cancels_its_orders(hft: TradingSystemProcess, alpha: VenueServer, beta: VenueServer) -> None:
    assert hft.end() == 0
    assert live_ids(alpha) == live_ids(beta) == set()


def test_its_log_tells_what_happened_and_no_secret(hft: TradingSystemProcess, alpha: VenueServer, host: Host) -> None:
    wait_until(lambda: alpha.exchange.executions)
    host.inject("alpha", kind="revoked_key")
    wait_until(lambda: not exchange(hft, "alpha")["connected"])
    hft.call("POST", "/killswitch", {"reason": "first line\nforged line"})
    hft.end()
    lines = hft.log_file.read_text().splitlines()
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (INFO|WARNING|ERROR|CRITICAL) +\[(system|gateway\.\w+)\] .+"
    assert [line for line in lines if not re.fullmatch(form, line)] == []
    text = "\n".join(lines)
    for told in ("fill buy", "connection lost", "killswitch activated", "stopped"):
        assert told in text
    for secret in (KEY.secret, KEY.id, "signature"):
        assert secret not in text
