# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Hold files: trading permission that lives outside of the process. What a file says inside does not matter."""

from __future__ import annotations

from pathlib import Path

ALL = "hold"


class Holds:
    """``HOLD`` stops everything, ``HOLD.d/exchange-NAME`` and ``HOLD.d/strategy-ID`` one exchange or strategy."""

    def __init__(self, hold_file: Path) -> None:
        self._file = hold_file
        self._folder = hold_file.with_name(f"{hold_file.name}.d")

    @property
    def all(self) -> bool:
        return self._file.exists()

    def exchange(self, name: str) -> bool:
        return self.path(f"exchange-{name}").exists()

    def strategy(self, name: str) -> bool:
        return self.path(f"strategy-{name}").exists()

    def present(self) -> frozenset[str]:
        """``hold``, ``exchange-NAME``, ``strategy-ID``."""
        try:
            scoped = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            scoped = []
        return frozenset([name for name in scoped if name.startswith(("exchange-", "strategy-"))] + [ALL] * self.all)

    def path(self, hold: str) -> Path:
        return self._file if hold == ALL else self._folder / hold
