# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The store in one file that is encrypted with ansible-vault: a mapping of slots. It needs ansible-core."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

from ..deadline import Deadline
from ..errors import UsageError
from ..secret_ref import SecretError, resolve
from . import private_file
from .api import ABSENT, Conflict, SecretStore, Stored, StoreError, document, parsed


class AnsibleVault(SecretStore):
    """The file is rewritten as a whole; what else it holds stays in it. Its folder must be ours alone, too: a writer
    needs a place beside it."""

    def __init__(self, path: str, password: str) -> None:
        """``password`` is a reference, resolved when the file is opened."""
        self._path = os.path.expanduser(path)
        if not os.path.isabs(self._path):
            raise UsageError(f"secret_store: path {path!r} is not absolute")
        self._folder = os.path.dirname(self._path)
        self._password = password

    def read(self, slot: str) -> Stored | None:
        private_file.check_folder(self._folder)
        found = self._slots().get(slot)
        return None if found is None else parsed(found, self._where(slot), _version(found))

    def write(self, slot: str, stored: Stored, expected: str) -> str:
        with self._changed() as slots:
            present = slots.get(slot)
            if (ABSENT if present is None else _version(present)) != expected:
                raise Conflict(f"{self._where(slot)} was changed by somebody else meanwhile")
            slots[slot] = document(stored)
            return _version(slots[slot])

    def delete(self, slot: str) -> None:
        with self._changed() as slots:
            slots.pop(slot, None)

    def lock(self, slot: str, deadline: Deadline) -> AbstractContextManager[None]:
        private_file.check_folder(self._folder)
        name = f".{os.path.basename(self._path)}.{slot}.lock"
        return private_file.locked(os.path.join(self._folder, name), deadline, f"the key in {slot}")

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """Its slots to be changed, and then written if they were; nobody else writes meanwhile."""
        private_file.check_folder(self._folder)
        with private_file.guarded(self._folder):
            slots = self._slots()
            before = _version(slots)
            yield slots
            if _version(slots) != before:
                private_file.replace(self._path, self._sealed(slots))

    def _slots(self) -> dict[str, Any]:
        import yaml

        data = private_file.read(self._path)
        if data is None:
            return {}
        vault, error = self._vault()
        try:
            found = yaml.safe_load(vault.decrypt(data))
        except (error, yaml.YAMLError, ValueError):  # their words may quote what was decrypted
            raise StoreError(
                f"{self._path} cannot be opened: it is not encrypted with this password, or no YAML"
            ) from None
        if not isinstance(found or {}, dict):
            raise StoreError(f"{self._path} does not hold a mapping of slots")
        return dict(found or {})

    def _sealed(self, slots: dict[str, Any]) -> bytes:
        import yaml

        vault, _error = self._vault()
        sealed: bytes = vault.encrypt(yaml.safe_dump(slots))
        return sealed

    def _vault(self) -> tuple[Any, type[Exception]]:
        try:
            # By name: this store is the control node's, and what is shipped to hosts may not need ansible-core.
            errors, vault = import_module("ansible.errors"), import_module("ansible.parsing.vault")
        except ImportError:
            raise StoreError("secret_store: ansible_vault needs ansible-core: pip install ansible-core") from None
        try:
            password = resolve(self._password, "secret_store: password")
        except SecretError as error:
            raise StoreError(str(error)) from None
        secret = vault.VaultSecret(password.reveal().encode())
        return vault.VaultLib([("default", secret)]), errors.AnsibleError

    def _where(self, slot: str) -> str:
        return f"{slot} in {self._path}"


def _version(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
