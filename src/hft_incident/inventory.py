# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which inventory a response runs against, when the person on call did not say."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils import yaml_file
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.settings import Settings

from . import venues_file

SITE_INVENTORY = Path("/etc/hft-incident/inventory")
#: What the repository's ansible.cfg names; it stands for the inventory of the lab that is up.
PACKAGED_LAB = Path(__file__).parent / "lab" / "inventory"
LAB_INVENTORY = Path("lab", "inventory")
LAB_RECORD = Path("lab", "lab.json")


def inventory_sources(given: str | None, home: Path) -> list[str]:
    """What to hand to `ansible-playbook -i`: ``given``, else what Ansible is configured for, else the site's (in /etc),
    else the running lab's.

    Raises UsageError where there is none, or where it names a file that is not there: Ansible would only warn, match
    no host and call that a success.
    """
    return [_of_the_running_lab(source, home) for source in _chosen_sources(given, home)]


def yaml_fault(sources: Sequence[str]) -> str:
    """The first file of these that is no YAML, and where; "" where there is none. Ansible does not name it."""
    for source in map(Path, sources):
        files = source.rglob("*.y*ml") if source.is_dir() else [source, *source.parent.glob("*_vars/**/*.y*ml")]
        for file in sorted(file for file in files if file.suffix in (".yml", ".yaml")):
            try:
                yaml_file.check(str(file))
            except UsageError as error:
                return str(error)
    return ""


def sources_if_any(given: str | None, home: Path) -> Sequence[str]:
    """As ``inventory_sources``; but where none was named and there is none, what is shipped does as well."""
    if given is not None:
        return inventory_sources(given, home)
    with suppress(UsageError):  # then there is none
        return inventory_sources(None, home)
    return ()


def _of_the_running_lab(source: str, home: Path) -> str:
    """The lab's inventory with plain values instead of look-ups, where the lab is up: more can be read from it."""
    if Path(source).resolve() == PACKAGED_LAB.resolve() and (home / LAB_RECORD).is_file():
        return str(home / LAB_INVENTORY)
    return source


def _chosen_sources(given: str | None, home: Path) -> list[str]:
    if given is not None:
        return [_source(given, Path.cwd())]
    if chosen := os.environ.get("ANSIBLE_INVENTORY"):
        return [_source(item, Path.cwd()) for item in chosen.split(",") if item]
    for config in _configurations():
        if config.is_file():
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            try:
                parser.read(config)
            except (configparser.Error, OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot read {config}: {str(error).splitlines()[0]}") from error
            chosen = parser.get("defaults", "inventory", fallback="")
            if chosen:
                return [_source(item.strip(), config.absolute().parent) for item in chosen.split(",") if item.strip()]
            break  # Ansible reads the first of these files and no other
    if SITE_INVENTORY.exists():
        return [str(SITE_INVENTORY)]
    if (home / LAB_RECORD).is_file():
        return [str(home / LAB_INVENTORY)]
    raise UsageError("no inventory: name one with -i, start one with `hft-incident init`, or try `hft-incident lab up`")


def plain_settings(sources: Sequence[str]) -> Settings:
    """The venues and trading systems of an inventory that has them in a plain file; raises UsageError where it takes
    Ansible to know them."""
    if path := plain_file(sources):
        return venues_file.load(path)
    raise UsageError(f"no {venues_file.IN_INVENTORY} beside {', '.join(sources)}")


def plain_file(sources: Sequence[str]) -> str:
    """The venues file of the first of these inventories that has one; "" where none has."""
    folders = (source if os.path.isdir(source) else os.path.dirname(source) for source in sources)
    places = (os.path.join(folder, venues_file.IN_INVENTORY) for folder in folders)
    return next((place for place in places if os.path.isfile(place)), "")


def plain_variable(sources: Sequence[str], name: str) -> Any:
    """A variable that the first of these inventories has for all hosts, in a plain file; raises UsageError where none
    has it, or it takes Ansible to know it."""
    for source in sources:
        folder = source if os.path.isdir(source) else os.path.dirname(source)
        places = sorted(Path(folder, "group_vars", "all").glob("*.y*ml")) or [Path(folder, "group_vars", "all.yml")]
        for place in places:
            if not place.is_file():
                continue
            found = yaml_file.read(str(place))
            if isinstance(found, Mapping) and name in found:
                if "{{" in str(found[name]):
                    raise UsageError(f"{place}: {name} is a template; write it out, so that it can be read by itself")
                return found[name]
    raise UsageError(f"no {name} in a file of group_vars/all beside {', '.join(sources)}")


def recorded_inventory(events: Sequence[Event], home: Path) -> Sequence[str]:
    """The inventory of an incident's last run, or of its opening; empty where none is on record."""
    told = [event.data.get("inventory") for event in events if event.kind in ("incident.opened", "run.started")]
    return next(([_of_the_running_lab(str(source), home) for source in given] for given in reversed(told) if given), ())


def known_venues(sources: Sequence[str]) -> list[str]:
    """The venues by name, as far as a plain file of the inventory tells."""
    try:
        return [venue.name for venue in plain_settings(sources).venues]
    except UsageError:  # a name in a message, and no more, depends on it
        return []


def _configurations() -> list[Path]:
    """The configuration files that Ansible tries, in its order."""
    named = os.environ.get("ANSIBLE_CONFIG")
    first = [Path(named).expanduser()] if named else []
    if first and first[0].is_dir():
        first = [first[0] / "ansible.cfg"]
    return [*first, Path("ansible.cfg"), Path("~/.ansible.cfg").expanduser(), Path("/etc/ansible/ansible.cfg")]


def _source(text: str, base: Path) -> str:
    if "," in text:
        return text  # a list of hosts
    path = base / os.path.expandvars(os.path.expanduser(text))
    if not path.exists():
        raise UsageError(f"no inventory at {path}")
    return str(path)
