# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The doctor at a running lab: all is well there; then each thing is broken once, and told with its mend."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lab.modules.steps import seed
from tests.lab.ssh_host import ssh_host
from tests.lab.venues_host import KEY, venue_host
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.incident import open_incident
from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from hft_incident import cli, venues_file
from hft_incident.doctor import examination, machine, site
from hft_incident.doctor.examination import SUBJECTS, diagnose, site_of
from hft_incident.doctor.findings import BAD, OK, UNKNOWN, WARN, Diagnosis, Finding
from hft_incident.lab.lab import Lab, running_lab

VENUES = {"binance": "binance", "okx": "okx"}
PATIENCE_S = 60.0
NOBODY_LISTENS = "http://127.0.0.1:9"
NO_YAML = "all:\n  hosts: [a b\n"
CANARY = "canary-5d1c0ffee5"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("home"), VENUES, sinks=True) as running:
        yield running


class Jumphost:
    """A copy of the lab's inventory, with a state folder of its own, to break."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.inventory = folder / "inventory"
        shutil.copytree(lab.inventory, self.inventory)
        self.all = self.inventory / "group_vars" / "all"

    def change(self, name: str, change: Callable[[Any], object]) -> None:
        """``change`` gets the content of a file of the inventory and alters it."""
        path = self.inventory / name
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))

    def venue(self, **fields: Any) -> None:
        """Of the first venue."""
        self.change("group_vars/all/venues.yml", lambda content: content["hft_venues"][0].update(fields))

    def system(self, **fields: Any) -> None:
        self.change("group_vars/all/venues.yml", lambda content: content["hft_trading_systems"][0].update(fields))

    def host(self, **fields: Any) -> None:
        self.change("host_vars/hft-1.yml", lambda content: content.update(fields))

    def messages(self, **fields: Any) -> None:
        self.change("group_vars/all/communications.yml", lambda content: content["hft_communications"].update(fields))

    def signers(self, *people: str) -> Path:
        """Only these may approve."""
        lines = self.lab.allowed_signers.read_text().splitlines(keepends=True)
        path = self.inventory / "allowed_signers.txt"
        path.write_text("".join(line for line in lines if line.startswith(people)))
        (self.all / "people.yml").write_text(yaml.safe_dump({"hft_allowed_signers": str(path)}))
        return path

    def look(self, subject: str, seconds: float = PATIENCE_S) -> list[Finding]:
        """What one subject finds, with what finding the inventory gave."""
        found, early = site_of(str(self.inventory), self.home, Deadline(seconds))
        return [*early, *SUBJECTS[subject](found)]


@pytest.fixture
def jumphost(lab: Lab, tmp_path: Path) -> Jumphost:
    return Jumphost(lab, tmp_path)


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of whoever runs the tests."""
    for name in ("ANSIBLE_INVENTORY", "ANSIBLE_CONFIG", "HFT_INCIDENT_VENUES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def the(findings: list[Finding], check: str, verdict: str) -> Finding:
    """The only one of this check and verdict."""
    (found,) = (one for one in findings if (one.check, one.verdict) == (check, verdict))
    return found


# All is well ---------------------------------------------------------------------------------------------------------


def test_a_whole_jumphost_is_ready_and_nothing_was_touched(jumphost: Jumphost, lab: Lab) -> None:
    lab.sinks.forget()
    environment = {**os.environ, "HFT_INCIDENT_HOME": str(jumphost.home)}
    words = [str(Path(sys.executable).parent / "hft-incident"), "doctor", "-i", str(jumphost.inventory), "--json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert told["outcome"] == "done"
    assert [row for row in told["checks"] if row["verdict"] not in (OK, WARN)] == []
    assert {row["check"] for row in told["checks"]} >= {
        "environment", "version", "program", "state", "disk", "journal", "leftover", "venues file", "secret", "venue",
        "account", "clock", "trading system", "inventory", "gate", "host", "python", "unit", "latch", "isolation",
        "breach", "secret store", "key delivery", "severity", "messages", "channel", "way out",
    }  # fmt: skip
    assert [row["says"] for row in told["checks"] if row["check"] == "breach"] == [
        "a response could not sign evidence or encrypt it (hft_evidence_signing_key, hft_evidence_recipients)"
    ]
    assert lab.sinks.arrivals() == []
    assert list(jumphost.home.iterdir()) == []
    assert not lab.trading_systems["hft-1"].hold_file.exists()


def test_a_trading_host_is_looked_at_by_ssh_as_the_inventory_says(jumphost: Jumphost, tmp_path: Path) -> None:
    with ssh_host(tmp_path / "ssh") as remote:
        jumphost.host(
            ansible_connection="ssh",
            ansible_host="127.0.0.1",
            ansible_port=remote.port,
            ansible_user=remote.user,
            ansible_ssh_common_args=shlex.join(remote.options),
        )
        found = jumphost.look("inventory")
        for check in ("host", "unit", "latch"):
            assert the(found, check, OK).subject == "hft-1"
        assert the(found, "clock", OK).subject == "of host hft-1"
        (tmp_path / "ssh" / "known_hosts").write_text("")
        assert "Host key verification failed" in the(jumphost.look("inventory"), "host", BAD).says


def test_at_a_venue_it_writes_nothing(jumphost: Jumphost) -> None:
    """Of a venue that nobody else trades at."""
    with venue_host({"alpha": "binance"}) as host:
        server = host.venues["alpha"]
        count = seed(server)
        jumphost.venue(base_url=f"http://127.0.0.1:{server.port}", api_key=f"cmd:echo {KEY.id}",
                       api_secret=f"cmd:echo {KEY.secret}")  # fmt: skip
        found = next(one for one in jumphost.look("venue") if one.subject == "binance")
        jumphost.venue(admin_api_key=f"cmd:echo {KEY.id}", admin_api_secret=f"cmd:echo {KEY.secret}")
        before = len(server.seen)
        assert [one.subject for one in jumphost.look("account") if one.subject == "binance"]
        assert len(server.seen) > before, "and it was asked"
        assert [request for request in server.seen if request.writes] == []
        assert len(server.exchange.open_orders()) == count
    assert (found.verdict, found.says) == (OK, f"our key lists {count} open orders")


def test_without_any_inventory_it_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("hft_incident.inventory.SITE_INVENTORY", tmp_path / "nothing")
    assert cli.main(["doctor"]) == 3
    printed = capsys.readouterr().out
    assert "BAD      inventory: there is none" in printed
    assert "mend: hft-incident init writes one" in printed
    assert printed.splitlines()[-1].startswith("NOT READY: ")


def test_a_named_inventory_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "-i", "nowhere"]) == 2
    assert "no inventory at" in capsys.readouterr().err


