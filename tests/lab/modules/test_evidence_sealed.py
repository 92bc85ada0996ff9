# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Evidence that is signed and encrypted: whatever is tampered with is named, nothing restricted lies in the clear."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from ansible_collections.hft.incident.plugins.action import evidence as action
from ansible_collections.hft.incident.plugins.module_utils import evidence_cipher, evidence_manifest, evidence_signature
from ansible_collections.hft.incident.plugins.module_utils.errors import HeldError, IncidentError, UsageError

from ..ssh_host import ssh_host
from .test_evidence_far import CANARY, World

BOTH = pytest.mark.parametrize("connection", ["faraway", "local"])


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path


def signers(path: Path, key: Path, namespace: str = "hft-evidence") -> str:
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    path.write_text(f'evidence@jumphost namespaces="{namespace}" {public}\n')
    return str(path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    key = make_key(tmp_path / "evidence_key")
    made.args |= {"signing_key": str(key), "allowed_signers": signers(tmp_path / "allowed_signers", key)}
    return made


@pytest.fixture(scope="session")
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


# Signed ---------------------------------------------------------------------------------------------------------------


@BOTH
def test_it_is_signed_so_that_anybody_can_check_it_and_the_record_knows_the_key(world: World, connection: str) -> None:
    done = world.play(connection)
    (event,) = world.events
    assert event["signed_by"] == done["signed_by"]
    assert event["allowed_signers"] == world.args["allowed_signers"]
    by_hand = ["ssh-keygen", "-Y", "verify", "-n", "hft-evidence", "-I", "evidence@jumphost"]
    by_hand += ["-f", world.args["allowed_signers"], "-s", str(world.kept / "manifest.sha256.sig")]
    said = subprocess.run(by_hand, input=(world.kept / "manifest.sha256").read_bytes(), capture_output=True, check=True)
    assert done["signed_by"] in said.stdout.decode()
    verified = world.verify()
    assert (verified.returncode, f"signed with {done['signed_by']}" in verified.stdout) == (0, True), verified.stdout
    again = world.play(connection, HFT_INCIDENT_ID=world.incident.name)
    assert (again["changed"], again["signed_by"], len(world.events)) == (False, done["signed_by"], 1)


def closed(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    evidence_manifest.write(str(folder), {}, {"a.txt": hashlib.sha256(b"a").hexdigest()})
    return folder


def _append(name: str) -> Callable[[World], None]:
    def alter(world: World) -> None:
        with open(world.kept / name, "ab") as file:
            file.write(b"x")

    return alter


def _resign(world: World) -> None:
    other = make_key(world.folder / "other_key")
    (world.kept / "manifest.sha256.sig").unlink()
    evidence_signature.sign(str(world.kept), str(other))


def _disallow(world: World) -> None:
    signers(world.folder / "allowed_signers", make_key(world.folder / "other_key"))


def _swap(world: World) -> None:
    other = closed(world.folder / "closed")
    evidence_signature.sign(str(other), world.args["signing_key"])
    (world.kept / "manifest.sha256.sig").write_bytes((other / "manifest.sha256.sig").read_bytes())


def _journal(world: World) -> None:
    path = world.incident / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"host":"hft-1"', b'"host":"hft-2"'))


TAMPERED: dict[str, tuple[Callable[[World], None], str]] = {
    "item": (_append("logs/hft.log"), "logs/hft.log: its content is not what was put there"),
    "manifest": (_append("manifest.sha256"), "manifest.sha256: not a line of a manifest"),
    "signature": (_append("manifest.sha256.sig"), "manifest.sha256.sig: is not as ssh-keygen writes one"),
    "signature of another": (_swap, "manifest.sha256.sig: is not a signature of this manifest"),
    "signature gone": (lambda world: (world.kept / "manifest.sha256.sig").unlink(), "manifest.sha256.sig: is gone"),
    "another's signature": (_resign, "is made with another key"),
    "key not allowed": (_disallow, "may not sign evidence"),
    "journal line": (_journal, "altered at event"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_found_and_named(world: World, what: str) -> None:
    world.play("local")
    alter, said = TAMPERED[what]
    alter(world)
    found = world.verify()
    assert found.returncode == 1
    assert said in found.stdout.replace("was altered", "altered"), found.stdout


def test_where_nobody_can_tell_it_is_unknown_and_not_intact(world: World, tmp_path: Path) -> None:
    world.play("local")
    os.unlink(world.args["allowed_signers"])
    found = world.verify()
    assert (found.returncode, "signature is unknown" in found.stdout) == (3, True)


@pytest.mark.parametrize("why", ["passphrase", "unprotected", "no key"])
def test_evidence_that_cannot_be_signed_is_kept_and_that_is_said_loudly(world: World, tmp_path: Path, why: str) -> None:
    path = tmp_path / "hard"
    make_key(path, "secret words" if why == "passphrase" else "")
    if why == "unprotected":
        path.chmod(0o644)
    elif why == "no key":
        path.write_text("nothing")
        path.with_suffix(".pub").unlink()
    world.args["signing_key"] = str(path)
    done = world.play("local")
    assert (done.get("failed", False), done["signed_by"], "NOT SIGNED" in done["msg"]) == (False, None, True)
    assert world.events[0]["signed_by"] is None
    assert world.verify().returncode == 0


def test_a_key_that_is_not_allowed_is_said_at_once(world: World, tmp_path: Path) -> None:
    signers(tmp_path / "allowed_signers", Path(world.args["signing_key"]), "approval@hft-incident")
    done = world.play("local")
    assert "may not sign evidence" in done["msg"]
    assert world.events[0]["allowed_signers"] is None
    assert world.verify().returncode == 0


def test_a_key_that_is_not_there_is_wrong_usage_before_anything_is_kept(world: World) -> None:
    world.args["signing_key"] = "/nonexistent/key"
    done = world.play("local")
    assert (done["outcome"], "there is no file /nonexistent/key" in done["msg"]) == ("usage", True)
    assert not world.kept.exists()


def test_a_signature_that_was_cut_short_by_a_kill_is_made_again(tmp_path: Path) -> None:
    folder, key = closed(tmp_path / "folder"), make_key(tmp_path / "key")
    (folder / evidence_manifest.SIGNATURE_DRAFT).write_text("half")
    assert evidence_manifest.check(str(folder)).intact
    fingerprint = evidence_signature.sign(str(folder), str(key))
    assert fingerprint.startswith("SHA256:")
    assert evidence_signature.fault(str(folder), fingerprint, None) == ""
    assert evidence_manifest.check(str(folder)).intact


def test_a_foreign_file_in_the_signatures_place_is_not_overwritten(tmp_path: Path) -> None:
    folder, key = closed(tmp_path / "folder"), make_key(tmp_path / "key")
    (folder / "manifest.sha256.sig").write_text("foreign")
    with pytest.raises(IncidentError, match="is not a signature"):
        evidence_signature.sign(str(folder), str(key))
    assert (folder / "manifest.sha256.sig").read_text() == "foreign"


def test_without_ssh_keygen_nobody_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, key = closed(tmp_path / "folder"), make_key(tmp_path / "key")
    evidence_signature.sign(str(folder), str(key))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HeldError, match="ssh-keygen: not found"):
        evidence_signature.fault(str(folder), "", None)


# Encrypted ------------------------------------------------------------------------------------------------------------


@BOTH
def test_nothing_restricted_lies_in_the_clear_and_the_manifest_proves_both(
    world: World, connection: str, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "big").write_bytes(CANARY.encode() + bytes(3_000_000))
    world.args |= {"encrypt_to": [str(identity.to_public())], "paths": [str(tree)]}
    done = world.play(connection)
    assert done.get("complete") is True, done
    for path in world.home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
    assert list(world.staging.iterdir()) == []
    facts = json.loads((world.kept / "manifest.json").read_text())
    rows = {row["name"]: row for row in facts["items"]}
    config = rows["config/hft.json.age"]
    plain = pyrage.decrypt((world.kept / "config/hft.json.age").read_bytes(), [identity])
    assert plain == world.config.read_bytes()
    assert config["plain"] == {"size": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
    assert "logs/hft.log" in rows
    (archive,) = [row for row in rows.values() if row["name"].endswith(".tar.age")]
    assert len(pyrage.decrypt((world.kept / archive["name"]).read_bytes(), [identity])) == archive["plain"]["size"]
    assert facts["encrypted_to"] == [str(identity.to_public())]
    assert world.verify().returncode == 0
    again = world.play(connection, HFT_INCIDENT_ID=world.incident.name)
    assert (again["changed"], again["manifest_sha256"]) == (False, done["manifest_sha256"])


@pytest.mark.parametrize("way", ["sftp", "piped"])
def test_through_a_real_sshd_as_well(
    world: World, tmp_path: Path, identity: pyrage.x25519.Identity, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with ssh_host(tmp_path / "ssh") as host:
        reached = {
            "ansible_host": "127.0.0.1",
            "ansible_port": host.port,
            "ansible_user": host.user,
            "ansible_ssh_common_args": shlex.join(host.options),
            "ansible_ssh_transfer_method": way,
            "ansible_python_interpreter": sys.executable,
        }
        (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"hft-1": reached}}}))
        world.args |= {"encrypt_to": [str(identity.to_public())]}
        done = world.play("ssh")
    assert done.get("complete") is True, done
    assert pyrage.decrypt((world.kept / "config/hft.json.age").read_bytes(), [identity]) == world.config.read_bytes()
    facts = json.loads((world.kept / "manifest.json").read_text())
    assert abs(facts["clock_offset_s"]) < 60, "one machine has one clock"
    assert world.verify().returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes root without a password")
def test_what_another_user_collected_is_encrypted_as_well(world: World, identity: pyrage.x25519.Identity) -> None:
    world.args["encrypt_to"] = [str(identity.to_public())]
    done = world.play(become=True, SPOILED="theirs")
    assert done["complete"] is True
    assert pyrage.decrypt((world.kept / "config/hft.json.age").read_bytes(), [identity]) == world.config.read_bytes()


def test_a_connection_that_resolves_links_writes_nothing_anywhere(
    world: World, identity: pyrage.x25519.Identity
) -> None:
    before = set(os.listdir("/"))
    world.args["encrypt_to"] = [str(identity.to_public())]
    assert world.play(SPOILED="resolves")["complete"] is True
    assert set(os.listdir("/")) == before


def test_what_was_altered_on_the_way_is_found_and_stays_on_the_host(
    world: World, identity: pyrage.x25519.Identity
) -> None:
    world.args["encrypt_to"] = [str(identity.to_public())]
    done = world.play(SPOILED="altered")
    assert (done["failed"], done["outcome"]) == (True, "unproven")
    assert list(world.staging.iterdir())


def test_what_is_larger_than_the_memory_allows_is_not_brought_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action, "room_in_memory", lambda: 3)
    fetch = action._Fetch(None, "/there", {}, readable=True)  # type: ignore[arg-type]  # it must not come to that
    with pytest.raises(ValueError, match="too many to encrypt them in memory"):
        fetch._encrypted("core/core", "0" * 64, 4, str(tmp_path), lambda *_: None)
    assert evidence_cipher.room_in_memory() > 0


