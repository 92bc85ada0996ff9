# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a person does on the websites of venues that have no API for keys: the steps that the response asks for."""

from __future__ import annotations

import json
import subprocess
import sys

from ..lab.errors import LabError
from ..lab.lab import Lab
from ..lab.people import person

#: Venues that keep keys to their websites.
BY_HAND = ("binance", "binanceusdm", "kraken", "krakenfutures")
TIMEOUT_S = 60.0


class Website:
    """The person, with a login at each of these venues and the command line of the product. Raises LabError."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._entries = {entry["venue"]: entry for entry in lab.api_keys() if entry["venue"] in BY_HAND}
        self._old = {name: self.key_in_use(name) for name in self._entries}

    def key_in_use(self, venue: str) -> str:
        """The id of the key in the store."""
        return str(json.loads((self._lab.keys / f"{venue}.trading.json").read_text())["id"])

    def replace_keys(self) -> None:
        """Revoke the old key and make a new one, once, and put it into the store."""
        while self._old:
            name, old = self._old.popitem()
            entry, venue = self._entries[name], self._lab.venues[name]
            venue.remove_key(old)
            made = venue.add_key("by-hand", entry["permissions"], entry["ip_allow_list"])
            self._put(entry["name"], made._asdict())

    def _put(self, name: str, key: dict[str, str]) -> None:
        command = [sys.executable, "-P", "-m", "hft_incident.cli", "key", "put", name]
        command += ["-i", str(self._lab.inventory), "--seen-by", person("dave")]
        put = subprocess.run(  # noqa: S603  # our own command; the key goes by its standard input
            command, input=json.dumps(key), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if put.returncode:
            raise LabError(f"the key of {name} cannot be put into the store: {put.stderr.strip()}")
