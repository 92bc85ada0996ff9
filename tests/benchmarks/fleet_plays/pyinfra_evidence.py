# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The same evidence, as pyinfra has it."""

from __future__ import annotations

from pyinfra import host
from pyinfra.operations import files

for path in host.data.paths:
    files.get(name=f"Fetch {path}", src=path, dest=f"{host.data.kept}/{host.name}{path}", create_local_dir=True)
