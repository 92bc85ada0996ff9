# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The files of a policy: the one that is shipped with the playbooks, and over it what a site changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import yaml_file
from .errors import UsageError

_VARS = Path(__file__).absolute().parents[2] / "playbooks" / "vars"


class PolicyFile(NamedTuple):
    """One policy: the only ``key`` of its files, their ``name``, and the variable that says where a site's file is."""

    key: str
    name: str
    env: str

    @property
    def shipped(self) -> str:
        return str(_VARS / self.name)

    def site(self, inventory: Sequence[str]) -> str | None:
        """The site's file, if it has one: the one that the environment names, else ``group_vars/all/<name>`` of the
        first inventory that has one."""
        if named := os.environ.get(self.env):
            return named
        # A list of hosts ("localhost,") has no folder.
        real = (os.path.abspath(source) for source in inventory if os.path.exists(source))
        folders = (path if os.path.isdir(path) else os.path.dirname(path) for path in real)
        places = (os.path.join(folder, "group_vars", "all", self.name) for folder in folders)
        return next((place for place in places if os.path.exists(place)), None)

    def read(self, path: str) -> Any:
        """The value of the key. Raises UsageError with one line that names the file and the fault."""
        document = yaml_file.read(path)
        if not isinstance(document, dict) or list(document) != [self.key]:
            raise UsageError(f"{path}: give {self.key}, and nothing else")
        return document[self.key]


def fingerprints(sources: Sequence[str]) -> list[dict[str, str]]:
    """Which files decide, for the record: ``[{"path", "sha256"}]``."""
    return [{"path": path, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()} for path in sources]
