# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Where API keys are kept: a file tree, a file of ansible-vault, or HashiCorp Vault and OpenBao, behind one small API;
``open_store`` picks the one that the inventory names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..secret_ref import is_reference
from .api import SecretStore

#: Kind → its fields, and whether each is needed.
FIELDS: Mapping[str, Mapping[str, bool]] = {
    "file": {"path": True},
    "ansible_vault": {"path": True, "password": True},
    "vault_kv2": {
        "url": True,
        "token": True,
        "mount": False,
        "prefix": False,
        "namespace": False,
        "ca_file": False,
        "timeout": False,
    },
}
SECRETS = ("password", "token")


def open_store(given: Mapping[str, Any]) -> SecretStore:
    """The store that ``hft_secret_store`` describes; nothing is read yet. Raises UsageError for what cannot be one."""
    fields = _checked(given)
    kind = fields.pop("kind")
    if kind == "file":
        from .file_tree import FileTree

        return FileTree(fields["path"])
    if kind == "ansible_vault":
        from .ansible_vault import AnsibleVault

        return AnsibleVault(fields["path"], fields["password"])
    from .vault_kv2 import VaultKv2

    return VaultKv2(**fields)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    kind = given.get("kind", "file")
    if kind not in FIELDS:
        raise UsageError(f"secret_store: unknown kind {kind!r}; known: {', '.join(FIELDS)}")
    known = FIELDS[kind]
    unknown = [name for name in given if name not in known and name != "kind"]
    if unknown:
        raise UsageError(f"secret_store: {kind} has no field {unknown[0]!r}; it has: {', '.join(known)}")
    missing = [name for name, needed in known.items() if needed and not given.get(name)]
    if missing:
        raise UsageError(f"secret_store: {kind} needs {missing[0]!r}")
    for name in SECRETS:
        value = given.get(name)
        if value is not None and not (isinstance(value, str) and is_reference(value)):
            raise UsageError(f"secret_store: {name} holds a value in clear; write env:NAME, file:PATH or cmd:COMMAND")
    return {"kind": kind, **{name: value for name, value in given.items() if name != "kind" and value is not None}}
