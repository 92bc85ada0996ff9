# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Their fault or ours: evidence about one venue in, a verdict with its reasons out.

The rules are a table, read from the top, the first that holds decides. ``healthy`` needs positive proof of every part;
what was not looked at is ``unknown``, never fine. The status page is shown beside the verdict and no rule can see it:
such pages lie and come late (seed-faults D9). No I/O here.

That the exchange is switched off in our trading system is our own doing, a response's as a rule, and hides nothing: the
verdict is about what else is wrong, and the switch is told behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

State = Literal["ok", "failed", "unknown"]
Verdict = Literal["venue_down", "our_connection", "our_key", "healthy", "unknown"]


class Check(NamedTuple):
    """One thing tried from here. ``kind`` of a failed request is the venue error's kind (``venues.errors``), or
    "settings" where our own entry or key for the venue could not be used, so that nothing was asked."""

    state: State = "unknown"
    kind: str = ""
    detail: str = ""


class TradingSystemView(NamedTuple):
    """What the trading system says of this exchange; None where it did not say, and ``detail`` says why."""

    connected: bool | None = None
    enabled: bool | None = None
    last_market_data_age_s: float | None = None
    detail: str = ""


class OtherVenues(NamedTuple):
    """How many of the other venues answer from here, of how many tried."""

    ok: int = 0
    tried: int = 0


class Evidence(NamedTuple):
    """Everything known about one venue at one moment; what is left out counts as not tried.

    ``market_data`` is the venue's own public ticker, read directly. ``clock_offset_ms`` is the venue's clock minus
    ours, ``clock_window_ms`` how far apart the venue tolerates (None: no limit known).
    """

    dns: Check = Check()
    tcp: Check = Check()
    tls: Check = Check()
    public_time: Check = Check()
    authenticated_read: Check = Check()
    clock_offset_ms: int | None = None
    clock_window_ms: int | None = None
    market_data: Literal["fresh", "stale", "unknown"] = "unknown"
    trading_system: TradingSystemView = TradingSystemView()
    stale_after_s: float = 30.0  #: runbook section 3, "no market data received for 30+ seconds"
    others: OtherVenues = OtherVenues()
    status_page: Literal["online", "maintenance", "unknown"] = "unknown"


class Diagnosis(NamedTuple):
    """``because`` is the evidence that decided, ``supporting`` what is worth knowing beside it. ``venue_reachable``:
    public time and authenticated read both fine, whatever the trading system sees; a recovery watch waits for it."""

    verdict: Verdict
    sentence: str
    because: tuple[str, ...]
    supporting: tuple[str, ...]
    venue_reachable: bool


def diagnose(evidence: Evidence) -> Diagnosis:
    """The verdict of the first rule that holds. Total: no combination of evidence raises."""
    rule = next((rule for rule in RULES if rule.holds(evidence)), _UNKNOWN)
    sentence, shows = rule.sentence, rule.shows
    if evidence.trading_system.enabled is False:
        sentence = f"{sentence} {SWITCHED_OFF}"
        shows = tuple(dict.fromkeys((*shows, "trading_system")))
    return Diagnosis(
        rule.verdict,
        sentence,
        tuple(_LINES[name](evidence) for name in shows),
        (_LINES["status_page"](evidence),),
        _reachable(evidence),
    )


# What the rules ask ---------------------------------------------------------------------------------------------------

#: Failures where nothing that makes sense came back, in ``venues.errors``' words.
NO_ANSWER = ("unavailable", "unknown_outcome", "malformed")


def _failed(check: Check, *kinds: str) -> bool:
    return check.state == "failed" and check.kind in kinds


def _either_failed(e: Evidence, *kinds: str) -> bool:
    return _failed(e.public_time, *kinds) or _failed(e.authenticated_read, *kinds)


def _reachable(e: Evidence) -> bool:
    return e.public_time.state == "ok" and e.authenticated_read.state == "ok"


def _clock_apart(e: Evidence) -> bool:
    if e.clock_offset_ms is None or e.clock_window_ms is None:
        return False
    return abs(e.clock_offset_ms) > e.clock_window_ms


def _stale(e: Evidence) -> bool:
    """The trading system's data is known to be old. Not the opposite of ``_fresh``: it may have said nothing."""
    age = e.trading_system.last_market_data_age_s
    return age is not None and age > e.stale_after_s


