# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each step of a playbook taken out, and the playbook run on molecule's hosts: a verify tells it by the
hosts' own word, or the product refuses to go on without it. (`make mutations` runs the cases, on hosts made anew for
each; the suite only holds their table against the playbooks.)"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tools.gates import COLLECTION, ROOT, copied

PLAYBOOKS = COLLECTION / "playbooks"
OUTAGE, CRASH, BREACH = (PLAYBOOKS / f"{name}.yml" for name in ("exchange_outage", "system_crash", "security_breach"))
CLOSE, EXPOSURE, OBSERVE, OPEN, PROVE, AGAIN = (
    PLAYBOOKS / "shared" / f"{name}.yml" for name in ("close", "exposure", "observe", "open", "prove", "trade_again")
)
FIRE_FIRST = PLAYBOOKS / "vars" / "fire_first.yml"
MOLECULE = Path("molecule")
#: A run that hangs ends after this long (s).
PATIENCE_S = 1200


class Without(NamedTuple):
    """The step stays where it is, with all that later ones take from it, and is never taken."""

    path: Path
    step: str

    def plant(self, root: Path) -> None:
        file = root / self.path
        lines = file.read_text(encoding="utf-8").splitlines()
        (start,) = (n for n, line in enumerate(lines) if re.fullmatch(rf' *- name: "?{re.escape(self.step)}"?', line))
        margin = " " * (lines[start].index("-") + 2)
        end = next((n for n in range(start + 1, len(lines)) if not f"{lines[n]} ".startswith(margin)), len(lines))
        body = [line for line in lines[start + 1 : end] if not line.startswith(f"{margin}when: ")]
        mutated = [*lines[: start + 1], f"{margin}when: false", *body, *lines[end:]]
        file.write_text("\n".join([*mutated, ""]), encoding="utf-8")


class Instead(NamedTuple):
    """In a file of the copy the first ``old`` becomes ``new``; where ``old`` is empty, ``new`` is added to it."""

    path: Path
    old: str
    new: str

    def plant(self, root: Path) -> None:
        file = root / self.path
        text = file.read_text(encoding="utf-8")
        assert self.old in text
        file.write_text(text.replace(self.old, self.new, 1) if self.old else text + self.new, encoding="utf-8")


Mutation = Without | Instead


class Case(NamedTuple):
    """What is planted, the task that then fails first, and what it says.

    RESPONSE: the product itself does not go on, or not so far. APPROVAL: it has stopped, and asks nobody for leave.
    """

    planted: tuple[Mutation, ...]
    told_by: str
    said: str = ""

    def is_among(self, told: list[tuple[str, str]]) -> bool:
        return any(task == self.told_by and self.said in words for task, words in told)


RESPONSE, APPROVAL = "Run hft-incident", "Approve"

