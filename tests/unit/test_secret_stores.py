# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The secret stores: one behavior for all of them, and what each must refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from tests.unit.kv2_server import TOKEN, Kv2, kv2_server

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store, private_file
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import (
    ABSENT,
    Busy,
    Conflict,
    SecretStore,
    Stored,
    StoreError,
    document,
    slot_name,
)

SLOT = "binance.trading"
CANARY = "canary-secret-7b1f"
KEY = Stored("key-1", Secret(CANARY), Secret("canary-pass"), "inc-1", "ir_0123456789ab")
PASSWORD = "canary-vault-password"
SOURCES = [str(Path(__file__).parents[2] / folder) for folder in ("collections", "src", ".")]


class Site(NamedTuple):
    """A store and its description; every ``open`` is another client of the same store."""

    spec: dict[str, Any]
    folder: Path
    kv2: Kv2 | None

    def open(self) -> SecretStore:
        return open_store(self.spec)


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return f"file:{path}"


@pytest.fixture(params=["file", "ansible_vault", "vault_kv2"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "store"
    folder.mkdir(0o700)
    if request.param == "file":
        yield Site({"kind": "file", "path": str(folder)}, folder, None)
    elif request.param == "ansible_vault":
        password = private(tmp_path / "password", PASSWORD)
        yield Site({"kind": "ansible_vault", "path": str(folder / "keys.yml"), "password": password}, folder, None)
    else:
        with kv2_server() as kv2:
            spec = {"kind": "vault_kv2", "url": kv2.url, "token": private(tmp_path / "token", TOKEN)}
            yield Site(spec, folder, kv2)


def shown(stored: Stored | None) -> dict[str, str] | None:
    return None if stored is None else document(stored)


# All of them ----------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read_by_another_client(site: Site) -> None:
    store = site.open()
    assert store.read(SLOT) is None
    version = store.write(SLOT, KEY, ABSENT)
    found = site.open().read(SLOT)
    assert found is not None
    assert (shown(found), found.version) == (document(KEY), version)


def test_a_slot_is_written_only_over_what_was_read(site: Site) -> None:
    store, other = site.open(), site.open()
    first = store.write(SLOT, KEY, ABSENT)
    with pytest.raises(Conflict):
        other.write(SLOT, KEY._replace(id="key-2"), ABSENT)
    second = other.write(SLOT, KEY._replace(id="key-2"), first)
    with pytest.raises(Conflict):
        store.write(SLOT, KEY._replace(id="key-3"), first)
    assert second != first
    assert (found := store.read(SLOT)) is not None
    assert found.id == "key-2"


def test_a_deleted_slot_is_empty_and_can_be_written_again(site: Site) -> None:
    store = site.open()
    store.delete(SLOT)
    store.write(SLOT, KEY, ABSENT)
    store.write(f"{SLOT}.next", KEY._replace(id="key-2"), ABSENT)
    store.delete(SLOT)
    assert store.read(SLOT) is None
    assert (beside := store.read(f"{SLOT}.next")) is not None
    assert beside.id == "key-2"
    store.write(SLOT, KEY, ABSENT)


def test_a_key_without_a_passphrase_has_none(site: Site) -> None:
    store = site.open()
    store.write(SLOT, Stored("k", Secret("s")), ABSENT)
    found = store.read(SLOT)
    assert found is not None
    assert (found.passphrase, found.rotation, found.label) == (None, "", "")


def test_the_lock_keeps_a_second_one_out_and_says_who_has_it(site: Site) -> None:
    with site.open().lock(SLOT, Deadline(5)):
        with pytest.raises(Busy, match=rf"{SLOT} is being worked on by .*process {os.getpid()}"):
            site.open().lock(SLOT, Deadline(0.05)).__enter__()
        with site.open().lock("okx.trading", Deadline(0.05)):
            pass
    with site.open().lock(SLOT, Deadline(0.05)):
        pass


HOLDER = f"""
import json, sys
sys.path[:0] = {SOURCES!r}
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store
with open_store(json.loads(sys.argv[1])).lock({SLOT!r}, Deadline(60)):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_one_that_was_killed_is_free(site: Site) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, json.dumps(site.spec)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(Busy, match=f"process {holder.pid}"):
            site.open().lock(SLOT, Deadline(0.05)).__enter__()
        holder.kill()
        holder.wait()
        with site.open().lock(SLOT, Deadline(5)):
            pass


def test_no_message_shows_a_secret(site: Site) -> None:
    store = site.open()
    store.write(SLOT, KEY, ABSENT)
    said = [repr(store.read(SLOT)), repr(KEY)]
    for expected in (ABSENT, "7"):
        with pytest.raises(StoreError) as caught:
            store.write(SLOT, KEY, expected)
        said += [str(caught.value), repr(caught.value.__cause__)]
    assert "canary" not in " ".join(said)


# The file tree --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(0o700)
    return folder


def test_the_file_is_what_the_trading_system_reads_and_nobody_elses(tree: Path) -> None:
    before = os.umask(0)
    try:
        open_store({"path": str(tree / "new")}).write(SLOT, KEY, ABSENT)
    finally:
        os.umask(before)
    path = tree / "new" / f"{SLOT}.json"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    from hft_incident.lab.trading_system.settings import read_key

    key = read_key(path)
    assert (key.id, key.secret, key.passphrase) == ("key-1", CANARY, "canary-pass")


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def _second_name(path: Path) -> None:
    os.link(path, path.with_suffix(".second"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _foreign(path: Path) -> None:
    os.chown(path, 4711, -1)


SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "others may read it": (lambda path: path.chmod(0o604), "chmod 600"),
    "the group may read it": (lambda path: path.chmod(0o640), "chmod 600"),
    "a link": (_link, "link"),
    "a second name": (_second_name, "file of its own"),
    "a pipe": (_pipe, "file of its own"),
    "another owner": (_foreign, "another user"),
    "others may enter the folder": (lambda path: path.parent.chmod(0o701), "chmod 700"),
    "half a file": (lambda path: path.write_text(path.read_text()[:30]), "no JSON"),
    "no object": (lambda path: path.write_text('"canary"'), "no key"),
    "an empty secret": (lambda path: path.write_text('{"id": "canary", "secret": ""}'), "empty"),
    "a number for a secret": (lambda path: path.write_text('{"id": "canary", "secret": 7}'), "no key"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_file_that_cannot_be_trusted_is_refused(tree: Path, how: str) -> None:
    spoil, words = SPOILED[how]
    if how == "another owner" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    store = open_store({"path": str(tree)})
    version = store.write(SLOT, KEY, ABSENT)
    spoil(tree / f"{SLOT}.json")
    for ask in (lambda: store.read(SLOT), lambda: store.write(SLOT, KEY, version)):
        with pytest.raises(StoreError) as caught:
            ask()
        assert "canary" not in str(caught.value)
        if not isinstance(caught.value, Conflict):
            assert words in str(caught.value)


def test_a_link_to_a_folder_is_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    with pytest.raises(StoreError, match="link"):
        open_store({"path": str(tmp_path / "link")}).write(SLOT, KEY, ABSENT)


def test_what_a_killed_writer_left_is_gone_after_the_next_write(tree: Path) -> None:
    left = Path(private_file.temporary_of(str(tree / f"{SLOT}.json")))
    left.write_text(CANARY)
    store = open_store({"path": str(tree)})
    assert store.read(SLOT) is None
    store.write(SLOT, KEY, ABSENT)
    assert not left.exists()
    left.write_text(CANARY)
    store.delete(SLOT)
    assert [path.name for path in tree.iterdir()] == []


def test_a_full_disk_leaves_the_old_key(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store({"path": str(tree)})
    version = store.write(SLOT, KEY, ABSENT)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        store.write(SLOT, KEY._replace(id="key-2"), version)
    monkeypatch.undo()
    assert shown(store.read(SLOT)) == document(KEY)
    assert [path.name for path in tree.iterdir()] == [f"{SLOT}.json"]


# The file of ansible-vault --------------------------------------------------------------------------------------------


@pytest.fixture
def vaulted(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path / "vaulted"
    folder.mkdir(0o700)
    password = private(tmp_path / "password", PASSWORD)
    return folder / "keys.yml", {"kind": "ansible_vault", "path": str(folder / "keys.yml"), "password": password}


def test_the_file_is_ansible_vaults_and_keeps_what_else_is_in_it(vaulted: tuple[Path, dict[str, Any]]) -> None:
    path, spec = vaulted
    library = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
    path.write_bytes(library.encrypt(b"database_password: hunter2\n"))
    path.chmod(0o600)
    open_store(spec).write(SLOT, KEY, ABSENT)
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    import yaml

    assert yaml.safe_load(library.decrypt(path.read_bytes())) == {
        "database_password": "hunter2",
        SLOT: document(KEY),
    }


@pytest.mark.parametrize("content", [b"plain: text\n", b"", b"$ANSIBLE_VAULT;1.1;AES256\n6162\n"])
def test_a_file_that_is_not_encrypted_so_is_refused_and_left(
    vaulted: tuple[Path, dict[str, Any]], content: bytes
) -> None:
    path, spec = vaulted
    path.write_bytes(content)
    path.chmod(0o600)
    for ask in (lambda: open_store(spec).read(SLOT), lambda: open_store(spec).write(SLOT, KEY, ABSENT)):
        with pytest.raises(StoreError, match="cannot be opened"):
            ask()
    assert path.read_bytes() == content


def test_the_wrong_password_opens_nothing(vaulted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _path, spec = vaulted
    open_store(spec).write(SLOT, KEY, ABSENT)
    wrong = {**spec, "password": private(tmp_path / "wrong", "something else")}
    with pytest.raises(StoreError, match="password") as caught:
        open_store(wrong).read(SLOT)
    assert "something" not in str(caught.value)


# KV version 2 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def kv2(tmp_path: Path) -> Iterator[tuple[Kv2, dict[str, Any]]]:
    with kv2_server() as server:
        token = private(tmp_path / "token", TOKEN)
        yield server, {"kind": "vault_kv2", "url": server.url, "token": token, "timeout": 2}


def test_a_secret_that_was_deleted_by_hand_can_be_written_again(kv2: tuple[Kv2, dict[str, Any]]) -> None:
    server, spec = kv2
    store = open_store(spec)
    store.write(SLOT, KEY, ABSENT)
    server.soft_delete(f"hft-incident/{SLOT}")
    assert store.read(SLOT) is None
    store.write(SLOT, KEY, ABSENT)
    assert shown(store.read(SLOT)) == document(KEY)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>a proxy</html>"),
        (200, b"{}"),
        (200, b'{"data": null}'),
        (200, b""),
        (500, b'{"errors":["canary"]}'),
        (503, b"sealed"),
        (403, b"{}"),
        (307, b""),
    ],
)
def test_what_is_no_reply_of_a_store_is_never_an_empty_slot(
    kv2: tuple[Kv2, dict[str, Any]], status: int, body: bytes
) -> None:
    server, spec = kv2
    store = open_store(spec)
    version = store.write(SLOT, KEY, ABSENT)
    for ask in (lambda: store.read(SLOT), lambda: store.write(SLOT, KEY, version)):
        server.instead.append((status, body))
        with pytest.raises(StoreError) as caught:
            ask()
        assert "canary" not in str(caught.value)


def test_the_wrong_token_is_told(kv2: tuple[Kv2, dict[str, Any]], tmp_path: Path) -> None:
    _server, spec = kv2
    with pytest.raises(StoreError, match="Forbidden") as caught:
        open_store({**spec, "token": private(tmp_path / "other", "hvs.canary-other")}).read(SLOT)
    assert "hvs" not in str(caught.value)


def test_a_server_that_is_not_there_is_told(kv2: tuple[Kv2, dict[str, Any]]) -> None:
    _server, spec = kv2
    with pytest.raises(StoreError, match="no usable reply"):
        open_store({**spec, "url": "http://127.0.0.1:1"}).read(SLOT)


def test_a_lock_from_another_machine_is_believed_for_its_time_only(kv2: tuple[Kv2, dict[str, Any]]) -> None:
    server, spec = kv2
    with open_store(spec).lock(SLOT, Deadline(5)):
        entry = server.entries[f"hft-incident/{SLOT}.lock"]
        theirs = {**(entry.versions[-1] or {}), "host": "elsewhere", "user": "bob@elsewhere"}
        entry.versions[-1] = theirs
        with pytest.raises(Busy, match="bob@elsewhere"):
            open_store(spec).lock(SLOT, Deadline(0.05)).__enter__()
        entry.versions[-1] = {**theirs, "until": "1"}
        with open_store(spec).lock(SLOT, Deadline(0.05)):
            pass


# What describes a store -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "paper"}, "known: file, ansible_vault, vault_kv2"),
        ({"kind": "file"}, "needs 'path'"),
        ({"kind": "file", "path": "keys"}, "not absolute"),
        ({"kind": "file", "path": "/k", "mode": "0644"}, "no field 'mode'"),
        ({"kind": "ansible_vault", "path": "/k", "password": "hunter2"}, "in clear"),
        ({"kind": "vault_kv2", "url": "http://v", "token": "hvs.hunter2"}, "in clear"),
        ({"kind": "vault_kv2", "url": "http://v"}, "needs 'token'"),
    ],
)
def test_a_wrong_description_is_refused_with_its_mend(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        open_store(spec)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x.next", "x.previous", "x.lock", "x.json", "a b", 7])
def test_what_cannot_name_a_slot_is_refused(name: object) -> None:
    with pytest.raises(IncidentError, match="cannot name a slot"):
        slot_name(name, "hft_api_keys: a")
