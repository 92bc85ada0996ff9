# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The record of a whole severity 1 incident of 35 minutes, at fixed times: an exchange outage that gets worse.

One mail server is down for ten minutes, the status page is not configured, customers wait for Legal.
"""

from __future__ import annotations

from typing import Any

from tests.unit.test_metrics import Told, at, journal, kill, phase, strategies

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

RAISED, CONTAINED, RESTORED, RESOLVED = 240.0, 13.1, 1875.0, 2100.0
#: Audience, its channels, seconds after the start of its updates, until.
_UPDATED = (("trading_desk", ("desk",), 300, RESTORED), ("management", ("mail", "chat"), 900, RESOLVED),
            ("status_page", (None,), 900, RESOLVED))  # fmt: skip
#: While the mail server is down nothing goes out there.
MAIL_DOWN = (850.0, 1450.0)


def _notice(audience: str, kind: str, due: float, number: int | None = None, severity: int = 1) -> dict[str, Any]:
    name = f"{audience}.{kind}" if number is None else f"{audience}.{kind}.{number}"
    return {"notice": name, "audience": audience, "kind": kind, "severity": severity, "due_at": at(due)}


def _delivered(notice: dict[str, Any], due: float, channel: str | None) -> list[Told]:
    """What the server wrote of one notice on one channel."""
    if channel is None:
        return [(due + 0.1, "notice.not_sent", {**notice, "channel": None, "reason": "no channel is configured"})]
    told: list[Told] = []
    sent, attempt = due + 0.4, 1
    while channel == "mail" and MAIL_DOWN[0] <= sent < MAIL_DOWN[1]:
        again = sent + 30 * 2 ** min(attempt, 2)
        told.append((sent, "notice.failed", {**notice, "channel": channel, "attempt": attempt,
                     "error": "mail.example: connection refused", "retry_at": at(again)}))  # fmt: skip
        sent, attempt = again, attempt + 1
    late_s = round(sent - due, 3)
    sentence = {"subject": f"{notice['kind']}: exchange outage at okx", "text": "…", "attempt": attempt}
    told.append((sent, "notice.sent", {**notice, "channel": channel, "late_s": late_s, "late": late_s > 60, **sentence}))
    return told


def _notices() -> list[Told]:
    told = _delivered(_notice("trading_desk", "first", 0, severity=2), 0, "desk")
    for channel in ("mail", "chat"):
        told += _delivered(_notice("management", "first", 30, severity=2), 30, channel)
    told += _delivered(_notice("status_page", "first", 300), 300, None)
    for audience, channel in (("trading_desk", "desk"), ("management", "mail"), ("management", "chat")):
        told += _delivered(_notice(audience, "severity", RAISED, 1), RAISED, channel)
    for person, due in (("alice", 0.0), ("bob", 120.0)):
        page = {**_notice("on_call", "page", due, severity=2), "notice": f"on_call.page.{person}"}
        told += _delivered(page, due, "pager")
    withheld = _notice("customers", "first", 600)
    told.append((600.2, "notice.withheld", {**withheld, "gate": "public_disclosure", "reason": "Legal has not said yes"}))
    for audience, channels, every, until in _UPDATED:
        for number, due in enumerate(range(every, int(until), every), 1):
            for channel in channels:
                told += _delivered(_notice(audience, "update", due, number), due, channel)
    for kind, due in (("contained", CONTAINED), ("restored", RESTORED)):
        told += _delivered(_notice("trading_desk", kind, due), due, "desk")
    for audience, channel in (("trading_desk", "desk"), ("management", "mail"), ("management", "chat")):
        told += _delivered(_notice(audience, "resolved", RESOLVED), RESOLVED, channel)
    return told


def _exposure(second: float) -> dict[str, Any]:
    """The hedge leg at okx is cut off: the net grows, until it is flattened by the desk."""
    minute = second / 60
    net = f"{-0.25 - 0.11 * minute:.3f}" if minute < 14 else f"{min(-1.8 + 0.12 * (minute - 14), 0.0):.3f}"
    gross = f"{4.5 + abs(float(net)):.3f}"
    okx_is_silent = 3 <= minute < 6
    assets = [
        {"asset": asset, "stable": stable, "net": a_net, "gross": a_gross, "partial": okx_is_silent, "because": [],
         "legs": []}
        for asset, stable, a_net, a_gross in (
            ("BTC", False, net, gross), ("ETH", False, f"{12.5 - 0.3 * minute:.2f}", "40.25"),
            ("SOL", False, f"{310 - 8 * minute:.1f}", "912.5"), ("USDT", True, f"{250000 - 1200 * minute:.2f}", "250000"))
    ]  # fmt: skip
    unknown = {"okx": "no answer within 5 s"} if okx_is_silent else {}
    return {"partial": okx_is_silent, "assets": assets, "not_netted": [], "unknown": unknown}


def _pnl(second: float) -> dict[str, Any]:
    minute = second / 60
    usd = f"{-1200 - 95.5 * minute + 6.1 * max(minute - 14, 0) ** 1.7:.2f}"
    if 20 <= minute < 22:
        silent = {"name": "hft-2", "unrealized_usd": None, "error": "timed out"}
        return {"systems": [{"name": "hft-1", "unrealized_usd": usd, "error": None}, silent], "total_usd": None}
    return {"systems": [{"name": "hft-1", "unrealized_usd": usd, "error": None}], "total_usd": usd}


_BREAK = {"exchange": "okx", "account": "", "symbol": "BTC-USDT", "order_id": "", "client_id": "", "field": "qty"}
_MISSED = {**_BREAK, "kind": "quantity_mismatch", "system": "-1.2", "venue": "-1.45", "difference": "-0.25",
           "sentence": "okx BTC-USDT: the trading system holds -1.2, the venue -1.45 (-0.25): compare the fills since "
           "the last agreement, then correct the trading system"}  # fmt: skip
_ORPHAN = {**_BREAK, "kind": "orphan_order", "order_id": "84127733", "system": None, "venue": "0.1",
           "difference": "0.1", "sentence": "okx BTC-USDT order 84127733 (buy 0.1 at 91250) is live at the venue and "
           "unknown to the trading system: cancel it at the venue, nobody manages it"}  # fmt: skip


def _reconciled(verdict: str, *breaks: dict[str, Any]) -> dict[str, Any]:
    pnl = {"ours_usd": "-3310.2", "venue_usd": "-3344.9", "compared": 3, "not_compared": []}
    reason = f"breaks at okx {len(breaks)}" if breaks else "positions and open orders agree at binance, okx"
    return {"verdict": verdict, "reason": reason, "pnl": pnl,
            "venues": [{"exchange": "okx", "verdict": verdict, "breaks": list(breaks)}]}  # fmt: skip


_INPUTS = {"exchange": "okx"}
_WHY = {"by": "rules", "rule": "one_exchange_down", "reason": "a single exchange is out: exchanges_down 1"}
_RAISED = {"severity": 1, "before": 2, "by": "rules", "rule": "exposure_unhedged",
           "reason": "net exposure grows while a leg is cut off: exposure_growing yes"}  # fmt: skip
_STORY: list[Told] = [
    (0, "incident.opened", {"type": "exchange_outage", "check": False, "severity": 2, "inputs": _INPUTS,
                            "assessment": _WHY, "inventory": ["/etc/hft-incident/inventory"]}),
    (0.05, "communications.planned", {"type": "exchange_outage", "time_scale": 1.0, "grace_s": 60, "rows": [
        {"severity": 1, "audience": name} for name in ("trading_desk", "management", "status_page", "customers")]}),
    (0.2, "run.started", {"run": "r1", "playbook": "exchange_outage.yml", "pid": 4711, "check": False}),
    (0.4, "phase.entered", {"phase": "detect", "play": "Detect: is it real?"}),
    (2.0, "alarm.judged", {"real": True, "because": "okx answers no request, every other venue does"}),
    (2.5, "phase.entered", phase("contain")),
    (2.6, "kill.ordered", {"venues": ["binance", "okx"], "trading_systems": ["hft-1", "hft-2"],
                           "reason": "exchange outage at okx"}),
    (14.0, "kill.verified", {**kill(2.6, binance=180, okx=10500), "verdict": "clear", "by": "playbook",
        "trading_systems": [{"name": "hft-1", "verdict": "stopped", "elapsed_ms": 12.5, "error": None}]}),
    (15.0, "latch.changed", {"host": "hft-1", "scope": "exchange", "name": "okx", "state": "closed", "agree": True,
                             "difference": None}),
    (16.0, "strategies.stopped", strategies("arb-1", "mm-okx", "mm-okx-2")),
    (17.0, "inverse.registered", {"id": "i1", "task": "t", "module": "strategy", "host": "localhost",
                                  "describe": "start 3 strategies at hft-1"}),
    (20.0, "phase.entered", phase("assess")),
    (50.0, "incident.acknowledged", {"by": "alice"}),
    (55.0, "role.assigned", {"role": "commander", "person": "alice", "by": "alice"}),
    (58.0, "role.assigned", {"role": "communications", "person": "carol@firm.example", "by": "alice"}),
    (62.0, "role.assigned", {"role": "trading_liaison", "person": "dave@firm.example", "by": "alice"}),
    (RAISED, "severity.set", _RAISED),
    (241.0, "war_room.failed", {"error": "chat: HTTP 503", "retry_at": at(271)}),
    (271.5, "war_room.opened", {"name": "inc-20261123t100000z-exchange_outage-1", "id": "C0042", "private": False,
        "url": "https://chat.example/archives/C0042", "created": True,
        "meeting": {"kind": "bridge", "join": "+1 555 0100, room 7"}}),
    (300.0, "war_room.posted", {"through": 30, "lines": 9}),
    (420.0, "phase.entered", phase("mitigate")),
    (425.0, "venue.diagnosed", {"name": "okx", "verdict": "down", "sentence": "the gateway answers 503 to everything"}),
    (840.0, "task.finished", {"status": "changed", "task": "Hedge by hand, told to the desk", "host": "localhost",
                              "elapsed_ms": 412.0, "msg": "the desk flattens at binance"}),
    (905.0, "positions.reconciled", _reconciled("breaks", _MISSED, _ORPHAN)),
    (1200.0, "role.handed_over", {"role": "commander", "from": "alice", "to": "erin@firm.example", "by": "alice",
                                  "note": "alice operates from now on"}),
    (1260.0, "positions.reconciled", _reconciled("reconciled")),
    (1300.0, "phase.entered", phase("recover")),
    (1301.0, "gate.held", {"gate": "resume_trading", "people": 2, "groups": ["risk", "desk"], "approved_by": [],
                           "refused": []}),
    (1302.0, "run.finished", {"tasks": 31, "failed": 0, "unreachable": 0, "outcome": "held",
                              "reason": "gate resume_trading: 2 of 2 missing"}),
    (1500.0, "approval.given", {"gate": "resume_trading", "person": "frank@firm.example", "fingerprint": "SHA256:qk1"}),
    (1640.0, "approval.given", {"gate": "resume_trading", "person": "grace", "fingerprint": "SHA256:8Zp"}),
    (1700.0, "run.resumed", {"play": "Recover: trade again"}),
    (1701.0, "phase.entered", phase("recover")),
    (1702.0, "gate.passed", {"gate": "resume_trading", "people": ["frank@firm.example", "grace"]}),
    (1800.0, "strategies.started", strategies("mm-okx", "mm-okx-2")),
    (RESTORED, "strategies.started", strategies("arb-1")),
    (1876.0, "inverse.applied", {"id": "i1", "describe": "start 3 strategies at hft-1", "changed": True}),
    (1880.0, "phase.entered", phase("validate")),
    (2090.0, "run.finished", {"tasks": 47, "failed": 0, "unreachable": 0, "outcome": "done", "reason": ""}),
    (RESOLVED, "incident.closed", {"resolution": "resolved", "summary": "okx is back, books agree"}),
    (RESOLVED + 20, "war_room.closed", {"name": "inc-20261123t100000z-exchange_outage-1", "id": "C0042"}),
]  # fmt: skip


def long_incident() -> list[Event]:
    """Its events, numbered in the order of their times."""
    measured: list[Told] = []
    for minute in range(36):
        second = 60.0 * minute + 21
        measured += [(second, "exposure.measured", _exposure(second)), (second + 1, "pnl.measured", _pnl(second))]
    return journal(*sorted([*_STORY, *_notices(), *measured], key=lambda told: told[0]))
