# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Net exposure: the right asset, the exact sum, and nothing dropped in silence."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.exposure import (
    ALIASES,
    Exposure,
    Holding,
    VenueHoldings,
    base_asset,
    net_exposure,
)
from ansible_collections.hft.incident.plugins.module_utils.redaction import recordable

D = Decimal
NATIVE = ("binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "deribit")


def holding(symbol: str, qty: str, unit: Literal["base", "contract", "usd"] = "base") -> Holding:
    return Holding("main", symbol, D(qty), unit)


def venue(name: str, *holdings: Holding) -> VenueHoldings:
    return VenueHoldings(name, name, holdings)


def asset(result: Exposure, name: str) -> Any:
    (found,) = (found for found in result.assets if found.asset == name)
    return found


# Symbols --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver", "symbol", "base"),
    [
        ("binance", "BTCUSDT", "BTC"),
        ("binance", "btcusdt", "BTC"),
        ("binance", "BTCFDUSD", "BTC"),
        ("binance", "DOTTUSD", "DOT"),
        ("binance", "USDCUSDT", "USDC"),
        ("binance", "EURUSDT", "EUR"),
        ("binance", "ETHBTC", "ETH"),
        ("binance", "BTCTRY", "BTC"),
        ("binance", "1INCHUSDT", "1INCH"),
        ("binance", "BTC", "BTC"),
        ("binance", "USDT", "USDT"),
        ("binance", "TUSD", "TUSD"),
        ("binance", "WBTC", "WBTC"),
        ("binance", "PEPE", "PEPE"),
        ("binanceusdm", "BTCUSDT", "BTC"),
        ("binanceusdm", "BTCUSDT_261225", "BTC"),
        ("bybit", "BTCUSDT", "BTC"),
        ("bybit", "BTCUSD", "BTC"),
        ("bybit", "DOTUSD", "DOT"),
        ("bybit", "BTCPERP", "BTC"),
        ("bybit", "PERPUSDT", "PERP"),
        ("bybit", "BTCUSDZ26", "BTC"),
        ("bybit", "BTC-25DEC26", "BTC"),
        ("bybit", "ETHUSDT-25DEC26", "ETH"),
        ("okx", "BTC-USDT-SWAP", "BTC"),
        ("okx", "BTC-USD-SWAP", "BTC"),
        ("okx", "BTC-USDT", "BTC"),
        ("okx", "ETH-USD-261225", "ETH"),
        ("okx", "BTC", "BTC"),
        ("kraken", "XXBTZUSD", "BTC"),
        ("kraken", "XETHZEUR", "ETH"),
        ("kraken", "XETHXXBT", "ETH"),
        ("kraken", "USDTZUSD", "USDT"),
        ("kraken", "XTZUSD", "XTZ"),
        ("kraken", "DOTUSD", "DOT"),
        ("kraken", "XBTUSDT", "BTC"),
        ("kraken", "XBT/USD", "BTC"),
        ("kraken", "XDGUSD", "DOGE"),
        ("kraken", "XXBT", "BTC"),
        ("kraken", "XBT.F", "BTC"),
        ("kraken", "DOT.S", "DOT"),
        ("kraken", "ZUSD", "USD"),
        ("krakenfutures", "PF_XBTUSD", "BTC"),
        ("krakenfutures", "PI_XBTUSD", "BTC"),
        ("krakenfutures", "FI_XBTUSD_261225", "BTC"),
        ("krakenfutures", "pf_ethusd", "ETH"),
        ("krakenfutures", "xbt", "BTC"),
        ("deribit", "BTC-PERPETUAL", "BTC"),
        ("deribit", "ETH-25DEC26", "ETH"),
        ("deribit", "SOL_USDC-PERPETUAL", "SOL"),
        ("deribit", "BTC_USDC", "BTC"),
        ("deribit", "USDC", "USDC"),
        ("ccxt:gate", "BTC/USDT", "BTC"),
        ("ccxt:gate", "BTC/USDT:USDT", "BTC"),
        ("ccxt:gate", "BTC/USD:BTC-261225", "BTC"),
    ],
)
def test_a_venues_own_symbol_gives_its_base_asset(driver: str, symbol: str, base: str) -> None:
    assert base_asset(symbol, driver) == base