#: By scenario. Steps that do one thing twice on purpose are taken out together, and so are all ways to the same end.
CASES: dict[str, dict[str, Case]] = {
    "exchange_outage": {
        "the kill": Case(
            (Without(OUTAGE, "Cancel everything there and close the exchange to new orders, at the same moment"),),
            "Verify that orders were proven gone at all",
        ),
        "the kill, aimed at another venue": Case(
            (Instead(OUTAGE, 'only: ["{{ exchange }}"]', "only: [okx]"),),
            "Verify that Binance has no order and had none placed since they were proven gone",
        ),
        "the strategies stop": Case(
            (Without(OUTAGE, "Stop the strategies that trade there"),),
            "Verify that its strategies at Binance are stopped, and no others",
        ),
        "the proof before the way back": Case(
            (Without(PROVE, "Cancel what is left and prove that nothing is open"),),
            "Verify that all orders were proven gone once more before that",
        ),
        "the connection": Case(
            (Without(OUTAGE, "Connect, still closed to new orders"),), RESPONSE, "its health is degraded"
        ),
        "the reconciliation": Case(
            (Without(OUTAGE, "Reconcile positions and open orders, before anything may trade"),),
            RESPONSE,
            "positions are not reconciled (never tried)",
        ),
        "the reconciliation, before the last kill": Case(
            (
                Without(OUTAGE, "Reconcile positions and open orders, before anything may trade"),
                Instead(
                    PROVE,
                    "  tasks:\n",
                    "  tasks:\n    - name: Reconcile too early\n      hft.incident.position_reconciliation:\n",
                ),
            ),
            "Verify that the books agreed with the venues' since then",
        ),
        "the gate": Case(
            (Without(OUTAGE, "Two people allow trading there to resume"),), APPROVAL, "does not wait at gate"
        ),
        "undoing": Case(
            (Without(AGAIN, "Undo what this response closed"),), RESPONSE, "switched off in our trading system"
        ),
        "the strategies start": Case(
            (Without(AGAIN, "Start the strategies that were stopped, one by one"),), RESPONSE, "not undone"
        ),
        "the stability window": Case(
            (Without(OUTAGE, "Watch the exchange for the stability window"),),
            "Verify that it was watched once all was open",
        ),
        "closing": Case((Without(CLOSE, "Close the incident"),), "Verify that the incident is over"),
        "the counter of the cut, which another rule makes": Case(
            (
                Instead(
                    MOLECULE / "exchange_outage" / "cut_off.yml",
                    "counter drop",
                    "drop\n              tcp dport 1 counter drop",
                ),
            ),
            "Verify that nothing of the trading host has come through",
        ),
    },
    "system_crash": {
        "the kill": Case(
            (
                Instead(FIRE_FIRST, "  system_crash: unless_answering\n", ""),
                Without(CRASH, "Cancel everything at every venue, never through the dead process"),
                Without(PROVE, "Cancel what is left and prove that nothing is open"),
            ),
            "Verify that orders were proven gone at all",
        ),
        "the proof before the way back": Case(
            (Without(PROVE, "Cancel what is left and prove that nothing is open"),),
            "Verify that all orders were proven gone once more before that",
        ),
        "the latch": Case(
            (
                Without(CRASH, "Close the latch, so that nothing can restart it"),
                Without(CRASH, "Verify that the latch is closed"),
                Without(OBSERVE, "Close the latch in the trading system as well, now that it answers"),
            ),
            "Verify that the hold file is there",
        ),
        "the trading system's own killswitch": Case(
            (Without(OBSERVE, "Close the latch in the trading system as well, now that it answers"),),
            "Verify that its own killswitch would keep it from sending",
        ),
        "evidence": Case(
            (Without(CRASH, "Keep logs, unit, version, configuration and core dump"),),
            "Check the evidence of every trading host",
        ),
        "the classification": Case(
            (Without(CRASH, "Find out why it crashed, and what was changed in the last 24 hours"),),
            "Verify that it knows why, and that nobody has given leave to trade",
        ),
        "the proof of the database": Case(
            (Without(OBSERVE, "Prove that the database can be written"),),
            "Verify that every host has proven its database",
        ),
        "the proof of the release": Case(
            (Without(OBSERVE, "Prove that version and configuration are the approved ones"),),
            "Verify that every host has proven its release",
        ),
        "the observer": Case((Without(OBSERVE, "Start it to observe"),), RESPONSE),
        "the strategies stop": Case(
            (Without(OBSERVE, "Stop every strategy, to be started one by one later"),),
            "Verify that no strategy would start with it",
        ),
        "the reconciliation": Case(
            (Without(CRASH, "Reconcile positions, open orders and P&L with the venues"),),
            RESPONSE,
            "positions are not reconciled (never tried)",
        ),
        "the gate": Case((Without(CRASH, "Two people allow trading to resume"),), APPROVAL, "does not wait at gate"),
        "opening the latch": Case((Without(OPEN, "Open the latch"),), RESPONSE, "may not start"),
        "starting the trading system": Case(
            (Without(OPEN, "Start the trading system, which ends the observer"),), RESPONSE
        ),
        "undoing on the hosts": Case(
            (Without(OPEN, "Undo what this response did on the host"),), RESPONSE, "not undone"
        ),
        "the stability window": Case(
            (Without(CRASH, "Watch it for the stability window"),),
            "Verify that it was watched once all was open",
        ),
        "a standby that is a copy and no more": Case(
            (Instead(MOLECULE / "site" / "site.yml", " -S standby -R\n", "\n"),), "Ask the standby"
        ),
        "a standby that lags behind": Case(
            (
                Instead(
                    MOLECULE / "system_crash" / "converge.yml",
                    "",
                    "\n- name: The standby falls behind\n  hosts: db-2\n  tasks:\n"
                    "    - name: Apply nothing any more\n      ansible.builtin.command:\n"
                    "        argv: [psql, hft_db, -c, SELECT pg_wal_replay_pause()]\n"
                    "      become: true\n      become_user: postgres\n      changed_when: false\n",
                ),
            ),
            "Verify its answer",
        ),
    },
    "security_breach": {
        "the clocks": Case(
            (
                Without(BREACH, "Start the regulatory clocks"),
                Without(BREACH, "Start the clocks of a breach that is confirmed"),
            ),
            "Verify that it is said who must be told by when",
        ),
        "the first kill": Case(
            (
                Instead(FIRE_FIRST, "  security_breach: always\n", ""),
                Without(BREACH, "Cancel everything at every venue, never through a host that may be theirs"),
            ),
            "Verify that nothing is open, and that the last order was gone before a host was touched",
        ),
        "the withdrawals": Case(
            (Without(BREACH, "Stop withdrawals that are on their way, also to addresses that we took for ours"),),
            "Verify that money came before hosts, evidence before isolation, and that nobody has cleared one",
            "frozen | select",
        ),
        "the withdrawals, which a rotation stops, too": Case(
            (
                Without(BREACH, "Stop withdrawals that are on their way, also to addresses that we took for ours"),
                Without(BREACH, "Revoke the old keys and make new ones, which only our addresses may use"),
            ),
            "Verify that no money leaves",
        ),
        "the latch": Case(
            (
                Without(BREACH, "Close the latch, so that nothing can start it"),
                Without(BREACH, "Verify that the latch is closed"),
            ),
            "Verify that the hold file is there",
        ),
        "freezing": Case(
            (Without(BREACH, "Freeze the trading system, which keeps its memory"),), "Verify that it was frozen by then"
        ),
        "evidence": Case(
            (Without(BREACH, "Keep sockets, processes, modules, routes and users, then configuration and logs"),),
            "Verify that money came before hosts, evidence before isolation, and that nobody has cleared one",
            "kept | map",
        ),
        "the audit": Case(
            (Without(BREACH, "Look at configuration, programs, connections, logins and packages"),),
            "Verify that the intruder's program and the changed configuration were found",
        ),
        "isolation": Case(
            (Without(BREACH, "Isolate it from outside and on the host, and prove that responders still get in"),),
            "Count the connections of the intruder's program",
        ),
        "stopping": Case(
            (Without(BREACH, "Stop the trading system, now that its memory is kept"),), "Verify hft_system.service"
        ),
        "the keys that are none of ours": Case(
            (Without(BREACH, "Revoke the keys that are none of ours"),),
            "Verify that no old key is left nor the intruder's, and that the new one is in the store",
            "backup",
        ),
        "the rotation": Case(
            (Without(BREACH, "Revoke the old keys and make new ones, which only our addresses may use"),),
            "Verify that no old key is left nor the intruder's, and that the new one is in the store",
            "old not in listed",
        ),
        "what else has to be replaced": Case(
            (Without(BREACH, "Show what else has to be replaced, by whom"),),
            "Verify that it was said what else has to be replaced",
        ),
        "security's gate": Case(
            (Without(BREACH, "Somebody of security says that the hosts are rebuilt, and theirs no more"),),
            APPROVAL,
            "does not wait at gate",
        ),
        "connecting again": Case((Without(BREACH, "Connect the host again"),), RESPONSE),
        "the second look": Case(
            (Without(BREACH, "Prove that nothing of what was found is left"),),
            "Verify that every host was looked at since, with nothing alarming found",
        ),
        "the proof of the new keys": Case(
            (Without(BREACH, "Prove that it trades with the new keys, and that they have no right too many"),), RESPONSE
        ),
        "the stability window": Case(
            (Without(BREACH, "Watch the full size for the stability window"),),
            "Verify that it was watched once all was open",
        ),
        "the look at the accounts": Case(
            (Without(BREACH, "Look at keys, withdrawals, addresses, logins and orders of every account"),), RESPONSE
        ),
        "trading's gate": Case(
            (Without(BREACH, "Two people allow trading to resume"),), APPROVAL, "does not wait at gate"
        ),
        "the stages": Case(
            (
                Without(BREACH, "Limit orders to the first stage"),
                Without(BREACH, "Raise the limit to the second stage"),
            ),
            "Verify that every trading system came back in stages, the small ones first",
        ),
        "the full size": Case(
            (Without(BREACH, "Raise the limit to the full size"),),
            "Verify that every trading system came back in stages, the small ones first",
        ),
    },
}

