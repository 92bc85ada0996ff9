# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""An inventory to start from: the example that is shipped, copied to where a site writes its own into it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError

EXAMPLE = Path(__file__).parent / "inventory_example"


def write_example(target: Path) -> list[str]:
    """The files that are now in ``target``, relative to it.

    Raises UsageError where something is there already, or where it cannot be written: then nothing has been.
    """
    target = target.absolute()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
            raise UsageError(f"{target} is there already, and stays as it is: name a folder that is new or empty")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(EXAMPLE, draft)
            draft.replace(target)  # onto an empty folder, or it fails: nothing of anybody's is overwritten
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"no inventory can be written to {target}: {error.strerror or error}") from error
    return sorted(str(file.relative_to(target)) for file in target.rglob("*") if file.is_file())