@pytest.mark.parametrize(
    ("driver", "symbol"),
    [
        ("deribit", "BTC-25DEC26-60000-C"),
        ("okx", "BTC-USD-261225-60000-C"),
        ("bybit", "BTC-25DEC26-60000-C-USDT"),
        ("ccxt:deribit", "BTC/USD:BTC-261225-60000-C"),
        ("deribit", "BTC-FS-25DEC26_PERP"),
        ("binanceusdm", "1000PEPEUSDT"),
        ("bybit", "1000PEPEPERP"),
        ("binanceusdm", "1MBABYDOGEUSDT"),
        ("binance", "SOLVBTC"),
        ("binance", "PUMPBTC"),
        ("binance", "BTCXYZ"),
        ("okx", "BTCUSDT"),
        ("deribit", "BTCUSD"),
        ("kraken", "TUSD"),
        ("kraken", "ETH2.S"),
        ("binance", "BTC-USDT"),
        ("binance", ""),
        ("binance", "BTC USDT"),
        ("nobody", "BTCUSDT"),
    ],
)
def test_what_is_not_certain_has_no_base_asset(driver: str, symbol: str) -> None:
    assert base_asset(symbol, driver) is None


@given(st.text(max_size=20), st.sampled_from([*NATIVE, "ccxt:x"]) | st.text(max_size=8))
def test_any_text_has_an_answer_and_a_known_alias_is_never_one(symbol: str, driver: str) -> None:
    found = base_asset(symbol, driver)
    assert found is None or (found and found not in ALIASES)


@given(st.sampled_from(NATIVE), st.sampled_from(["BTC", "ETH", "USDT", "XBT", "SOL"]))
def test_a_bare_asset_is_itself_everywhere(driver: str, name: str) -> None:
    assert base_asset(name, driver) == ALIASES.get(name, name)


# Netting --------------------------------------------------------------------------------------------------------------


def test_a_hedge_over_three_venues_nets_under_one_name() -> None:
    result = net_exposure(
        [
            venue("binance", holding("BTC", "3.0")),
            venue("krakenfutures", holding("PF_XBTUSD", "-2.5")),
            venue("kraken", holding("XXBT", "0.1"), holding("ZUSD", "-500")),
        ]
    )
    btc = asset(result, "BTC")
    assert (btc.net, btc.gross, btc.partial, btc.because) == (D("0.6"), D("5.6"), False, ())
    assert [(leg.exchange, leg.qty) for leg in btc.legs] == [
        ("binance", D("3.0")),
        ("kraken", D("0.1")),
        ("krakenfutures", D("-2.5")),
    ]
    assert asset(result, "USD").net == -500
    assert not result.partial


def test_an_unknown_venue_makes_every_figure_partial_and_says_why() -> None:
    result = net_exposure([venue("binance", holding("BTC", "1")), VenueHoldings("okx", "okx", None, "HTTP 502")])
    assert result.partial
    assert result.unknown == {"okx": "HTTP 502"}
    (btc,) = result.assets
    assert btc.partial
    assert btc.because == ("okx did not say what it holds: HTTP 502",)


def test_contracts_and_dollars_are_listed_but_never_netted() -> None:
    result = net_exposure(
        [
            venue("deribit", holding("BTC-PERPETUAL", "-10000", "usd")),
            venue("okx", holding("BTC-USDT-SWAP", "7", "contract"), holding("ETH-USDT", "1")),
        ]
    )
    assert [(leg.symbol, leg.qty, leg.unit) for leg in result.not_netted] == [
        ("BTC-PERPETUAL", D("-10000"), "usd"),
        ("BTC-USDT-SWAP", D("7"), "contract"),
    ]
    btc = asset(result, "BTC")
    assert (btc.net, btc.gross, btc.legs, btc.partial) == (0, 0, (), True)
    assert btc.because == (
        "deribit BTC-PERPETUAL -10000 usd is not in BTC",
        "okx BTC-USDT-SWAP +7 contract is not in BTC",
    )
    assert not asset(result, "ETH").partial
    assert result.partial


