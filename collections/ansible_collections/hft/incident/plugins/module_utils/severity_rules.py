# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The files that the severity rules come from: the shipped ones, and over them what a site changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import UsageError
from .severity import BadRulesError, Rules, merged, parse

ENV_RULES = "HFT_INCIDENT_SEVERITY_RULES"
KEY = "hft_severity_rules"
IN_INVENTORY = os.path.join("group_vars", "all", "severity.yml")
SHIPPED = str(Path(__file__).absolute().parents[2] / "playbooks" / "vars" / "severity.yml")


def load(inventory: Sequence[str] = ()) -> Rules:
    """The shipped rules with what the site changes: the file that ``$HFT_INCIDENT_SEVERITY_RULES`` names, else
    ``group_vars/all/severity.yml`` of the first inventory that has one.

    Raises UsageError with one line that names the file and the fault.
    """
    shipped = _read(SHIPPED)
    site = site_file(inventory)
    if site is None:
        return _parsed(SHIPPED, shipped, (SHIPPED,))
    try:
        both = merged(shipped, _read(site))
    except BadRulesError as error:
        raise UsageError(f"{site}: {error}") from None
    return _parsed(site, both, (SHIPPED, site))


def site_file(inventory: Sequence[str]) -> str | None:
    """The file of the site, if it has one."""
    if named := os.environ.get(ENV_RULES):
        return named
    # A list of hosts ("localhost,") has no folder.
    real = (os.path.abspath(source) for source in inventory if os.path.exists(source))
    folders = (path if os.path.isdir(path) else os.path.dirname(path) for path in real)
    places = (os.path.join(folder, IN_INVENTORY) for folder in folders)
    return next((place for place in places if os.path.exists(place)), None)


def fingerprints(rules: Rules) -> list[dict[str, str]]:
    """Which files decide, for the record: ``[{"path", "sha256"}]``."""
    return [{"path": path, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()} for path in rules.sources]


def _parsed(path: str, data: Any, sources: tuple[str, ...]) -> Rules:
    try:
        return parse(data, sources)
    except BadRulesError as error:
        raise UsageError(f"{path}: {error}") from None


def _read(path: str) -> Any:
    import yaml  # the rules are read on the control node; a host that runs a module need not have it

    # The C parser is ten times as fast; wheels for every common platform have it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with open(path, "rb") as file:
            document = yaml.load(file, Loader=loader)  # noqa: S506  # a safe loader, chosen above
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or 'error').lower()}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path} is not valid YAML{where}") from None
    except ValueError:
        raise UsageError(f"{path} is not readable text") from None
    if not isinstance(document, dict) or list(document) != [KEY]:
        raise UsageError(f"{path}: give {KEY}, and nothing else")
    return document[KEY]
