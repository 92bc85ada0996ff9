# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident approve`, with real keys and the real ssh-keygen: what is recorded, and everything that is refused."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils import ssh_signature
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident import approval, approve, cli, sentences, status

from .people import GATE, ONLY_APPROVALS, Firm
from .waiting import wait_until

ROOT = Path(__file__).parents[2]
SOURCES = f"{ROOT / 'src'}{os.pathsep}{ROOT / 'collections'}"


@pytest.fixture
def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firm:
    made = Firm(tmp_path)
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(made.home))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in ("HFT_INCIDENT_SSH_KEY", "SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return made


def lines(incident: Incident) -> int:
    return len(incident.journal.events())


def refused(firm: Firm, incident: Incident, key: str | None, gate: str = GATE) -> str:
    """The reason; nothing was written."""
    before = Path(incident.journal.path).read_bytes()
    with pytest.raises(UsageError) as found:
        approve(incident.id, gate, key=None if key is None else firm.key(key))
    assert Path(incident.journal.path).read_bytes() == before
    assert "\n" not in str(found.value)
    return str(found.value)


# What is recorded -----------------------------------------------------------------------------------------------------


def test_two_people_approve_and_each_is_told_what_is_still_needed(firm: Firm) -> None:
    incident = firm.incident()
    first = approve(incident.id, GATE, key=firm.key("alice"))
    assert (first.person, first.people, first.approved_by) == ("alice@firm.example", 2, ("alice@firm.example",))
    assert (first.missing, first.may_approve) == (1, ("bob@firm.example", "carol@firm.example"))
    assert first.next == f"hft-incident approve {incident.id} {GATE}"
    second = approve(incident.id, GATE, key=firm.key("bob"))
    assert (second.approved_by, second.missing) == (("alice@firm.example", "bob@firm.example"), 0)
    assert second.next == f"hft-incident resume {incident.id}"
    assert verify(incident.journal.path).state == "intact"
    told = [sentences.sentence(event) for event in incident.journal.events()[-2:]]
    assert told == [f"alice@firm.example approved {GATE}", f"bob@firm.example approved {GATE}"]


def test_the_record_holds_what_was_signed_and_no_more(firm: Firm) -> None:
    incident = firm.incident()
    given = approve(incident.id, GATE, key=firm.key("alice"))
    *_, held, approval = incident.journal.events()
    assert approval.seq == given.seq
    assert set(approval.data) == {"gate", "person", "fingerprint", "statement", "sshsig"}
    assert approval.data["statement"]["head"] == {"seq": held.seq, "hash": held.hash}
    assert approval.data["fingerprint"] == given.fingerprint
    shown = subprocess.run(["ssh-keygen", "-lf", firm.key("alice")], capture_output=True, text=True, check=True)
    assert given.fingerprint in shown.stdout
    text = Path(incident.journal.path).read_text()
    private = firm.key("alice").read_text().split("\n")[1:-2]
    assert not any(line in text for line in private)
    assert "***" not in text


def test_no_file_is_left_behind(firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    incident = firm.incident()
    approve(incident.id, GATE, key=firm.key("alice"))
    refused(firm, incident, "mallory")
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in incident.directory.iterdir()) == ["journal.jsonl"]


def test_status_says_which_gate_waits_and_who_is_missing(firm: Firm) -> None:
    incident = firm.incident()

    def waiting() -> str:
        shown = status.incident_lines(incident, state_of(incident.journal.events()))
        return next(line for line in shown if GATE in line).split(GATE)[1].strip()

    assert waiting() == "nobody has approved, 2 of 2 missing; may approve: alice@firm.example, bob@firm.example, " \
        "carol@firm.example"  # fmt: skip
    approve(incident.id, GATE, key=firm.key("alice"))
    assert waiting() == "approved by alice@firm.example, 1 of 2 missing; may approve: bob@firm.example, " \
        "carol@firm.example"  # fmt: skip
    approve(incident.id, GATE, key=firm.key("carol"))
    assert waiting() == "approved by alice@firm.example, carol@firm.example; resume"
    payload = status.status_payload([(incident, state_of(incident.journal.events()))])["incidents"][0]
    assert json.loads(json.dumps(payload))["gates"][GATE]["missing"] == 0


def test_an_approval_that_is_outdated_can_be_given_again(firm: Firm) -> None:
    incident = firm.incident()
    approve(incident.id, GATE, key=firm.key("alice"))
    incident.journal.append("kill.ordered", {"venues": ["alpha"], "reason": "again"})
    again = approve(incident.id, GATE, key=firm.key("alice"))
    assert (again.approved_by, again.missing) == (("alice@firm.example",), 1)


def test_what_is_approved_is_shown_before_it_is_signed(firm: Firm) -> None:
    incident = firm.incident()
    shown: list[str] = []
    approve(incident.id, GATE, key=firm.key("alice"), show=shown.extend)
    text = "\n".join(shown)
    for words in ("May trading resume?", "needs 2 of trading or risk; so far: nobody", "venue alpha: clear",
                  "positions: reconciled", "last closed: kill.verified, event 2", "signed over event 4"):  # fmt: skip
        assert words in text


# Which key ------------------------------------------------------------------------------------------------------------


def test_the_key_is_the_one_that_the_environment_names(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFT_INCIDENT_SSH_KEY", str(firm.key("carol")))
    assert approve(firm.incident().id, GATE).person == "carol@firm.example"


def test_of_several_usual_keys_it_is_the_one_that_may_approve(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "me/.ssh"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    for name, key in (("id_ed25519", "mallory"), ("id_rsa", "bob")):
        shutil.copy(firm.key(key), folder / name)
        shutil.copy(firm.key(key).with_suffix(".pub"), folder / f"{name}.pub")
    assert approve(firm.incident().id, GATE).person == "bob@firm.example"


def test_without_a_key_it_says_how_to_name_one(firm: Firm) -> None:
    incident = firm.incident()
    assert "--key FILE" in refused(firm, incident, None)
    assert "no key file" in refused(firm, incident, "nobody")


@pytest.fixture
def agent(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real ssh-agent, in the environment."""
    socket = firm.folder / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        wait_until(lambda: subprocess.run(["ssh-add", "-l"], capture_output=True, check=False).returncode == 1)  # empty
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.usefixtures("agent")
def test_a_public_key_means_the_agent_signs(firm: Firm) -> None:
    subprocess.run(["ssh-add", "-q", firm.key("alice")], check=True, capture_output=True)
    firm.key("alice").unlink()
    incident = firm.incident()
    assert approve(incident.id, GATE, key=firm.key("alice").with_suffix(".pub")).person == "alice@firm.example"
    firm.key("bob").unlink()
    assert "cannot sign with" in refused(firm, incident, "bob.pub")


def test_a_passphrase_is_asked_for_on_the_terminal(firm: Firm) -> None:
    firm.make_key("erin", "open sesame")
    firm.write(*firm.usual(), firm.line("erin@firm.example,group:risk", "erin"))
    incident = firm.incident()
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover  # another program from here on
        os.environ["PYTHONPATH"] = SOURCES
        program = [
            sys.executable,
            "-m",
            "hft_incident.cli",
            "approve",
            incident.id,
            GATE,
            "--key",
            str(firm.key("erin")),
        ]
        os.execv(sys.executable, program)  # noqa: S606  # our own program, as a person at a terminal starts it
    said = b""
    while select.select([terminal], [], [], 30)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other end is gone
            break
        said += part
        if said.endswith(b": ") and b"passphrase" in part:
            os.write(terminal, b"open sesame\n")
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, said.decode()
    os.close(terminal)
    assert b"erin@firm.example approved" in said
    assert b"sesame" not in Path(incident.journal.path).read_bytes()


# What is refused ------------------------------------------------------------------------------------------------------


def test_nobody_approves_twice(firm: Firm) -> None:
    incident = firm.incident()
    approve(incident.id, GATE, key=firm.key("alice"))
    assert "alice@firm.example: has approved already" in refused(firm, incident, "alice")


@pytest.mark.parametrize("name", ["alice@firm.example", "Alice@FIRM.example"])
def test_a_second_key_makes_no_second_person(firm: Firm, name: str) -> None:
    firm.make_key("alice2")
    firm.write(*firm.usual(), firm.line(f"{name},group:risk", "alice2"))
    incident = firm.incident()
    approve(incident.id, GATE, key=firm.key("alice"))
    assert "has approved already" in refused(firm, incident, "alice2")


def test_a_second_name_makes_no_second_person(firm: Firm) -> None:
    firm.write(*firm.usual(), firm.line("eve@firm.example,group:risk", "alice"))
    incident = firm.incident()
    reason = refused(firm, incident, "alice")
    assert "one key for several people: alice@firm.example and eve@firm.example" in reason


def test_what_happens_while_a_person_signs_counts(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = firm.incident()

    def slowly(message: bytes, key: str) -> str:
        signed = ssh_signature.sign(message, key)
        incident.journal.append("kill.ordered", {"venues": ["alpha"], "reason": "again"})
        return signed

    monkeypatch.setattr(approval, "sign", slowly)
    with pytest.raises(UsageError, match="outdated: changed since: last closed"):
        approve(incident.id, GATE, key=firm.key("alice"))
    assert incident.journal.events()[-1].kind == "kill.ordered"


def test_two_spellings_of_one_name_are_one_person(firm: Firm) -> None:
    firm.write(firm.line("alice@firm.example", "alice"), firm.line("Alice@firm.example,group:trading", "alice"))
    assert approve(firm.incident().id, GATE, key=firm.key("alice")).approved_by == ("Alice@firm.example",)


def test_a_stranger_is_refused_by_the_fingerprint(firm: Firm) -> None:
    assert re.search(r"SHA256:\S+ is nobody's who may approve", refused(firm, firm.incident(), "mallory"))


def test_the_wrong_group_is_refused(firm: Firm) -> None:
    assert "dave@firm.example: is not in trading or risk" in refused(firm, firm.incident(), "dave")


def test_a_group_is_no_claim_of_the_person(firm: Firm) -> None:
    firm.write(firm.line("dave@firm.example", "dave"))
    assert "is not in trading or risk" in refused(firm, firm.incident(), "dave")


@pytest.mark.parametrize(
    "options",
    [
        'namespaces="git"',
        f'{ONLY_APPROVALS},valid-before="20200101"',
        f'{ONLY_APPROVALS},valid-after="20990101"',
    ],
)
def test_a_key_that_is_not_allowed_for_this_now_is_refused(firm: Firm, options: str) -> None:
    firm.write(firm.line("alice@firm.example,group:trading", "alice", options))
    assert "not (or no longer) allowed for approvals" in refused(firm, firm.incident(), "alice")


@pytest.mark.parametrize("options", ["", f'{ONLY_APPROVALS},valid-before="20990101Z"', 'namespaces="*"'])
def test_a_key_that_is_allowed_is_not_refused(firm: Firm, options: str) -> None:
    firm.write("", "  # a comment", firm.line("alice@firm.example,group:trading", "alice", options) + " her laptop")
    assert approve(firm.incident().id, GATE, key=firm.key("alice")).person == "alice@firm.example"


@pytest.mark.parametrize(
    ("principals", "options", "words"),
    [
        ("*", ONLY_APPROVALS, "line 2: '*' is a pattern"),
        ("*@firm.example,group:trading", ONLY_APPROVALS, "is a pattern"),
        ("alice@firm.example,group:*", ONLY_APPROVALS, "is a pattern"),
        ("alice@firm.exampl?", ONLY_APPROVALS, "is a pattern"),
        ("!bob@firm.example,group:trading", ONLY_APPROVALS, "is a pattern"),
        ('"alice@firm.example"', ONLY_APPROVALS, "is a pattern or no plain name"),
        ("group:trading,alice@firm.example", ONLY_APPROVALS, "no plain name"),
        ("alice@firm.example,eve@firm.example", ONLY_APPROVALS, "after the person come groups only"),
        ("ca@firm.example", "cert-authority", "a certificate authority could make new people"),
        ("ca@firm.example", f"{ONLY_APPROVALS},cert-authority", "a certificate authority"),
        ("ca@firm.example", "CERT-AUTHORITY", "line 2: not 'PERSON"),
        ("alice@firm.example", "nonsense nonsense", "line 2: not 'PERSON"),
    ],
)
def test_a_file_that_could_stand_for_anybody_is_refused_as_a_whole(
    firm: Firm, principals: str, options: str, words: str
) -> None:
    firm.write(firm.line(principals, "alice", options), firm.line("bob@firm.example,group:risk", "bob"))
    assert words in refused(firm, firm.incident(), "bob")


def test_a_file_that_cannot_be_relied_on_is_refused(firm: Firm) -> None:
    incident = firm.incident()
    firm.signers.chmod(0o666)
    assert "anybody may write it" in refused(firm, incident, "alice")
    firm.signers.chmod(0o644)
    firm.signers.write_bytes(b"\xff\xfe")
    assert "it is not text" in refused(firm, incident, "alice")
    firm.signers.unlink()
    assert "cannot read who may approve" in refused(firm, incident, "alice")


def test_where_nothing_waits_there_is_nothing_to_approve(firm: Firm) -> None:
    incident = firm.incident()
    assert f"does not wait at gate 'failover': it waits at {GATE}" in refused(firm, incident, "alice", "failover")
    incident.journal.append("incident.closed", {"resolution": "resolved"})
    assert "is closed; there is nothing to approve" in refused(firm, incident, "alice")
    with pytest.raises(UsageError, match="no incident 'inc-7'"):
        approve("inc-7", GATE, key=firm.key("alice"))


def test_an_altered_record_takes_no_approval(firm: Firm) -> None:
    incident = firm.incident()
    path = Path(incident.journal.path)
    path.write_text(path.read_text().replace('"cancelled":3', '"cancelled":0'))
    assert "was altered at event 2" in refused(firm, incident, "alice")


def fake_ssh_keygen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if script is not None:
        (folder / "ssh-keygen").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin" if script else str(folder))


def test_without_ssh_keygen_it_says_what_to_install(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = firm.incident()
    fake_ssh_keygen(tmp_path, monkeypatch, None)
    assert "install the OpenSSH client" in refused(firm, incident, "alice")


def test_an_ssh_keygen_that_hangs_is_left(firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = firm.incident()
    monkeypatch.setattr(ssh_signature, "SIGN_S", 0.2)
    fake_ssh_keygen(tmp_path, monkeypatch, "sleep 600")
    assert "did not sign within 0.2 s" in refused(firm, incident, "alice")


def test_an_ssh_keygen_that_hangs_in_a_check_is_left(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = firm.incident()
    monkeypatch.setattr(ssh_signature, "CHECK_S", 0.2)
    real = shutil.which("ssh-keygen")
    fake_ssh_keygen(tmp_path, monkeypatch, f'if [ "$2" = sign ]; then exec {real} "$@"; fi\nsleep 600')
    assert "approvals cannot be checked: ssh-keygen: no end in 0.2 s" in refused(firm, incident, "alice")


def test_what_ssh_keygen_says_counts_only_where_it_ends_well(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = firm.incident()
    real = shutil.which("ssh-keygen")
    fake_ssh_keygen(tmp_path, monkeypatch, f'{real} "$@" || exit; [ "$2" = sign ]')
    assert "the signature is not one over this statement" in refused(firm, incident, "alice")


def test_an_ssh_keygen_that_signs_nothing_is_refused(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = firm.incident()
    fake_ssh_keygen(tmp_path, monkeypatch, "echo nonsense")
    assert "returned no signature" in refused(firm, incident, "alice")


def test_a_key_that_cannot_be_used_is_one_line(firm: Firm) -> None:
    incident = firm.incident()
    firm.key("alice").chmod(0o644)
    assert "cannot sign with" in refused(firm, incident, "alice")
    firm.key("bob").write_text("nonsense")
    assert "cannot sign with" in refused(firm, incident, "bob")


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_says_what_was_done_and_what_is_next(firm: Firm, capsys: pytest.CaptureFixture[str]) -> None:
    incident = firm.incident()
    assert cli.main(["approve", incident.id, GATE, "--key", str(firm.key("alice"))]) == 0
    printed = capsys.readouterr()
    assert f"alice@firm.example approved {GATE} of {incident.id}: 1 of 2" in printed.out
    assert (
        f"still needed: 1 of bob@firm.example, carol@firm.example: `hft-incident approve {incident.id}" in printed.out
    )
    assert "May trading resume?" in printed.err
    assert cli.main(["approve", incident.id, GATE, "--key", str(firm.key("bob"))]) == 0
    assert f"next: `hft-incident resume {incident.id}`" in capsys.readouterr().out


def test_the_command_prints_one_object_where_it_is_asked_to(firm: Firm, capsys: pytest.CaptureFixture[str]) -> None:
    incident = firm.incident()
    assert cli.main(["approve", incident.id, GATE, "--key", str(firm.key("alice")), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["person"], document["missing"]) == ("alice@firm.example", 1)
    assert cli.main(["approve", incident.id, GATE, "--key", str(firm.key("alice")), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["outcome"], document["exit_code"]) == ("usage", 2)


def test_a_refusal_is_one_line_and_exit_2(firm: Firm, capsys: pytest.CaptureFixture[str]) -> None:
    incident = firm.incident()
    before = lines(incident)
    assert cli.main(["approve", incident.id, GATE, "--key", str(firm.key("mallory"))]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith("hft-incident: not approved: SHA256:")
    assert lines(incident) == before