# Each thing broken ---------------------------------------------------------------------------------------------------

Break = Callable[[Jumphost], object]
BROKEN: Mapping[str, tuple[str, Break, tuple[str, str], str, str]] = {
    "a secret that is not set": (
        "secret", lambda j: j.venue(api_key="env:NOT_THERE"), ("secret", BAD), "NOT_THERE is not set", "export it",
    ),
    "a secret that gives nothing": (
        "secret", lambda j: j.system(token="cmd:false"), ("secret", BAD), "exit code 1", "run the command by hand",
    ),
    "an entry without a driver": (
        "secret", lambda j: j.venue(driver=""), ("secret", BAD), "'driver' is missing", "into the venues file",
    ),
    "a venues file that anybody may change": (
        "venues file", lambda j: (j.all / "venues.yml").chmod(0o666), ("venues file", BAD), "by others", "chmod o-w",
    ),
    "a venues file that is none": (
        "venues file", lambda j: (j.all / "venues.yml").write_text("{"), ("venues file", BAD), "not valid YAML",
        "keep hft_venues",
    ),
    "a key that the venue does not know": (
        "venue", lambda j: j.venue(api_key="cmd:echo stranger"), ("venue", BAD), "", "is the key alive",
    ),
    "a venue that cannot be reached": (
        "venue", lambda j: j.venue(base_url=NOBODY_LISTENS), ("venue", BAD), "refused", "route, firewall",
    ),
    "a trading system that cannot be reached": (
        "trading system", lambda j: j.system(url=NOBODY_LISTENS), ("trading system", BAD), "refused", "is it running",
    ),
    "a token that it does not take": (
        "trading system", lambda j: j.system(token="cmd:echo stranger"), ("trading system", BAD), "401", "the token",
    ),
    "no trading system at all": (
        "trading system",
        lambda j: j.change("group_vars/all/venues.yml", lambda content: content.pop("hft_trading_systems")),
        ("trading system", WARN), "only venues can be stopped", "list them",
    ),
    "an inventory that cannot be read": (
        "inventory", lambda j: (j.inventory / "hosts.yml").write_text(NO_YAML), ("inventory", BAD), "parse", "--list",
    ),
    "two truths": (
        "inventory",
        lambda j: (j.all / "z.yml").write_text(yaml.safe_dump({"hft_venues": [{"name": "other", "driver": "okx"}]})),
        ("inventory", BAD), "which the red button reads", "nowhere else",
    ),
    "no policy for gates": (
        "inventory", lambda j: j.change("group_vars/all/policy.yml", lambda content: content.pop("hft_gates")),
        ("approvals", BAD), "nothing could be opened again", "write hft_gates",
    ),
    "a gate that playbooks ask for and nobody wrote": (
        "inventory",
        lambda j: j.change("group_vars/all/policy.yml", lambda content: content["hft_gates"].pop("resume_trading")),
        ("gate", BAD), "unknown gate 'resume_trading'", "write hft_gates",
    ),
    "nobody who may say that it is a breach": (
        "inventory",
        lambda j: j.change("group_vars/all/policy.yml", lambda content: content["hft_gates"].pop("confirm_breach")),
        ("gate", BAD), "unknown gate 'confirm_breach'", "write hft_gates",
    ),
    "nobody who may clear the hosts": (
        "inventory",
        lambda j: j.change("group_vars/all/policy.yml", lambda content: content["hft_gates"].pop("security_clearance")),
        ("gate", BAD), "unknown gate 'security_clearance'", "write hft_gates",
    ),
    "nobody who may do without evidence": (
        "inventory",
        lambda j: j.change("group_vars/all/policy.yml", lambda content: content["hft_gates"].pop("waive_evidence")),
        ("gate", BAD), "unknown gate 'waive_evidence'", "write hft_gates",
    ),
    "nobody who may approve": (
        "inventory", lambda j: j.signers().unlink(), ("approvals", BAD), "cannot read who may approve", "a line for",
    ),
    "a file of people that anybody may change": (
        "inventory", lambda j: j.signers("alice", "bob", "carol").chmod(0o666), ("approvals", BAD), "anybody may write",
        "a line for",
    ),
    "one key for two people": (
        "inventory",
        lambda j: j.signers("alice", "bob", "carol").write_text(
            (j.inventory / "allowed_signers.txt").read_text().replace("bob@", "eve@")
            + j.lab.allowed_signers.read_text()
        ),
        ("approvals", BAD), "have one key", "a key of their own",
    ),
    "a host that cannot be reached": (
        "inventory",
        lambda j: j.host(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=9), ("host", BAD),
        "cannot be reached", "ssh there by hand",
    ),
    "a unit that starts whatever the hold file says": (
        "inventory", lambda j: j.host(hft_unit=yaml.safe_load((j.inventory / "host_vars/hft-1.yml").read_text())
                                      ["hft_observe_unit"]),
        ("unit", BAD), "does not assert that", "write AssertPathExists=!",
    ),
    "a unit that heeds another file": (
        "inventory", lambda j: j.host(hft_hold_file="/var/lib/elsewhere"), ("unit", BAD), "only ",
        "AssertPathExists=!/var/lib/elsewhere",
    ),
    "a unit that another one conflicts with": (
        "inventory", lambda j: conflicting(j), ("unit", WARN), "would stop hft-1-observe.service", "no Conflicts=",
    ),
    "a unit that is none": (
        "inventory", lambda j: j.host(hft_unit="nothing.service"), ("unit", BAD), "no such unit", "correct hft_unit",
    ),
    "a host without a service manager": (
        "inventory", lambda j: j.host(hft_systemctl="no-such-program"), ("unit", UNKNOWN), "not found", "hft_systemctl",
    ),
    "a host without a Python": (
        "inventory", lambda j: j.host(ansible_python_interpreter="/nowhere/python3"), ("python", BAD),
        "nothing could be latched", "install Python 3.9",
    ),
    "a signing key that is not there": (
        "inventory", lambda j: j.host(hft_evidence_signing_key="/nowhere/key"), ("evidence", BAD), "there is no file",
        "make it",
    ),
    "a signing key of somebody who only approves": (
        "inventory", lambda j: j.host(hft_evidence_signing_key=str(j.lab.people["dave"])), ("evidence", BAD),
        "does not know its key", 'namespaces="hft-evidence"',
    ),
    "recipients that are none": (
        "inventory", lambda j: j.host(hft_evidence_recipients=["age1nobody"]), ("evidence", BAD), "no public key",
        "correct hft_evidence_recipients",
    ),
    "evidence that a template spoils": (
        "inventory", lambda j: j.host(hft_evidence_recipients="{{ nobody_wrote_this }}"), ("evidence", BAD),
        "nobody_wrote_this", "correct the inventory",
    ),
    "a switch that cannot be asked": (
        "inventory", lambda j: j.host(hft_external_isolation_command=["/nowhere/switch"]), ("isolation", BAD),
        "/nowhere/switch is not there", "put it there",
    ),
    "a host that is this very machine": (
        "inventory", lambda j: j.host(hft_isolate_on_host=True, hft_responders=["192.0.2.1"],
                                      hft_isolation_forbidden=["192.0.2.2:443"]),
        ("isolation", BAD), "this host is the control node itself", "mend what it says",
    ),
    "a host that nothing isolates": (
        "inventory", lambda j: j.host(hft_external_isolation_command=[], hft_isolate_on_host=False),
        ("breach", WARN), "isolate a host", "docs/breach.md",
    ),
    "a key that is not in the store": (
        "inventory", lambda j: j.change("group_vars/all/api_keys.yml", in_an_empty_slot), ("key", BAD),
        "there is no key in slot nothing.trading",
        "hft-incident key put trading/okx --in-use",
    ),
    "a store that is not there": (
        "inventory", lambda j: j.change("group_vars/all/api_keys.yml", without_store),
        ("secret store", BAD), "none of 2 keys can be read", "key put",
    ),
    "a command that brings no key": (
        "inventory", lambda j: (j.all / "z.yml").write_text("hft_deliver_command: [/nowhere/deliver]"),
        ("key delivery", BAD), "/nowhere/deliver is not there", "put it there",
    ),
    "an account that nobody may manage": (
        "account", lambda j: j.change("group_vars/all/venues.yml", without_admin),
        ("account", WARN), "has no admin_api_key", "may manage keys",
    ),
    "an admin key that may not manage keys": (
        "account", lambda j: j.change("group_vars/all/venues.yml", with_one_key_for_all),
        ("account", BAD), "its admin_api_key may not manage keys (it may read, trade)", "give it that right",
    ),
    "an admin key that the venue does not know": (
        "account", lambda j: j.venue(admin_api_key="cmd:echo stranger"), ("account", BAD), "cannot be listed",
        "is the key alive",
    ),
    "severity rules that are none": (
        "severity", lambda j: (j.all / "severity.yml").write_text("{"), ("severity", BAD), "not valid YAML", "mend",
    ),
    "a communications policy that is none": (
        "messages", lambda j: (j.all / "communications.yml").write_text("{"), ("messages", BAD), "not valid YAML",
        "mend that file",
    ),
    "channels that lead nowhere": (
        "messages", lambda j: j.messages(channels={}), ("messages", WARN), "nobody is told: ", "communications.yml",
    ),
    "rules that contradict each other": (
        "messages",
        lambda j: j.messages(rules={"another": {
            "audience": "trading_desk", "severities": [1], "first_s": 1, "every_s": 7, "until": "resolved",
            "at_once": [], "channels": ["desk"], "wording": "desk"}}),
        ("messages", BAD), "contradiction: ", "comms --check",
    ),
    "a channel whose secret is not there": (
        "messages", lambda j: j.messages(channels={"desk": "env:NOT_THERE"}), ("channel", BAD), "NOT_THERE is not set",
        "apprise URL",
    ),
    "a channel that is no service": (
        "messages", lambda j: j.messages(channels={"desk": "cmd:echo nothing"}), ("channel", BAD), "not an apprise URL",
        "apprise URL",
    ),
    "a proxy that is not there": (
        "messages", lambda j: j.messages(proxy=NOBODY_LISTENS), ("way out", BAD), "takes no connection", "the way",
    ),
    "an authority that is not there": (
        "messages", lambda j: j.messages(ca_file="/nowhere.pem"), ("way out", BAD), "no such file", "as PEM",
    ),
    "a state folder that is no folder": (
        "state", lambda j: no_folder(j), ("state", BAD), "cannot be written", "install -d",
    ),
    "a state folder that others can read": (
        "state", lambda j: j.home.chmod(0o755), ("state", WARN), "open to others", "chmod 700",
    ),
    "a journal that was altered": (
        "journal", lambda j: rewritten(j), ("journal", BAD), "altered at event 1", "hft-incident verify inc-",
    ),
    "a journal that a crash has torn": (
        "journal", lambda j: torn(j), ("journal", WARN), "torn after event 1", "hft-incident resume inc-",
    ),
    "changes that nobody has undone": (
        "leftover", lambda j: left_over(j), ("leftover", WARN), "1 changes not undone (enable binance)",
        "hft-incident resume inc-",
    ),
}  # fmt: skip


