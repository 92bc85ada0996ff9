# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Net exposure over all venues, an asset a line: what the desk must see at once when one leg of a hedge is cut off.

The machine only shows; hedge or hold is the desk's decision (seed-faults D6). A figure that lacks a venue, a symbol or
a unit says so: ``partial``. No prices, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Literal, NamedTuple

ZERO = Decimal(0)
_EXACT = Context(prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation, Overflow])


class Holding(NamedTuple):
    """One position as its venue states it. ``qty`` is signed, in ``unit``: base asset, contracts, or US dollars."""

    account: str
    symbol: str
    qty: Decimal
    unit: Literal["base", "contract", "usd"]


class VenueHoldings(NamedTuple):
    """What one venue holds. ``holdings`` None: it did not say (``why``), which is not the same as "nothing"."""

    exchange: str
    driver: str
    holdings: Sequence[Holding] | None
    why: str = ""


class Leg(NamedTuple):
    """One position; ``asset`` None where the symbol could not be mapped."""

    exchange: str
    account: str
    symbol: str
    asset: str | None
    qty: Decimal
    unit: str


class AssetExposure(NamedTuple):
    """``net`` sums the legs, ``gross`` their sizes, both in the base asset and over base-unit legs only. ``partial``
    with ``because``: something that belongs or may belong into the sum is not in it."""

    asset: str
    stable: bool
    net: Decimal
    gross: Decimal
    partial: bool
    because: tuple[str, ...]
    legs: tuple[Leg, ...]


class Exposure(NamedTuple):
    """``not_netted``: legs in contracts or dollars, as they are; ``unmapped``: legs of unknown asset; ``unknown``:
    venues that did not answer, with the reason. ``partial`` if any of these has an entry, or no venue was asked."""

    partial: bool
    assets: tuple[AssetExposure, ...]
    not_netted: tuple[Leg, ...]
    unmapped: tuple[Leg, ...]
    unknown: Mapping[str, str]


def net_exposure(venues: Iterable[VenueHoldings], overrides: Mapping[str, str] | None = None) -> Exposure:
    """Net the holdings of all venues per base asset.

    ``overrides`` names the base asset where ``base_asset`` cannot or should not: by "exchange:symbol", else "symbol".
    Raises ValueError for a quantity that is not a number or a unit that does not exist.
    """
    venues = list(venues)
    unknown = {venue.exchange: venue.why or "no answer" for venue in venues if venue.holdings is None}
    legs = sorted(
        (
            _leg(venue, holding, overrides or {})
            for venue in venues
            for holding in venue.holdings or ()
            if _checked(venue, holding).qty
        ),
        key=lambda leg: (leg.exchange, leg.account, leg.symbol, leg.unit, leg.qty),
    )
    unmapped = tuple(leg for leg in legs if leg.asset is None)
    not_netted = tuple(leg for leg in legs if leg.asset is not None and leg.unit != "base")
    # An unknown venue or symbol may belong to any asset, so it makes every figure partial.
    gaps = [f"{name} did not say what it holds: {why}" for name, why in sorted(unknown.items())]
    gaps += [f"{_said(leg)} has no known asset" for leg in unmapped]
    assets = sorted({leg.asset for leg in legs if leg.asset is not None})
    return Exposure(
        partial=bool(gaps or not_netted or not venues),
        assets=tuple(_asset_exposure(asset, [leg for leg in legs if leg.asset == asset], gaps) for asset in assets),
        not_netted=not_netted,
        unmapped=unmapped,
        unknown=unknown,
    )


def _asset_exposure(asset: str, legs: list[Leg], gaps: list[str]) -> AssetExposure:
    netted = [leg for leg in legs if leg.unit == "base"]
    net = gross = ZERO
    for leg in netted:
        net = _EXACT.add(net, leg.qty)
        gross = _EXACT.add(gross, leg.qty.copy_abs())
    because = (*(f"{_said(leg)} is not in {asset}" for leg in legs if leg.unit != "base"), *gaps)
    return AssetExposure(asset, asset in STABLES, net, gross, bool(because), because, tuple(netted))