def test_an_unmapped_symbol_is_reported_and_makes_every_figure_partial() -> None:
    result = net_exposure([venue("deribit", holding("BTC-25DEC26-60000-C", "10"), holding("BTC", "1"))])
    assert [(leg.symbol, leg.asset) for leg in result.unmapped] == [("BTC-25DEC26-60000-C", None)]
    assert result.partial
    assert asset(result, "BTC").because == ("deribit BTC-25DEC26-60000-C +10 has no known asset",)


def test_an_override_maps_what_the_rules_cannot_and_the_closer_one_wins() -> None:
    holdings = [venue("binance", holding("SOLVBTC", "1")), venue("okx", holding("SOLVBTC", "1"))]
    result = net_exposure(holdings, {"SOLVBTC": "SOLVBTC", "okx:SOLVBTC": "SOLV"})
    assert [(found.asset, found.net) for found in result.assets] == [("SOLV", D(1)), ("SOLVBTC", D(1))]
    assert not result.partial


def test_a_position_of_zero_is_no_leg() -> None:
    result = net_exposure([venue("okx", holding("BTC-USDT-SWAP", "0", "contract"), holding("what?", "0"))])
    assert result == Exposure(False, (), (), (), {})


def test_no_venue_asked_is_a_partial_answer() -> None:
    assert net_exposure([]).partial


def test_stablecoins_are_marked_and_not_merged() -> None:
    result = net_exposure([venue("binance", holding("USDT", "5"), holding("USDC", "5"), holding("BTC", "1"))])
    assert [(found.asset, found.stable) for found in result.assets] == [("BTC", False), ("USDC", True), ("USDT", True)]


@pytest.mark.parametrize("wrong", [Holding("main", "BTC", D("NaN"), "base"), Holding("main", "BTC", D(1), "lots")])  # type: ignore[arg-type]  # the wrong unit is the point
def test_a_row_that_means_nothing_is_an_error(wrong: Holding) -> None:
    with pytest.raises(ValueError, match="binance BTC"):
        net_exposure([venue("binance", wrong)])


rows = st.builds(
    Holding,
    st.sampled_from(["main", "sub"]),
    st.sampled_from(["BTC", "BTCUSDT", "ETHUSDT", "BTC-USDT-SWAP", "BTC-PERPETUAL", "PF_XBTUSD", "what?"]),
    st.decimals(min_value=-(10**12), max_value=10**12, places=8),
    st.sampled_from(["base", "contract", "usd"]),
)
venues = st.lists(
    st.builds(
        lambda name, holdings: VenueHoldings(name, name, holdings),
        st.sampled_from(NATIVE),
        st.none() | st.lists(rows, max_size=5),
    ),
    max_size=5,
)


@given(venues)
def test_every_holding_is_netted_or_listed_and_sums_are_exact(asked: list[VenueHoldings]) -> None:
    result = net_exposure(asked)
    netted = [leg for found in result.assets for leg in found.legs]
    shown = sorted(
        (leg.exchange, *leg[1:3], leg.qty, leg.unit) for leg in [*netted, *result.not_netted, *result.unmapped]
    )
    given_rows = [(place.exchange, row) for place in asked for row in place.holdings or () if row.qty]
    assert shown == sorted((name, row.account, row.symbol, row.qty, row.unit) for name, row in given_rows)
    for found in result.assets:
        assert found.net == sum((leg.qty for leg in found.legs), D(0))
        assert abs(found.net) <= found.gross
        assert found.partial == bool(found.because)
    json.dumps(recordable(result))


@given(venues)
def test_an_unanswered_venue_leaves_no_figure_whole(asked: list[VenueHoldings]) -> None:
    result = net_exposure([*asked, VenueHoldings("lost", "okx", None)])
    assert result.partial
    assert all(found.partial for found in result.assets)
    assert "lost" in result.unknown


@given(venues, st.randoms(use_true_random=False))
def test_the_order_of_the_venues_is_irrelevant(asked: list[VenueHoldings], rng: Any) -> None:
    assert net_exposure(rng.sample(asked, len(asked))) == net_exposure(asked)


def test_sums_do_not_round() -> None:
    huge, tiny = "1" + "0" * 30, "0." + "0" * 39 + "1"
    btc = asset(net_exposure([venue("binance", holding("BTC", huge), holding("BTC", tiny))]), "BTC")
    assert str(btc.net) == str(btc.gross) == huge + tiny.removeprefix("0")
