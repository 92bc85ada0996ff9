# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The record of a whole severity 1 incident of 35 minutes, at fixed times: an exchange outage that gets worse.

Its notices are those of the shipped policy. One mail server is down for ten minutes, the status page is not configured,
stakeholders wait for Legal, and nobody served one notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.unit.test_metrics import Told, at, journal, kill, phase, strategies

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules
from hft_incident.comms.plan import planned
from hft_incident.comms.policy_reading import shipped
from hft_incident.notices import Notice, schedule

RAISED, RESTORED, RESOLVED = 240.0, 1875.0, 2100.0
#: Seconds after the opening in which no mail goes out.
MAIL_DOWN = (850.0, 1450.0)
NOT_CONFIGURED, FORGOTTEN, GATED = ("status_page",), "on_call.severity.1", "stakeholders.first"
_START = datetime.fromisoformat(at(0))


def _plan() -> dict[str, Any]:
    plan = planned(shipped(), severity_rules(), "exchange_outage", {})
    gate = {"gate": "public_disclosure"}
    return {**plan, "rows": [{**row, **(gate if row["audience"] == "stakeholders" else {})} for row in plan["rows"]]}


def _delivered(notice: Notice) -> Iterator[Told]:
    """What a server writes of one notice."""
    due = (notice.due_at - _START).total_seconds()
    said = {"notice": notice.id, "audience": notice.audience, "kind": notice.kind, "severity": notice.severity,
            "due_at": at(due)}  # fmt: skip
    if notice.id == GATED:
        yield due + 0.2, "notice.withheld", {**said, "gate": notice.gate, "reason": "Legal has not said yes"}
    for channel in () if notice.id in (FORGOTTEN, GATED) else notice.channels:
        if channel in NOT_CONFIGURED:
            reason = f"channel {channel} leads nowhere: nothing is configured"
            yield due + 0.1, "notice.not_sent", {**said, "channel": channel, "reason": reason}
        else:
            yield from _sent(said, due, channel)


def _sent(said: dict[str, Any], due: float, channel: str) -> Iterator[Told]:
    """On one channel, as often as it takes."""
    now, attempt = due + 0.4, 1
    while channel.startswith("mail") and MAIL_DOWN[0] <= now < MAIL_DOWN[1]:
        again = now + 30 * 2 ** min(attempt, 2)
        yield now, "notice.failed", {**said, "channel": channel, "attempt": attempt, "retry_at": at(again),
                                     "error": "mail.example: connection refused"}  # fmt: skip
        now, attempt = again, attempt + 1
    late_s = round(now - due, 3)
    text = {"subject": f"SEV{said['severity']} exchange outage: {said['kind']}", "text": "…"}
    yield now, "notice.sent", {**said, "channel": channel, "attempt": attempt, "late_s": late_s, "late": late_s > 60,
                               **text}  # fmt: skip


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
            ("SOL", False, f"{310 - 8 * minute:.1f}", "912.5"),
            ("USDT", True, f"{250000 - 1200 * minute:.2f}", "250000"))
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
    (0.05, "communications.planned", _plan()),
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
    story = [*_STORY, *measured]
    due = schedule(journal(*story), datetime.fromisoformat(at(RESOLVED + 20)))
    told = [line for notice in due for line in _delivered(notice)]
    return journal(*sorted([*story, *told], key=lambda line: line[0]))