def in_an_empty_slot(content: Any) -> None:
    (key,) = (row for row in content["hft_api_keys"] if row["venue"] == "okx")
    key["slot"] = "nothing.trading"


def without_store(content: Any) -> None:
    content["hft_secret_store"]["path"] = "/nowhere"


def without_admin(content: Any) -> None:
    (entry,) = (row for row in content["hft_venues"] if row["name"] == "okx")
    for name in [name for name in entry if name.startswith("admin_")]:
        del entry[name]


def with_one_key_for_all(content: Any) -> None:
    """The responder's own, which may read and trade."""
    (entry,) = (row for row in content["hft_venues"] if row["name"] == "okx")
    for name in ("api_key", "api_secret", "api_passphrase"):
        entry[f"admin_{name}"] = entry[name]


def no_folder(jumphost: Jumphost) -> None:
    jumphost.home.rmdir()
    jumphost.home.write_text("")


def opened(jumphost: Jumphost) -> Path:
    """The journal of a new incident."""
    return Path(open_incident("exchange_outage", severity=2, home=jumphost.home).journal.path)


def conflicting(jumphost: Jumphost) -> None:
    """Its service manager says what systemd says of such a unit."""
    own = yaml.safe_load((jumphost.inventory / "host_vars/hft-1.yml").read_text())["hft_systemctl"]
    says = "Conflicts=shutdown.target\nConflictedBy=hft-1-observe.service"
    program = jumphost.inventory.parent / "systemctl"
    program.write_text(f"#!/bin/sh\n{own} \"$@\"\ncase $* in *ConflictedBy*) echo '{says}' ;; esac\n")
    program.chmod(0o755)
    jumphost.host(hft_systemctl=str(program))