ASKED = "later steps go by its answer, and end the run where there is none"
SHOWN = "for people to read: it changes nothing, and the report has it"
WAITS = "it waits for what is so at once on hosts that are well"
ELSEWHERE = "the scenario does not come to it; other tests do"
#: The steps that nothing on these hosts would miss, and why.
NOT_MISSED: Mapping[str, str] = {
    "Diagnose the exchange, theirs or ours": ASKED,
    "Ask every trading system how it is": ASKED,
    "Judge by what people say and what the record has": ASKED,
    "Judge the alarm": ASKED,
    "Judge by all that was found": ASKED,
    "Go no further on a suspicion": ASKED,
    "List open orders at every venue": SHOWN,
    "Diagnose the exchange again, with more time": SHOWN,
    "Show the net exposure over all venues": SHOWN,
    "Show the net exposure as the incident ends": SHOWN,
    "Measure pressure, memory and disks": SHOWN,
    "Stop what hangs, so that it cannot wake up and trade": "the observer ends it, too (ExecStartPre=)",
    "Keep the exchange disabled": "the kill has closed it; this closes it again where somebody has opened it",
    "Wait until the exchange answers again, with our key": "where it does not, it cannot be connected either",
    "Look at the exchange once more, for those who decide": WAITS,
    "Wait until it observes": WAITS,
    "Wait until it answers": WAITS,
    "Wait until it is healthy": WAITS,
    "Watch the first stage": WAITS,
    "Watch the second stage": WAITS,
    "Escalate a second crash within the hour": ELSEWHERE,
    "Offer the failover, for two people to decide": ELSEWHERE,
    "Offer to confirm it": ELSEWHERE,
    "Offer to clear the hosts": ELSEWHERE,
    "Close the latch": ELSEWHERE,
    "Stop the trading system, whatever became of the latch": ELSEWHERE,
}


