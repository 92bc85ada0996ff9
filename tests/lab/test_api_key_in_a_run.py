# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``api_key`` under a real `ansible-playbook` with the scribe, as talkative as it can be: what a breach's run leaves in
the record, and that no secret of old or new keys is anywhere but in the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import fingerprint
from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.lab.lab import Lab, running_lab
from hft_incident.sentences import sentence

from .rotation_trials import VENUES

COLLECTIONS = Path(__file__).parents[2] / "collections"
BIN = Path(sys.executable).parent
PLAY = """
- name: New keys
  hosts: localhost
  gather_facts: false
  tags: [contain]
  tasks:
    - name: Replace all keys
      hft.incident.api_key:
        breach: true
      register: keys
    - name: Show everything
      ansible.builtin.debug:
        var: keys
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab"), VENUES, database=False) as running:
        yield running


def slots(lab: Lab) -> dict[str, dict[str, str]]:
    return {name: json.loads((lab.keys / f"{name}.trading.json").read_text()) for name in VENUES}


def test_a_breachs_run_replaces_the_keys_and_tells_no_secret(lab: Lab, tmp_path: Path) -> None:
    before = slots(lab)
    playbook, home = tmp_path / "security_breach.yml", tmp_path / "home"
    playbook.write_text(PLAY)
    (tmp_path / "tmp").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    environment = {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
        "HFT_INCIDENT_HOME": str(home),
        "TMPDIR": str(tmp_path / "tmp"),
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
    }
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", lab.inventory, playbook, "-vvvv", "--diff"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = slots(lab)
    assert not {key["id"] for key in before.values()} & {key["id"] for key in after.values()}
    assert fingerprint(after["okx"]["id"]) in done.stdout

    (incident,) = list_incidents(home)
    assert verify(incident.journal.path).state == "intact"
    events = incident.journal.events()
    kinds = [event.kind for event in events if event.data.get("key") == "trading/okx"]
    assert kinds == [f"api_key.{kind}" for kind in ("revoked", "created", "stored", "verified", "loaded", "rotated")]
    assert all(event.data["rotation"] == incident.id for event in events if event.kind.startswith("api_key."))
    (rotated,) = [event for event in events if event.kind == "api_keys.rotated"]
    assert "trading/okx rotated" in sentence(rotated)

    secrets = {
        key[part] for key in (*before.values(), *after.values()) for part in ("secret", "passphrase") if part in key
    }
    assert len(secrets) == 8
    texts = {"output": done.stdout + done.stderr}
    texts |= {str(path): path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()}
    texts |= {str(path): path.read_text(errors="replace") for path in lab.logs.rglob("*") if path.is_file()}
    assert str(incident.journal.path) in texts
    assert [where for where, text in texts.items() if any(secret in text for secret in secrets)] == []