def rewritten(jumphost: Jumphost) -> None:
    path = opened(jumphost)
    path.write_text(path.read_text().replace('"severity":2', '"severity":4'))


def torn(jumphost: Jumphost) -> None:
    path = opened(jumphost)
    path.write_text(path.read_text() + '{"seq":2,')


def left_over(jumphost: Jumphost) -> None:
    incident = open_incident("exchange_outage", severity=2, home=jumphost.home)
    undo = {"id": "1", "module": "hft.incident.exchange", "args": {}, "describe": "enable binance", "host": "localhost"}
    incident.journal.append("inverse.registered", {**undo, "task": "Close"})


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_told_with_its_mend(jumphost: Jumphost, what: str) -> None:
    subject, break_it, (check, verdict), says, mend = BROKEN[what]
    break_it(jumphost)
    told = jumphost.look(subject)
    found = next((one for one in told if (one.check, one.verdict) == (check, verdict) and says in one.says), None)
    assert found, told
    assert mend in found.mend
    assert found.line().startswith("BAD " if verdict == BAD else verdict)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_unbroken_no_subject_complains(jumphost: Jumphost, subject: str) -> None:
    """Or the table above would prove nothing."""
    assert [found for found in jumphost.look(subject) if found.verdict in (BAD, UNKNOWN)] == []


