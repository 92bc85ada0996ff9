# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The store that needs nothing: a folder of ours alone, a JSON file for each slot, as the trading system reads it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager

from ..deadline import Deadline
from ..errors import UsageError
from . import private_file
from .api import ABSENT, Conflict, SecretStore, Stored, decoded, document, parsed


class FileTree(SecretStore):
    """``<path>/<slot>.json``, 0600 in 0700."""

    def __init__(self, path: str) -> None:
        self._folder = os.path.expanduser(path)
        if not os.path.isabs(self._folder):
            raise UsageError(f"secret_store: path {path!r} is not absolute")

    def read(self, slot: str) -> Stored | None:
        if not os.path.lexists(self._folder):
            return None
        private_file.check_folder(self._folder)
        path = self._path(slot)
        data = private_file.read(path)
        return None if data is None else parsed(decoded(data, path), path, _version(data))

    def write(self, slot: str, stored: Stored, expected: str) -> str:
        private_file.check_folder(self._folder, make=True)
        path = self._path(slot)
        data = (json.dumps(document(stored)) + "\n").encode()
        with private_file.guarded(self._folder):
            present = private_file.read(path)
            if (ABSENT if present is None else _version(present)) != expected:
                raise Conflict(f"{path} was changed by somebody else meanwhile")
            private_file.replace(path, data)
        return _version(data)

    def delete(self, slot: str) -> None:
        if os.path.lexists(self._folder):
            private_file.check_folder(self._folder)
            private_file.remove(self._path(slot))

    def lock(self, slot: str, deadline: Deadline) -> AbstractContextManager[None]:
        private_file.check_folder(self._folder, make=True)
        return private_file.locked(os.path.join(self._folder, f".{slot}.lock"), deadline, f"the key in {slot}")

    def _path(self, slot: str) -> str:
        return os.path.join(self._folder, f"{slot}.json")


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