#: By scenario, what is planted together, since a run takes minutes: none of these is in another's way.
TOGETHER: dict[str, tuple[tuple[str, ...], ...]] = {
    "exchange_outage": (("the strategies stop", "the proof before the way back", "the stability window", "closing"),),
    "system_crash": (
        (
            "the proof before the way back",
            "the trading system's own killswitch",
            "evidence",
            "the classification",
            "the proof of the database",
            "the proof of the release",
            "the strategies stop",
            "the stability window",
            "a standby that lags behind",
        ),
    ),
    "security_breach": (
        (
            "the clocks",
            "the first kill",
            "the withdrawals",
            "the latch",
            "freezing",
            "the audit",
            "the keys that are none of ours",
        ),
        ("the withdrawals, which a rotation stops, too", "the rotation", "isolation", "stopping"),
        ("what else has to be replaced", "the second look", "the stages"),
    ),
}
ALONE = {
    scenario: [name for name in cases if not any(name in names for names in TOGETHER[scenario])]
    for scenario, cases in CASES.items()
}
RUNS = [
    (scenario, names) for scenario in CASES for names in (*TOGETHER[scenario], *((name,) for name in ALONE[scenario]))
]


@pytest.mark.mutations
@pytest.mark.parametrize(
    ("scenario", "names"), RUNS, ids=[f"{scenario}: {', '.join(names)}" for scenario, names in RUNS]
)
def test_what_is_missing_is_told(scenario: str, names: tuple[str, ...], tmp_path: Path) -> None:
    log = tmp_path / "molecule.log"
    with copied() as copy:
        for mutation in dict.fromkeys(chain(*(CASES[scenario][name].planted for name in names))):
            mutation.plant(copy.root)
        if len(names) > 1:
            tell_all(copy.root / MOLECULE / scenario)
        molecule(copy.root, scenario, log)
    output = log.read_text(encoding="utf-8")
    told = failures(output) if len(names) > 1 else failures(output)[:1]
    untold = [name for name in names if not CASES[scenario][name].is_among(told)]
    shown = [f"{task}: {words}" for task, words in told] or [output[-5_000:]]
    assert untold == [], "\n".join([*shown, f"all of it: {log}"])
    for name in names:
        print(f"{scenario}, without {name}: {CASES[scenario][name].told_by}")