def test_what_was_altered_on_its_way_into_memory_is_not_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action._Fetch, "_in_memory", lambda *_: io.BytesIO(b"other"))
    fetch = action._Fetch(None, "/there", {}, readable=True)  # type: ignore[arg-type]  # it must not come to that
    with pytest.raises(ValueError, match="is not what was put there"):
        fetch._encrypted("config/hft.json", hashlib.sha256(b"plain").hexdigest(), 5, str(tmp_path), lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_the_hosts_own_manifest_is_kept(world: World, identity: pyrage.x25519.Identity) -> None:
    world.args["encrypt_to"] = [str(identity.to_public())]
    world.play()
    theirs = (world.kept / "from-host/manifest.sha256.txt").read_text()
    assert f"{hashlib.sha256(world.config.read_bytes()).hexdigest()}  config/hft.json" in theirs


def test_keys_come_from_a_file_too_and_their_order_does_not_matter(tmp_path: Path) -> None:
    keys = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2)]
    ssh = " ".join(make_key(tmp_path / "k").with_suffix(".pub").read_text().split()[:2])
    (tmp_path / "team.txt").write_text(f"# security\n{keys[1]}\n\n{ssh}\n")
    assert evidence_cipher.recipients([keys[0], "team.txt"], str(tmp_path)) == tuple(sorted([*keys, ssh]))
    assert evidence_cipher.recipients([]) == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("age1nonsense", "no public key"),
        ("ssh-ed25519 AAAA", "no public key"),
        ("/nonexistent/team.txt", "no such file"),
    ],
)
def test_a_wrong_recipient_is_refused_before_anything_is_kept(world: World, given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        evidence_cipher.recipients([given])
    world.args["encrypt_to"] = [given]
    done = world.play("local")
    assert (done["outcome"], said in done["msg"]) == ("usage", True)
    assert not world.kept.exists()


def test_a_private_key_that_was_named_by_mistake_is_not_echoed(
    tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    (tmp_path / "key.txt").write_text(str(identity))
    with pytest.raises(UsageError) as found:
        evidence_cipher.recipients(["key.txt"], str(tmp_path))
    assert str(identity)[20:] not in str(found.value)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(UsageError, match=r"pip install 'hft-incident\[age\]'"):
        evidence_cipher.recipients(["age1whatever"])
    assert evidence_cipher.recipients([]) == (), "a host that encrypts nothing need not have it"


def test_what_is_opened_is_what_was_sealed_by_either_kind_of_key(
    tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    ssh = make_key(tmp_path / "k")
    (tmp_path / "age.txt").write_text(f"# created: today\n{identity}\n")
    sealer = evidence_cipher.Sealer([str(identity.to_public()), ssh.with_suffix(".pub").read_text().strip()])
    sealed = io.BytesIO()
    sealer.seal(io.BytesIO(b"plain" * 1000), sealed)
    for path in (tmp_path / "age.txt", ssh):
        plain = io.BytesIO()
        evidence_cipher.opened(io.BytesIO(sealed.getvalue()), plain, str(path))
        assert plain.getvalue() == b"plain" * 1000
    with pytest.raises(UsageError, match="no key that opens it"):
        evidence_cipher.opened(io.BytesIO(sealed.getvalue()), io.BytesIO(), str(make_key(tmp_path / "other")))