def _fresh(e: Evidence) -> bool:
    age = e.trading_system.last_market_data_age_s
    return age is not None and 0 <= age <= e.stale_after_s  # also false for NaN


def _path_failed(e: Evidence) -> bool:
    """Nothing gets through: a step on the way fails and the public call does not prove otherwise."""
    return e.public_time.state != "ok" and "failed" in (e.dns.state, e.tcp.state, e.tls.state)


def _others_fine(e: Evidence) -> bool:
    return e.others.tried > 0 and 2 * e.others.ok >= e.others.tried


def _others_fail(e: Evidence) -> bool:
    return e.others.tried > 0 and 2 * e.others.ok < e.others.tried


def _talks_nonsense(e: Evidence) -> bool:
    """The connection stands and what comes over it is a 5xx, a web page, half an answer or nothing in time."""
    connected = e.tcp.state == "ok" and e.tls.state != "failed"
    return connected and _either_failed(e, *NO_ANSWER)


def _connection_proven(e: Evidence) -> bool:
    return (
        _reachable(e)
        and e.trading_system.connected is True
        and _fresh(e)
        and e.market_data != "stale"
        and "failed" not in (e.dns.state, e.tcp.state, e.tls.state)  # something contradicts the rest
    )


# The rules ------------------------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """``shows`` names the evidence that decided, in the order a reader wants it."""

    holds: Callable[[Evidence], bool]
    verdict: Verdict
    sentence: str
    shows: tuple[str, ...]


SWITCHED_OFF = "The exchange is switched off in our trading system."

RULES: tuple[Rule, ...] = (
    Rule(
        lambda e: _failed(e.public_time, "settings"),
        "our_connection",
        "Our own entry for this venue cannot be used, so nothing was asked: mend it in the venues file.",
        ("public_time",),
    ),
    # Before all about the venue: everything below ends in asking again, which makes these worse (seed-faults D11).
    Rule(
        lambda e: _either_failed(e, "banned"),
        "our_connection",
        "The venue has banned us for asking too much, which is our own doing: stop asking and wait it out.",
        ("public_time", "authenticated_read"),
    ),
    Rule(
        lambda e: _either_failed(e, "rate_limited"),
        "our_connection",
        "The venue limits our rate, which is our own doing: ask less and wait as long as it says.",
        ("public_time", "authenticated_read"),
    ),
    # Ours, whoever's clock is wrong: the venue answers and keeps its own time, and only our side can follow it.
    Rule(
        lambda e: (
            _failed(e.authenticated_read, "clock_skew") or (_failed(e.authenticated_read, "auth") and _clock_apart(e))
        ),
        "our_connection",
        "The venue refuses our timestamps: check this machine's clock, then apply the venue's offset.",
        ("authenticated_read", "clock"),
    ),
    Rule(
        lambda e: e.public_time.state == "ok" and _failed(e.authenticated_read, "auth"),
        "our_key",
        "The venue answers but refuses our key: check that it is valid, what it may do, and from which addresses.",
        ("public_time", "clock", "authenticated_read"),
    ),
    Rule(
        lambda e: e.public_time.state == "ok" and _failed(e.authenticated_read, "settings"),
        "our_key",
        "The venue answers, but our key for it cannot be used here: mend what the venues file says of it.",
        ("public_time", "authenticated_read"),
    ),
    # The venue is reachable: whose fault is what the trading system sees?
    Rule(
        lambda e: _reachable(e) and e.market_data == "stale" and (_stale(e) or e.trading_system.connected is False),
        "venue_down",
        "The venue answers but its market data stands still, also when read directly: its feed stopped.",
        ("authenticated_read", "trading_system", "market_data"),
    ),
    Rule(
        lambda e: _reachable(e) and e.trading_system.connected is False,
        "our_connection",
        "The venue answers from here but our trading system is not connected to it: reconnect.",
        ("public_time", "authenticated_read", "trading_system", "market_data"),
    ),
    Rule(
        lambda e: _reachable(e) and _stale(e),
        "our_connection",
        "The venue answers from here but our trading system's market data is old: reconnect its feed.",
        ("public_time", "authenticated_read", "trading_system", "market_data"),
    ),
    Rule(
        lambda e: _reachable(e) and _clock_apart(e),
        "our_connection",
        "The venue answers, but its clock and ours are further apart than it tolerates: orders may be refused.",
        ("public_time", "clock", "authenticated_read"),
    ),
    # All that keeps it from being healthy is ours.
    Rule(
        lambda e: _connection_proven(e) and e.trading_system.enabled is False,
        "our_connection",
        "Nothing is wrong with the venue or with our connection to it.",
        ("public_time", "authenticated_read", "trading_system", "market_data"),
    ),
    Rule(
        lambda e: _connection_proven(e) and e.trading_system.enabled is True,
        "healthy",
        "The venue answers, takes our key, and our trading system is connected, enabled and has fresh market data.",
        ("public_time", "authenticated_read", "trading_system", "market_data"),
    ),
    # The venue is not reachable: is anyone else?
    Rule(
        lambda e: _others_fail(e) and (_path_failed(e) or _failed(e.public_time, *NO_ANSWER)),
        "our_connection",
        "This venue fails and so do most others from here: look at our own network first.",
        ("dns", "tcp", "tls", "public_time", "others"),
    ),
    Rule(
        lambda e: _others_fine(e) and _path_failed(e) and e.dns.state == "failed",
        "venue_down",
        "The venue's name does not resolve while other venues answer.",
        ("dns", "others"),
    ),
    Rule(
        lambda e: _others_fine(e) and _path_failed(e) and e.tcp.state == "failed",
        "venue_down",
        "The venue takes no connection while other venues answer.",
        ("dns", "tcp", "others"),
    ),
    Rule(
        lambda e: _others_fine(e) and _path_failed(e),
        "venue_down",
        "The venue offers no trustworthy TLS connection while other venues do; never switch the check off.",
        ("tcp", "tls", "others"),
    ),
    Rule(
        lambda e: _failed(e.public_time, "auth"),
        "our_connection",
        "The venue refuses even public calls from here: this address or region is blocked.",
        ("public_time", "authenticated_read", "others"),
    ),
    Rule(
        _talks_nonsense,
        "venue_down",
        "The venue takes connections but gives no usable answers.",
        ("tcp", "public_time", "authenticated_read"),
    ),
)