def tell_all(scenario: Path) -> None:
    """The verifies go on after a failure, to the next one."""
    sequence = yaml.safe_load((scenario / "molecule.yml").read_text(encoding="utf-8"))["scenario"]["test_sequence"]
    for name in {step.partition(" ")[2] for step in sequence if step.startswith("verify ")}:
        text = (scenario / name).read_text(encoding="utf-8")
        (scenario / name).write_text(text.replace("  hosts: ", "  ignore_errors: true\n  hosts: "), encoding="utf-8")


def molecule(root: Path, scenario: str, log: Path) -> None:
    """``molecule test`` of the copy, as root; ``log``: all that it prints."""
    # Molecule finds its settings at the top of a repository.
    subprocess.run(["git", "init", "--quiet", root], check=True)
    with log.open("wb") as printed:
        subprocess.run(
            ["timeout", "--kill-after=30", str(PATIENCE_S), root / "molecule/run.sh",
             "molecule", "test", "--no-command-borders", "-s", scenario],
            env={**os.environ, "VENV": sys.prefix, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip


def failures(output: str) -> list[tuple[str, str]]:
    """Every task that failed, with all that was printed of it."""
    tasks = re.findall(r"^TASK \[(.*?)\] \**\n(.*?)(?=^(?:TASK|PLAY) |\Z)", output, re.MULTILINE | re.DOTALL)
    return [(name, words) for name, words in tasks if re.search(r"^(fatal|failed): \[", words, re.MULTILINE)]


# The table itself, in every run of the tests ----------------------------------------------------------------------

PRINTED = """\
PLAY [Verify the trading hosts] ***

TASK [Verify that the hold file is there] ***
fatal: [hft-1]: FAILED! => {"rc": 1}
...ignoring
ok: [hft-2]

TASK [Ask systemd] ***
ok: [hft-1]

TASK [Verify hft_system.service] ***
failed: [hft-2] (item=MainPID=0) => {"msg": "no"}
"""


def test_what_failed_is_read_from_what_molecule_prints() -> None:
    assert [task for task, _words in failures(PRINTED)] == [
        "Verify that the hold file is there",
        "Verify hft_system.service",
    ]
    assert "MainPID=0" in failures(PRINTED)[1][1]


PLANTED = [mutation for cases in CASES.values() for case in cases.values() for mutation in case.planted]


@pytest.mark.parametrize("mutation", PLANTED)
def test_what_is_planted_fits(mutation: Mutation, tmp_path: Path) -> None:
    before = (ROOT / mutation.path).read_text(encoding="utf-8")
    file = tmp_path / mutation.path
    file.parent.mkdir(parents=True)
    file.write_text(before, encoding="utf-8")
    mutation.plant(tmp_path)
    assert yaml.safe_load(file.read_text(encoding="utf-8")) != yaml.safe_load(before)


def test_every_step_is_taken_out_somewhere() -> None:
    """A new step needs a case of its own, or a reason why nothing would miss it."""
    plays = (play for path in sorted((ROOT / PLAYBOOKS).glob("**/*.yml")) for play in plays_of(path))
    steps = {task["name"] for play in plays for task in tasks_of(play.get("tasks", ())) if is_step(task)}
    taken = {mutation.step for mutation in PLANTED if isinstance(mutation, Without)}
    assert taken.isdisjoint(NOT_MISSED)
    assert taken | set(NOT_MISSED) == steps


def plays_of(path: Path) -> Iterable[Mapping[str, Any]]:
    """None of a file that only has variables."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, list) else ()


def tasks_of(tasks: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for task in tasks:
        yield task
        yield from tasks_of(chain(*(task.get(part, ()) for part in ("block", "rescue", "always"))))


def is_step(task: Mapping[str, Any]) -> bool:
    return any(word.startswith("hft.incident.") for word in task)