def test_a_key_file_that_others_can_read_or_somebody_else_owns(
    jumphost: Jumphost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text(CANARY)
    jumphost.venue(api_key=f"file:{key}")
    key.chmod(0o644)
    found = the(jumphost.look("secret"), "secret", BAD)
    assert (found.says.endswith("can be read by others"), found.mend) == (True, "chmod o-rwx it")
    key.chmod(0o600)
    monkeypatch.setattr(site, "TRUSTED", frozenset((os.geteuid() + 1,)))
    found = next(one for one in jumphost.look("secret") if one.subject == "binance")
    assert f"{key} belongs to uid {os.geteuid()}" in found.says
    assert "chown" in found.mend


def test_a_gate_with_too_few_people_can_never_be_passed_and_with_just_enough_is_a_warning(jumphost: Jumphost) -> None:
    jumphost.signers("alice")
    bad = [one for one in jumphost.look("inventory") if (one.check, one.verdict) == ("gate", BAD)]
    assert {one.subject for one in bad} == {"resume_trading", "failover", "security_clearance", "waive_evidence"}
    assert all("can never be passed" in one.says for one in bad)
    assert all("or risk" in one.mend for one in bad if one.subject != "security_clearance")
    jumphost.signers("alice", "bob", "dave")
    warned = [one for one in jumphost.look("inventory") if (one.check, one.verdict) == ("gate", WARN)]
    assert {one.subject for one in warned} == {"resume_trading", "failover", "security_clearance"}
    assert "with one of them away it stays shut" in warned[0].says


@pytest.mark.parametrize(("seconds", "verdict"), [(3600, BAD), (-3600, BAD)])
def test_a_venue_whose_clock_is_not_ours(jumphost: Jumphost, lab: Lab, seconds: float, verdict: str) -> None:
    lab.venues["okx"].inject("clock_skew", seconds=seconds)
    try:
        found = the(jumphost.look("venue"), "clock", verdict)
    finally:
        lab.venues["okx"].clear_faults()
    assert found.subject == "okx"
    assert ("ahead of" if seconds > 0 else "behind") in found.says
    assert "NTP" in found.mend


def test_a_venue_that_answers_nonsense_is_unknown_and_never_ok(jumphost: Jumphost, lab: Lab) -> None:
    lab.venues["okx"].inject("html", op="open_orders")
    try:
        found = jumphost.look("venue", seconds=3.0)
    finally:
        lab.venues["okx"].clear_faults()
    assert the(found, "venue", UNKNOWN).subject == "okx"
    assert the(found, "venue", OK).subject == "binance"


def test_a_host_whose_clock_is_not_ours(jumphost: Jumphost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "date"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 1000000000.5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    found = the(jumphost.look("inventory"), "clock", BAD)
    assert found.subject == "of host hft-1"
    assert "behind ours" in found.says


@pytest.fixture
def closed(lab: Lab) -> Iterator[Path]:
    """The hold file of a trading system whose killswitch is active."""
    (entry,) = venues_file.load(str(lab.venues_file)).trading_systems
    system, hold = TradingSystem(entry), lab.trading_systems["hft-1"].hold_file
    system.activate_killswitch("a test")
    yield hold
    hold.unlink()
    system.release_killswitch()


def test_a_latch_that_is_closed_by_hand_or_by_an_incident(jumphost: Jumphost, closed: Path) -> None:
    closed.write_text("by hand\n")
    found = the(jumphost.look("inventory"), "latch", WARN)
    assert "closed by hand" in found.says
    assert f"rm {closed} on hft-1" in found.mend
    incident = open_incident("system_crash", severity=2, home=jumphost.home)
    closed.write_text(f'{{"incident": "{incident.id}"}}\n')
    found = the(jumphost.look("inventory"), "latch", WARN)
    assert found.mend == f"hft-incident resume {incident.id}"
    assert the(jumphost.look("trading system"), "trading system", WARN).says.endswith("killswitch active")


def test_a_latch_whose_parts_differ(jumphost: Jumphost, tmp_path: Path) -> None:
    """The trading system looks at its own hold file, the inventory at another one."""
    other = tmp_path / "other-hold"
    other.write_text("")
    jumphost.host(hft_hold_file=str(other))
    found = the(jumphost.look("inventory"), "latch", BAD)
    assert "the hold file is closed; the API of hft-1 is open" in found.says
    assert "hft-incident status" in found.mend


def test_a_program_and_a_requirement_that_are_missing(jumphost: Jumphost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = [one for one in jumphost.look("machine") if one.verdict == BAD]
    assert [one.subject for one in missing] == ["ssh-keygen", "ssh"]
    assert all("openssh-client" in one.mend for one in missing)
    true = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.9" if name == "ansible-core" else true(name))
    found = the(jumphost.look("machine"), "version", BAD)
    assert (found.subject, found.mend.startswith("pip install 'ansible-core")) == ("ansible-core", True)


def test_a_disk_that_is_full(jumphost: Jumphost, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(jumphost.home).free
    monkeypatch.setattr(machine, "FEW_FREE", free * 2)
    assert "make room" in the(jumphost.look("state"), "disk", WARN).mend
    monkeypatch.setattr(machine, "LEAST_FREE", free * 2)
    assert "GiB free" in the(jumphost.look("state"), "disk", BAD).says


def test_the_red_button_reads_another_file_than_playbooks_do(
    jumphost: Jumphost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.yml"
    shutil.copy(jumphost.all / "venues.yml", other)
    monkeypatch.setenv("HFT_INCIDENT_VENUES", str(other))
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(jumphost.inventory))
    _site, found = site_of(None, jumphost.home, Deadline(PATIENCE_S))
    assert "unset HFT_INCIDENT_VENUES" in the(found, "venues file", WARN).mend


def test_what_hangs_is_unknown_when_the_time_is_over(jumphost: Jumphost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that never ends holds nobody up but itself."""

    def hang(_site: object) -> list[Finding]:
        wait_until(lambda: False, PATIENCE_S)
        return []

    monkeypatch.setattr(examination, "SUBJECTS", {"state": machine.state, "secret": hang})
    found = diagnose(str(jumphost.inventory), home=jumphost.home, timeout=0.5)
    assert the(list(found.findings), "secret", UNKNOWN).mend.startswith("ask again")
    assert the(list(found.findings), "state", OK)
    assert (found.verdict, found.outcome) == (UNKNOWN, "unproven")


def test_no_secret_is_ever_told(jumphost: Jumphost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", CANARY)
    for fields in ({"api_key": "env:THE_KEY"}, {"api_secret": "env:THE_KEY"}):
        jumphost.venue(**fields)
        jumphost.system(token="env:THE_KEY")
        jumphost.messages(channels={"desk": "env:THE_KEY"})
        found = diagnose(str(jumphost.inventory), home=jumphost.home)
        assert found.outcome == "unproven"
        assert CANARY not in json.dumps(found.to_json())
        assert CANARY not in "\n".join(found.lines())


def test_the_worst_decides() -> None:
    def diagnosis(*verdicts: str) -> Diagnosis:
        return Diagnosis(tuple(Finding("check", "", verdict, "so") for verdict in verdicts), 1.0)

    assert (diagnosis(OK, WARN).verdict, diagnosis(OK, WARN).outcome) == (WARN, "done")
    assert diagnosis(UNKNOWN, OK, BAD).verdict == BAD
    assert diagnosis(UNKNOWN, OK).outcome == "unproven"
    assert diagnosis(OK, OK, WARN).lines()[-1] == "READY: 1 warn, 2 ok (1.0 s)"