def _leg(venue: VenueHoldings, holding: Holding, overrides: Mapping[str, str]) -> Leg:
    asset = overrides.get(f"{venue.exchange}:{holding.symbol}") or overrides.get(holding.symbol)
    asset = asset or base_asset(holding.symbol, venue.driver)
    return Leg(venue.exchange, holding.account, holding.symbol, asset, holding.qty, holding.unit)


def _checked(venue: VenueHoldings, holding: Holding) -> Holding:
    if not holding.qty.is_finite():
        raise ValueError(f"{venue.exchange} {holding.symbol}: quantity {holding.qty}")
    if holding.unit not in ("base", "contract", "usd"):
        raise ValueError(f"{venue.exchange} {holding.symbol}: unit {holding.unit!r}")
    return holding


def _said(leg: Leg) -> str:
    unit = "" if leg.unit == "base" else f" {leg.unit}"
    return f"{leg.exchange} {leg.symbol} {leg.qty:+f}{unit}"


# Symbols --------------------------------------------------------------------------------------------------------------


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: One asset, several names: Kraken's own (X for crypto, Z for fiat; ccxt's table agrees) and the old XBT.
ALIASES = {
    "XBT": "BTC",
    "XXBT": "BTC",
    "XETH": "ETH",
    "XETC": "ETC",
    "XLTC": "LTC",
    "XMLN": "MLN",
    "XREP": "REP",
    "XDG": "DOGE",
    "XXDG": "DOGE",
    "XXLM": "XLM",
    "XXMR": "XMR",
    "XXRP": "XRP",
    "XZEC": "ZEC",
    "ZAUD": "AUD",
    "ZCAD": "CAD",
    "ZEUR": "EUR",
    "ZGBP": "GBP",
    "ZJPY": "JPY",
    "ZUSD": "USD",
}
#: Worth a dollar or a euro by promise: shown as such, and not merged with each other, since promises break one by one.
STABLES = _names(
    "USDT USDC FDUSD TUSD BUSD USDP PYUSD RLUSD USDE USDS USD1 DAI EURC EURI AEUR EURT EURR XUSD USDG USDR USDQ"
)
_FIAT = _names("USD EUR GBP JPY CAD AUD CHF TRY BRL ARS MXN ZAR UAH PLN RON COP CZK IDR NGN RUB")
_MAJORS = _names("BTC XBT ETH SOL XRP BNB ADA DOGE LTC BCH ETC LINK DOT AVAX TRX XLM ATOM UNI XMR ZEC MATIC POL")
#: Bare assets that look like a pair: wrapped and staked coins are their own asset, not the coin they follow.
_LOOK_LIKE_PAIRS = _names("WBTC CBBTC TBTC WETH STETH WSTETH BETH WBETH CBETH RETH METH WEETH")
#: Quotes that end a name beyond doubt, longest first. Not everywhere the same: "DOTUSD" is DOT/USD at Kraken, while
#: Binance has no USD and "DOTTUSD" is DOT/TUSD.
_QUOTES = {
    "binance": ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "EUR"),
    "binanceusdm": ("USDT", "USDC", "BUSD"),
    "bybit": ("USDT", "USDC", "USDE", "USD", "EUR"),
    "kraken": ("USDT", "USDC", "USD", "EUR", "GBP", "CAD", "AUD", "CHF", "JPY"),
    "krakenfutures": ("USD", "EUR"),
}
#: Quotes that may as well be the end of a longer asset name ("SOLVBTC", "STARS"): only behind a well-known base.
_DOUBTFUL_QUOTES = ("BTC", "XBT", "ETH", "BNB", "DAI", *sorted(_FIAT))
#: Kraken writes both Threshold against USD and TrueUSD itself so.
_AMBIGUOUS = frozenset({("kraken", "TUSD")})
#: "1000PEPE": one unit is a thousand PEPE; netting it as PEPE or as itself would both mislead.
_MULTIPLIED = re.compile(r"(?:10{3,}|1M)[A-Z]+")

