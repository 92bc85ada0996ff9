# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The doctor on what a breach needs: real keys, stores and commands, beside answers of Ansible's that are made up."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from tests.lab.waiting import wait_until
from tests.unit.kv2_server import TOKEN, kv2_server

from ansible_collections.hft.incident.plugins.module_utils.account_reading import NotThere, Seen
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.reading import Answer
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import ABSENT, Stored
from ansible_collections.hft.incident.plugins.module_utils.settings import Settings, VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import ApiKey
from hft_incident.doctor import accounts, api_keys, evidence, examination, hosts, isolation, site
from hft_incident.doctor import breach as parts
from hft_incident.doctor.ansible_look import Look, Told
from hft_incident.doctor.breach import breach
from hft_incident.doctor.examination import diagnose
from hft_incident.doctor.findings import BAD, OK, UNKNOWN, WARN, Finding
from hft_incident.doctor.site import Site, command_fault, texts

CANARY = "canary-9e107d9d37"
PATIENCE_S = 20.0
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
KEYS = [
    {"name": "hft-1/binance", "venue": "binance", "slot": "binance.trading", "ip_allow_list": []},
    {"name": "hft-1/okx", "venue": "okx", "slot": "okx.trading", "ip_allow_list": []},
]
NAMES = {"venues": ["binance", "okx"], "trading_systems": ["hft-1"]}
#: An inventory that prepares nothing.
NOTHING: Mapping[str, Any] = {
    "evidence": {"signing_key": "", "recipients": []},
    "isolation_settings": {"responders": [], "external_command": [], "on_host": True, "here": False},
    "api_keys": {"keys": [], "store": {}, "deliver_command": []},
}


def told(task: str, msg: object, host: str = "localhost", ended: str = "ok") -> Told:
    return Told(task, host, ended, 0.0, 0.0, {"msg": msg})


def look(*hosts: str, **said: Any) -> Look:
    """What Ansible said; what is not given is not prepared."""
    msgs = {name: {**unprepared, **said.get(name, {})} for name, unprepared in NOTHING.items()}
    rows = [told("venues", NAMES), told("api_keys", msgs.pop("api_keys"))]
    if "signers" in said:
        rows.append(told("allowed_signers", str(said["signers"])))
    rows += [told(task, msg, host) for host in hosts or ("hft-1",) for task, msg in msgs.items()]
    return Look((*rows, *said.get("more", ())), "")


def site_of(home: Path, *venues: VenueEntry, seconds: float = PATIENCE_S) -> Site:
    return Site(home, ("inventory",), "", Settings(venues, ()), Deadline(seconds))


def the(found: list[Finding], verdict: str) -> Finding:
    (one,) = (finding for finding in found if finding.verdict == verdict)
    return one


# Nothing is prepared --------------------------------------------------------------------------------------------------


def test_what_nobody_has_prepared_is_one_line(tmp_path: Path) -> None:
    found = the(breach(look("hft-1", "hft-2"), site_of(tmp_path, VenueEntry("okx", "okx"))), WARN)
    for variable in ("hft_evidence_signing_key", "hft_responders", "hft_api_keys", "admin_api_key"):
        assert variable in found.says
    assert "docs/breach.md" in found.mend


def test_what_is_prepared_is_not_in_that_line(tmp_path: Path) -> None:
    seen = look(isolation_settings={"on_host": False, "external_command": ["/bin/true"]})
    found = breach(seen, site_of(tmp_path, VenueEntry("okx", "okx", admin_api_key="env:KEY")))
    assert the(found, OK).check == "isolation"
    assert [name in the(found, WARN).says for name in ("isolate", "replace keys or stop", "sign", "hft_api_keys")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_an_inventory_that_said_nothing_proves_nothing(tmp_path: Path) -> None:
    assert the(breach(Look((), "no parse"), site_of(tmp_path)), UNKNOWN).mend == "see there"


def test_what_ansible_has_told_is_read_also_where_it_took_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def answers(_calls: object, deadline: Deadline) -> dict[str, Answer[list[Finding]]]:
        left.append(deadline.remaining())
        return {}

    monkeypatch.setattr(parts, "answers", answers)
    seen = look(isolation_settings=RESPONDERS)
    breach(Look(seen.told, "ansible-playbook did not end in time"), site_of(tmp_path, seconds=0.0))
    assert left[0] > 0


def test_a_part_that_breaks_down_is_unknown_and_the_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "isolation", lambda _seen: 1 / 0)
    seen = look(isolation_settings={"responders": ["192.0.2.1"]}, evidence={"recipients": [AGE]})
    found = breach(seen, site_of(tmp_path))
    assert the(found, UNKNOWN).check == "isolation"
    assert {one.subject for one in found if one.verdict == OK} == {"encryption of hft-1", "room"}


