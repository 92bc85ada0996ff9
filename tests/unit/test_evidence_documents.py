# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an API told, kept beside the evidence of the hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pyrage
import pytest

from ansible_collections.hft.incident.plugins.module_utils import evidence_manifest
from ansible_collections.hft.incident.plugins.module_utils.evidence_documents import keep_documents

DOCUMENTS = {"keys": [{"id": "k1"}], "login history": {"rows": [1, 2]}}
AT = "2026-11-27T00:00:00.000000Z"


def test_each_document_is_an_item_and_the_folder_proves_them(tmp_path: Path) -> None:
    data = keep_documents(str(tmp_path), "binance", DOCUMENTS, started_at=AT, missing=["withdrawals: no answer"])
    folder = Path(data["folder"])
    assert (folder, data["host"], data["items"], data["volatile"]) == (tmp_path / "binance", "binance", 2, False)
    assert json.loads((folder / "login_history.json").read_text()) == DOCUMENTS["login history"]
    found = evidence_manifest.check(str(folder))
    assert (found.intact, found.sha256) == (True, data["manifest_sha256"])
    facts = evidence_manifest.facts_of(str(folder))
    assert (facts["missing"], facts["items"][0]["started_at"]) == (["withdrawals: no answer"], AT)


def test_what_was_kept_is_never_written_over(tmp_path: Path) -> None:
    first = keep_documents(str(tmp_path), "binance", DOCUMENTS, started_at=AT)
    second = keep_documents(str(tmp_path), "binance", {}, started_at=AT)
    assert second["folder"] == f"{first['folder']}/attempt-2"
    assert evidence_manifest.check(first["folder"]).intact


def test_two_names_that_become_one_are_an_error_and_not_one_document(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="exists"):
        keep_documents(str(tmp_path), "binance", {"a b": 1, "a_b": 2}, started_at=AT)


def test_what_is_restricted_is_encrypted(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    keys = [str(identity.to_public())]
    data = keep_documents(str(tmp_path), "binance", DOCUMENTS, started_at=AT, restricted=["keys"], encrypt_to=keys)
    folder = Path(data["folder"])
    assert sorted(path.name for path in folder.glob("*.json*")) == [
        "keys.json.age",
        "login_history.json",
        "manifest.json",
    ]
    plain = pyrage.decrypt((folder / "keys.json.age").read_bytes(), [identity])
    assert json.loads(plain) == DOCUMENTS["keys"]
    assert evidence_manifest.check(str(folder)).intact
