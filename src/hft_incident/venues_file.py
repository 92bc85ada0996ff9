# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Finding and reading the venues file (contracts.md, "The venues file")."""

from __future__ import annotations

import os

from ansible_collections.hft.incident.plugins.module_utils import yaml_file
from ansible_collections.hft.incident.plugins.module_utils.settings import Settings, SettingsError, parse

ENV_VENUES = "HFT_INCIDENT_VENUES"
IN_INVENTORY = os.path.join("group_vars", "all", "venues.yml")


def find(named: str | None = None) -> str:
    """The venues file: the one named, else $HFT_INCIDENT_VENUES, else that of the inventory.

    The inventory is $ANSIBLE_INVENTORY, else ansible.cfg's in this folder, else /etc/hft-incident/inventory, else that
    of the running lab. Raises SettingsError where there is none.
    """
    explicit = named or os.environ.get(ENV_VENUES)
    if explicit:
        return explicit
    places = [os.path.join(folder, IN_INVENTORY) for folder in _inventories()]
    for place in places:
        if os.path.isfile(place):
            return place
    raise SettingsError(f"no venues file: name one with --venues or ${ENV_VENUES} (looked for {', '.join(places)})")


def load(path: str) -> Settings:
    """The entries of the file; raises SettingsError with one line that names the file and the fault."""
    return parse(yaml_file.read(path, SettingsError), path)


def _inventories() -> list[str]:
    """Folders of inventories in the order in which they count."""
    named = os.environ.get("ANSIBLE_INVENTORY", "") or _from_ansible_cfg()
    folders = [os.path.dirname(entry) if os.path.isfile(entry) else entry for entry in named.split(",") if entry]
    return [*folders, "/etc/hft-incident/inventory", os.path.join(_home(), "lab", "inventory")]


def _from_ansible_cfg() -> str:
    try:
        with open("ansible.cfg", encoding="utf-8") as file:
            lines = [line.partition("=") for line in file]
    except (OSError, ValueError):
        return ""
    return next((value.strip() for key, _, value in lines if key.strip() == "inventory"), "")


def _home() -> str:
    # Imported here: with a file named, the red button has no use for it.
    from ansible_collections.hft.incident.plugins.module_utils.incident import home_directory

    return str(home_directory())