_DATE = r"\d{1,2}[A-Z]{3}\d{2}"
#: The forms of a driver's symbols, first match wins; ``base`` is the asset, ``pair`` base and quote in one word.
#: Options match none on purpose: their exposure is their delta, which is not known here.
_FORMS: dict[str, tuple[re.Pattern[str], ...]] = {
    "binance": (re.compile(r"(?P<pair>[A-Z0-9]+)"),),
    "binanceusdm": (re.compile(r"(?P<pair>[A-Z0-9]+)(?:_\d{6})?"),),
    "bybit": (
        re.compile(r"(?P<base>[A-Z0-9]+)PERP"),
        re.compile(r"(?P<pair>[A-Z0-9]+USD)[FGHJKMNQUVXZ]\d{2}"),
        re.compile(rf"(?P<pair>[A-Z0-9]+)(?:-{_DATE})?"),
    ),
    "okx": (
        re.compile(r"(?P<base>[A-Z0-9]+)-[A-Z0-9]+(?:-(?:SWAP|\d{6}))?"),
        re.compile(r"(?P<pair>[A-Z0-9]+)"),
    ),
    "kraken": (
        re.compile(r"(?P<base>[XZ][A-Z]{3}|USD[TC])(?:Z[A-Z]{3}|XXBT|XETH)"),
        re.compile(r"(?P<base>[A-Z0-9]+)/[A-Z0-9]+"),
        re.compile(r"(?P<pair>[A-Z0-9]*[A-Z])(?:\.(?:[SMBFPT]|HOLD))?"),  # .S staked, .F in rewards …: the same asset
    ),
    "krakenfutures": (
        re.compile(r"(?:PF|PI|FF|FI)_(?P<pair>[A-Z0-9]+)(?:_\d{6})?"),
        re.compile(r"(?P<pair>[A-Z0-9]+)"),
    ),
    "deribit": (
        re.compile(rf"(?P<base>[A-Z0-9]+)(?:_[A-Z]+)?-(?:PERPETUAL|{_DATE})"),
        re.compile(r"(?P<base>[A-Z0-9]+)_[A-Z]+"),
        re.compile(r"(?P<pair>[A-Z0-9]+)"),
    ),
    "ccxt": (
        re.compile(r"(?P<base>[A-Z0-9]+)/[A-Z0-9]+(?::[A-Z0-9]+(?:-\d{6})?)?"),
        re.compile(r"(?P<pair>[A-Z0-9]+)"),
    ),
}


def base_asset(symbol: str, driver: str) -> str | None:
    """The asset that a venue's own symbol is about, under one name everywhere: "XXBTZUSD" at kraken is "BTC".

    ``driver`` as in the venues file ("ccxt:<id>" takes ccxt's unified symbols). None where that is not certain: an
    option, a multiplied contract, an unknown form or driver.
    """
    family = driver.partition(":")[0]
    name = symbol.upper()
    for form in _FORMS.get(family, ()):
        if found := form.fullmatch(name):
            parts = found.groupdict()
            asset = parts["base"] if "base" in parts else _base_of_pair(parts["pair"], family)
            if asset is None or _MULTIPLIED.fullmatch(asset):
                return None
            return ALIASES.get(asset, asset)
    return None


def _base_of_pair(name: str, family: str) -> str | None:
    """The base of "BTCUSDT", or the name itself where it is an asset alone; None if it could be either."""
    if (family, name) in _AMBIGUOUS:
        return None
    if name in STABLES or name in _FIAT or name in _MAJORS or name in ALIASES or name in _LOOK_LIKE_PAIRS:
        return name
    for quote in _QUOTES.get(family, ()):
        if name.endswith(quote):
            return name.removesuffix(quote)
    for base in _MAJORS:
        if name.startswith(base) and name.removeprefix(base) in _DOUBTFUL_QUOTES and family in _QUOTES:
            return base
    # What is left is an asset alone, unless it ends or begins like a pair with a quote that is not listed above.
    ends = name.endswith((*_DOUBTFUL_QUOTES, *STABLES))
    begins = any(name.startswith(base) and len(name) >= len(base) + 3 for base in _MAJORS)
    return None if ends or begins else name