# Evidence -------------------------------------------------------------------------------------------------------------


class Signing:
    """A key of the jumphost's, and the file that knows it."""

    def __init__(self, folder: Path) -> None:
        self.key, self.signers = folder / "evidence_ed25519", folder / "allowed_signers"
        self.make()

    def make(self, passphrase: str = "") -> None:
        for path in (self.key, self.public):
            path.unlink(missing_ok=True)
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(self.key)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        self.allow('namespaces="hft-evidence"')

    @property
    def public(self) -> Path:
        return self.key.with_suffix(".pub")

    def allow(self, options: str) -> None:
        self.signers.write_text(f"evidence@jumphost {options} {self.public.read_text()}")

    def found(self, home: Path, **said: Any) -> list[Finding]:
        seen = look(evidence={"signing_key": str(self.key), **said}, signers=self.signers)
        return [one for one in evidence.evidence(seen, site_of(home)) if one.subject.startswith("signature")]


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    return Signing(tmp_path)


def test_a_key_that_signs_and_is_known_is_all_right_and_nothing_is_written(signing: Signing, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (found,) = signing.found(tmp_path)
    assert (found.verdict, found.says) == (OK, f"{signing.key} signs as evidence@jumphost")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_many_hosts_with_one_key_are_one_line(signing: Signing, tmp_path: Path) -> None:
    names = [f"hft-{n}" for n in range(1, 7)]
    seen = look(*names, evidence={"signing_key": str(signing.key)}, signers=signing.signers)
    found = evidence.evidence(seen, site_of(tmp_path))
    assert the(found, WARN).subject == "encryption of hft-1, hft-2, hft-3 and 3 more"
    assert [one.subject for one in found if one.verdict == OK] == [
        "signature of hft-1, hft-2, hft-3 and 3 more",
        "room",
    ]


BROKEN_KEYS: Mapping[str, tuple[Callable[[Signing], object], str, str, str]] = {
    "is not there": (lambda s: s.key.unlink(), BAD, "there is no file", "make it"),
    "can be read by its group": (lambda s: s.key.chmod(0o640), BAD, "is open to others", "chmod 600"),
    "has a passphrase": (lambda s: s.make("a secret of its own"), BAD, "cannot sign with", "without a passphrase"),
    "is no key": (lambda s: s.key.write_text(CANARY), BAD, "cannot sign with", "without a passphrase"),
    "is nobody's": (lambda s: s.signers.write_text(""), BAD, "does not know its key", 'namespaces="hft-evidence"'),
    "may only approve": (lambda s: s.allow('namespaces="approval@hft-incident"'), BAD, "does not know its key", "line"),
    "is no longer valid": (
        lambda s: s.allow('namespaces="hft-evidence",valid-before="20200101"'), BAD, "does not know its key", "line",
    ),
    "has signers that are not there": (lambda s: s.signers.unlink(), UNKNOWN, "cannot read who may approve", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN_KEYS)
def test_a_signing_key_that(signing: Signing, tmp_path: Path, what: str) -> None:
    break_it, verdict, says, mend = BROKEN_KEYS[what]
    break_it(signing)
    (found,) = signing.found(tmp_path)
    assert (found.verdict, says in found.says, mend in found.mend) == (verdict, True, True), found
    assert CANARY not in found.line()


def test_a_signing_key_of_somebody_else(signing: Signing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "TRUSTED", frozenset((os.geteuid() + 1,)))
    (found,) = signing.found(tmp_path)
    assert (found.verdict, "belongs to uid" in found.says) == (BAD, True)


def test_the_key_itself_in_the_place_of_its_path_is_not_repeated(signing: Signing, tmp_path: Path) -> None:
    text = signing.key.read_text()
    (found,) = signing.found(tmp_path, signing_key=text)
    assert (found.verdict, "a private key itself is in the clear" in found.says) == (BAD, True)
    assert not any(line in found.line() for line in text.splitlines())


def test_a_public_key_whose_private_one_no_agent_has_does_not_sign(
    signing: Signing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    signing.key.unlink()
    (found,) = signing.found(tmp_path, signing_key=str(signing.public))
    assert (found.verdict, "cannot sign" in found.says) == (BAD, True)


def test_an_agent_that_never_answers_is_unknown(
    signing: Signing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that waits for a touch."""
    signing.key.unlink()
    monkeypatch.setattr(evidence, "SIGN_S", 0.3)
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        (found,) = signing.found(tmp_path, signing_key=str(signing.public))
    assert (found.verdict, "no end in" in found.says) == (UNKNOWN, True)


@pytest.mark.parametrize(
    ("given", "verdict", "says"),
    [
        ([], WARN, "kept in the clear"),
        ([AGE], OK, "1 keys can read"),
        ([f"AGE-SECRET-KEY-1{CANARY}"], BAD, "a private key of age is in the clear"),
        (["age1nothing"], BAD, "no public key of age or SSH"),
        (["/nowhere/recipients"], BAD, "no such file"),
    ],
)
def test_recipients(tmp_path: Path, given: list[str], verdict: str, says: str) -> None:
    found = evidence.evidence(look(evidence={"recipients": given}), site_of(tmp_path))
    (one,) = (found for found in found if found.subject == "encryption of hft-1")
    assert (one.verdict, says in one.says) == (verdict, True), one
    assert CANARY not in one.line()


def test_without_pyrage_nothing_would_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    found = the(evidence.evidence(look(evidence={"recipients": [AGE]}), site_of(tmp_path)), BAD)
    assert "none would be kept: pip install 'hft-incident[age]'" in found.says


def test_a_disk_without_room_for_every_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST", 2**60)
    found = evidence.evidence(look(evidence={"recipients": [AGE]}), site_of(tmp_path / "not" / "yet"))
    (one,) = (found for found in found if found.subject == "room")
    assert (one.verdict, "cut short" in one.says, str(tmp_path) in one.mend) == (WARN, True, True)


def test_an_inventory_that_cannot_say_how_evidence_is_kept(tmp_path: Path) -> None:
    seen = look(more=[told("evidence", "'vault_it' is undefined", "hft-2", "failed")])
    found = the(breach(seen, site_of(tmp_path)), BAD)
    assert (found.subject, "'vault_it' is undefined" in found.says) == ("hft-2", True)


# Isolation ------------------------------------------------------------------------------------------------------------

RESPONDERS = {"responders": ["192.0.2.10"]}


def of_host(*, stdout: str = "", rehearsal: Told | None = None, ended: str = "ok", **said: Any) -> list[Finding]:
    shell = Told("host", "hft-1", ended, 0.0, 0.0, {"stdout": stdout})
    more = [shell, *([rehearsal] if rehearsal else [])]
    return isolation.isolation(look(isolation_settings={**RESPONDERS, **said}, more=more))


def rehearsed(ended: str = "ok", **result: Any) -> Told:
    return Told("isolation", "hft-1", ended, 0.0, 0.0, result)


def test_a_rehearsal_that_was_good() -> None:
    (found,) = of_host(rehearsal=rehearsed(responders=["192.0.2.10/32"]))
    assert (found.verdict, "would let in 192.0.2.10/32" in found.says) == (OK, True)
    (found,) = of_host(rehearsal=rehearsed(responders=["192.0.2.10/32"]), external_command=["/bin/true"])
    assert (found.verdict, "from outside, too" in found.says) == (OK, True)


def test_a_rehearsal_that_was_refused_is_bad_and_one_that_ended_otherwise_unknown() -> None:
    (found,) = of_host(rehearsal=rehearsed("failed", msg="nft: not found", outcome="usage"))
    assert (found.verdict, "nft: not found" in found.says) == (BAD, True)
    for broken in (rehearsed("failed", msg="no end", outcome="unproven"), rehearsed("failed", msg="MODULE FAILURE")):
        assert [one.verdict for one in of_host(rehearsal=broken)] == [UNKNOWN]
    assert the(of_host(), UNKNOWN).says == "no answer in time"


def test_without_conntrack_what_was_cut_may_count_as_established() -> None:
    found = the(of_host(stdout="1\nconntrack=missing\nLoadState=loaded", rehearsal=rehearsed()), WARN)
    assert "conntrack" in found.mend


def test_a_host_that_lets_nobody_in_is_said_of_the_host() -> None:
    assert of_host(ended="unreachable") == []


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [
        ({"on_host": False, "external_command": ["/bin/true"]}, [OK]),
        ({"on_host": False, "external_command": ["/nowhere"]}, [BAD]),
        ({"on_host": False, "responders": [], "external_command": []}, [WARN]),
        ({"external_command": ["/nowhere"]}, [WARN, OK]),
    ],
)
def test_what_isolates_from_outside(said: dict[str, Any], verdicts: list[str]) -> None:
    assert [one.verdict for one in of_host(rehearsal=rehearsed(), **said)] == verdicts


def test_a_host_for_which_only_a_responder_is_named_needs_one_from_outside_where_it_is_not_isolated_itself() -> None:
    (found,) = of_host(on_host=False)
    assert (found.verdict, "hft_external_isolation_command" in found.mend) == (BAD, True)


# The store ------------------------------------------------------------------------------------------------------------


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return f"file:{path}"


def fill(spec: Mapping[str, Any], *slots: str) -> None:
    for slot in slots:
        open_store(spec).write(slot, Stored(f"id-{slot}", Secret(CANARY)), ABSENT)


def keys(home: Path, spec: object, seconds: float = PATIENCE_S, **said: Any) -> list[Finding]:
    seen = look(api_keys={"keys": KEYS, "store": spec, **said})
    found = api_keys.api_keys(seen, site_of(home, seconds=seconds))
    assert CANARY not in json.dumps([one.line() for one in found])
    return [one for one in found if one.check != "key delivery"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def file_store(folder: Path) -> dict[str, Any]:
    spec = {"kind": "file", "path": str(folder)}
    fill(spec, "binance.trading", "okx.trading")
    return spec


def test_every_key_is_in_the_store_and_stays_as_it_is(tmp_path: Path, folder: Path, file_store: dict[str, Any]) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {path.name: (path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}

    before = state()
    assert [(one.verdict, one.says) for one in keys(tmp_path, file_store)] == [(OK, "2 keys are in it")]
    assert state() == before


def test_one_key_that_is_not_there_is_named_with_how_to_put_it(
    tmp_path: Path, folder: Path, file_store: dict[str, Any]
) -> None:
    (folder / "okx.trading.json").unlink()
    (found,) = keys(tmp_path, file_store)
    assert (found.check, found.subject, found.verdict) == ("key", "hft-1/okx", BAD)
    assert found.mend.endswith("hft-incident key put hft-1/okx --in-use")


def test_a_key_that_others_can_read(tmp_path: Path, folder: Path, file_store: dict[str, Any]) -> None:
    (folder / "okx.trading.json").chmod(0o644)
    (found,) = keys(tmp_path, file_store)
    assert (found.verdict, "is open to others" in found.says, found.mend) == (BAD, True, "chmod 600 it")


@pytest.mark.parametrize("break_it", [lambda path: path.chmod(0o755), lambda path: path.rename(f"{path}-elsewhere")])
def test_a_store_that_gives_nothing_is_one_line(
    tmp_path: Path, folder: Path, file_store: dict[str, Any], break_it: Any
) -> None:
    break_it(folder)
    (found,) = keys(tmp_path, file_store)
    assert (found.check, found.verdict, "none of 2 keys" in found.says) == ("secret store", BAD, True)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "must be a mapping"),
        ("file", "must be a mapping"),
        ({"kind": "shoebox", "path": "/x"}, "unknown kind 'shoebox'"),
        ({"kind": "file", "path": "keys"}, "is not absolute"),
        ({"kind": "ansible_vault", "path": "/x"}, "needs 'password'"),
        ({"kind": "vault_kv2", "url": "http://x", "token": CANARY}, "holds a value in clear"),
    ],
)
def test_a_store_that_is_none(tmp_path: Path, spec: object, says: str) -> None:
    (found,) = keys(tmp_path, spec)
    assert (found.verdict, says in found.says) == (BAD, True), found


def test_keys_that_cannot_be_meant_and_venues_without_one(tmp_path: Path, file_store: dict[str, Any]) -> None:
    (found,) = keys(tmp_path, file_store, keys=[{**KEYS[0], "venue": "elsewhere"}])
    assert (found.verdict, "there is no 'elsewhere'" in found.says) == (BAD, True)
    found = the(keys(tmp_path, file_store, keys=KEYS[:1]), WARN)
    assert found.says.startswith("of okx none is in hft_api_keys")


def test_ansible_vault(tmp_path: Path, folder: Path) -> None:
    spec = {"kind": "ansible_vault", "path": str(folder / "keys.yml"), "password": private(tmp_path / "p", CANARY)}
    fill(spec, "binance.trading", "okx.trading")
    assert the(keys(tmp_path, spec), OK).subject == "ansible_vault"
    (found,) = keys(tmp_path, {**spec, "password": "env:NOT_THERE"})
    assert (found.verdict, "NOT_THERE is not set" in found.says) == (BAD, True)
    wrong = VaultLib([("default", VaultSecret(b"another"))]).encrypt("{}")
    (folder / "keys.yml").write_bytes(wrong)
    (found,) = keys(tmp_path, spec)
    assert (found.verdict, "cannot be opened" in found.says) == (BAD, True)


def test_vault_kv2(tmp_path: Path) -> None:
    with kv2_server() as kv2:
        spec = {"kind": "vault_kv2", "url": kv2.url, "token": private(tmp_path / "token", TOKEN)}
        fill(spec, "binance.trading", "okx.trading")
        kv2.seen.clear()
        assert the(keys(tmp_path, spec), OK).subject == "vault_kv2"
        assert {method for method, _path in kv2.seen} == {"GET"}
        (found,) = keys(tmp_path, {**spec, "token": private(tmp_path / "wrong", CANARY)})
        assert (found.verdict, "Forbidden" in found.says, "token may read" in found.mend) == (BAD, True, True)
    (found,) = keys(tmp_path, spec)
    assert (found.verdict, "ConnectionError" in found.says) == (BAD, True)


def test_without_hvac_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hvac", None)
    (found,) = keys(tmp_path, {"kind": "vault_kv2", "url": "http://127.0.0.1:9", "token": "env:T"})
    assert (found.verdict, "pip install 'hft-incident[vault]'" in found.says) == (BAD, True)


def test_a_store_that_never_answers_is_unknown_when_the_time_is_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        spec = {"kind": "vault_kv2", "url": url, "token": private(tmp_path / "token", TOKEN), "timeout": 60}
        (found,) = keys(tmp_path, spec, seconds=0.3)
    assert (found.verdict, "none of 2 keys" in found.says) == (UNKNOWN, True)


# Delivery -------------------------------------------------------------------------------------------------------------


def delivery(home: Path, command: object, *, here: bool = False, kind: str = "file") -> Finding:
    said = {"keys": KEYS, "store": {"kind": kind}, "deliver_command": command}
    seen = look(api_keys=said, isolation_settings={"here": here})
    (found,) = (one for one in api_keys.api_keys(seen, site_of(home)) if one.check == "key delivery")
    return found


def test_the_command_that_brings_keys_can_be_started(tmp_path: Path) -> None:
    script = tmp_path / "deliver-key"
    assert (delivery(tmp_path, [str(script)]).verdict, delivery(tmp_path, ["true", "x"]).verdict) == (BAD, OK)
    script.write_text("#!/bin/sh\ntouch was-started\n")
    assert delivery(tmp_path, [str(script)]).mend == f"chmod u+x {script}"
    script.chmod(0o755)
    assert (delivery(tmp_path, [str(script)]).verdict, delivery(tmp_path, str(script)).verdict) == (OK, OK)
    script.chmod(0o777)
    assert "may be changed by others" in delivery(tmp_path, [str(script)]).says
    assert list(tmp_path.iterdir()) == [script], "it was not started"


def test_without_a_command_a_key_stays_where_the_store_is(tmp_path: Path) -> None:
    assert "to hft-1" in delivery(tmp_path, []).says
    assert [delivery(tmp_path, [], here=True).verdict, delivery(tmp_path, [], kind="vault_kv2").verdict] == [OK, OK]
    assert delivery(tmp_path, [], kind="ansible_vault").verdict == WARN


def test_commands_and_lists_are_read_as_ansible_reads_them(tmp_path: Path) -> None:
    assert [texts(value) for value in ("a,b", ["a", 1], None, 7)] == [("a", "b"), ("a", "1"), (), ()]
    fault = command_fault(["bin/deliver"])
    assert fault is not None
    assert "no absolute path" in fault[0]


# Accounts -------------------------------------------------------------------------------------------------------------

RESPONDER = ApiKey("r", permissions=frozenset({"read", "trade"}), ip_allow_list=("192.0.2.10",))
ADMIN = ApiKey("a", permissions=frozenset({"read", "manage_keys"}), ip_allow_list=("192.0.2.10",))
OURS = {"r": "api_key of the venues file", "a": "admin_api_key of the venues file"}
WITH_ADMIN = VenueEntry("okx", "okx", admin_api_key="env:A", admin_api_secret="env:B")


def account(
    own: object, entry: VenueEntry = WITH_ADMIN, *, some_have: bool = True, **parts: Answer[Any]
) -> list[Finding]:
    asked: dict[str, Answer[Any]] = {"own_keys": Answer(own), "keys": Answer([]), "withdrawals": Answer([]), **parts}
    return list(accounts.of_account(Seen(entry, asked, OURS), some_have_an_admin=some_have))


def test_an_account_that_can_be_asked() -> None:
    (found,) = account([RESPONDER, ADMIN])
    assert found.verdict == OK
    assert "admin_api_key may manage_keys, read" in found.says


@pytest.mark.parametrize(
    ("rights", "verdict"), [({"withdraw"}, BAD), ({"transfer"}, WARN), ({"manage_keys", "withdraw"}, BAD)]
)
def test_a_responders_key_that_may_too_much(rights: set[str], verdict: str) -> None:
    too_much = RESPONDER._replace(permissions=frozenset(rights | {"read", "trade"}))
    (found,) = account([too_much, ADMIN])
    assert (found.verdict, found.says.startswith(f"its api_key may {', '.join(sorted(rights))}:")) == (verdict, True)


def test_one_key_for_both_is_judged_as_both() -> None:
    (found,) = account([ADMIN._replace(permissions=frozenset({"read", "trade", "manage_keys", "withdraw"}))])
    assert (found.verdict, found.says.startswith("its api_key may manage_keys, withdraw")) == (BAD, True)


def test_an_admin_key_that_may_not_manage_keys_where_the_venue_lets_one() -> None:
    weak = ADMIN._replace(permissions=frozenset({"read"}))
    assert the(account([RESPONDER, weak]), BAD).says.startswith("its admin_api_key may not manage keys (it may read)")
    by_hand = WITH_ADMIN._replace(driver="kraken")
    assert [one.verdict for one in account([RESPONDER, weak], by_hand)] == [OK]


def test_a_key_that_may_be_used_from_everywhere_and_one_of_which_nobody_knows_from_where() -> None:
    (found,) = account([RESPONDER, ADMIN._replace(ip_allow_list=())])
    assert (found.verdict, found.says) == (WARN, "its admin_api_key may be used from everywhere")
    assert [one.verdict for one in account([RESPONDER, ADMIN._replace(ip_allow_list=None)])] == [OK]


def test_without_an_admin_key_it_is_said_where_others_have_one() -> None:
    alone = WITH_ADMIN._replace(admin_api_key=None)
    assert "has no admin_api_key" in the(account([RESPONDER], alone), WARN).says
    assert [one.verdict for one in account([RESPONDER], alone, some_have=False)] == [OK]


def test_what_the_venue_does_not_tell_a_person_looks_up_and_is_never_ok() -> None:
    (found,) = account(NotThere("x has no API to ask a key for its own rights", ("Log in, look.",)))
    assert (found.verdict, "Log in, look." in found.mend) == (WARN, True)


def test_what_could_not_be_read_is_not_ok() -> None:
    failed: Answer[Any] = Answer(None, "refused", "auth")
    (found,) = account([RESPONDER, ADMIN], withdrawals=failed)
    assert (found.verdict, "none could be stopped" in found.says) == (BAD, True)
    (found,) = account([RESPONDER, ADMIN], keys=Answer(None, "no answer in time", "unknown_outcome"))
    assert (found.verdict, "no key could be revoked" in found.says) == (UNKNOWN, True)
    assert the(account(None, own_keys=failed), BAD).says == "what our keys may do is unknown: refused"


# Hosts' Python, and the time for it all -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [(["Python=3.11"], OK), (["Python=3.9"], OK), (["Python=3.8"], BAD), (["Python=2.7"], BAD), (["sh: python3"], BAD)],
)
def test_modules_need_a_python_that_can_load_them(lines: list[str], verdict: str) -> None:
    assert hosts.python(lines, "hft-1").verdict == verdict


def test_what_a_subject_has_found_by_its_deadline_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(given: Site) -> list[Finding]:
        wait_until(given.deadline.expired, PATIENCE_S)
        return [Finding("slow", "", OK, "so far")]

    (tmp_path / "hosts.yml").write_text("all:\n")
    monkeypatch.setattr(examination, "SUBJECTS", {"slow": slow})
    found = diagnose(str(tmp_path / "hosts.yml"), home=tmp_path, timeout=2.0)
    assert [one for one in found.findings if one.check == "slow"] == [Finding("slow", "", OK, "so far")]