# How evidence reads ---------------------------------------------------------------------------------------------------


def _with_detail(line: str, detail: str) -> str:
    detail = " ".join(detail.split())
    return line + (f" ({detail})" if detail else "")


def _check_line(label: str, check: Check) -> str:
    state = "not known" if check.state == "unknown" else " ".join(filter(None, (check.state, check.kind)))
    return _with_detail(f"{label}: {state}", check.detail)


def _clock_line(e: Evidence) -> str:
    if e.clock_offset_ms is None:
        return "clock: the venue's time is not known"
    window = "limit not known" if e.clock_window_ms is None else f"it tolerates {e.clock_window_ms} ms"
    return f"clock: the venue's is {e.clock_offset_ms:+d} ms from ours, {window}"


def _trading_system_line(e: Evidence) -> str:
    words = {True: "yes", False: "no", None: "not known"}
    age = e.trading_system.last_market_data_age_s
    data = "not known" if age is None else f"{age:g} s old, limit {e.stale_after_s:g} s"
    connected, enabled = words[e.trading_system.connected], words[e.trading_system.enabled]
    line = f"trading system: connected {connected}, enabled {enabled}, market data {data}"
    return _with_detail(line, e.trading_system.detail)


_LINES: dict[str, Callable[[Evidence], str]] = {
    "dns": lambda e: _check_line("DNS", e.dns),
    "tcp": lambda e: _check_line("TCP", e.tcp),
    "tls": lambda e: _check_line("TLS", e.tls),
    "public_time": lambda e: _check_line("public time", e.public_time),
    "clock": _clock_line,
    "authenticated_read": lambda e: _check_line("authenticated read", e.authenticated_read),
    "trading_system": _trading_system_line,
    "market_data": lambda e: f"market data read at the venue: {e.market_data.replace('unknown', 'not known')}",
    "others": lambda e: f"other venues: {e.others.ok} of {e.others.tried} answer from here",
    "status_page": lambda e: f"status page: {e.status_page.replace('unknown', 'not known')}; it decides nothing",
}

_UNKNOWN = Rule(
    lambda e: True,
    "unknown",
    "The evidence is missing or contradicts itself; treat the venue as not safe to trade.",
    tuple(name for name in _LINES if name != "status_page"),
)
