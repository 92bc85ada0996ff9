# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The severity rules that count: the shipped ones, and over them what a site changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import policy_files
from .errors import UsageError
from .policy_files import PolicyFile
from .severity import BadRulesError, Rules, merged, parse

ENV_RULES = "HFT_INCIDENT_SEVERITY_RULES"
KEY = "hft_severity_rules"
FILES = PolicyFile(KEY, "severity.yml", ENV_RULES)
SHIPPED = FILES.shipped


def load(inventory: Sequence[str] = ()) -> Rules:
    """The shipped rules with what the site changes: the file that ``$HFT_INCIDENT_SEVERITY_RULES`` names, else
    ``group_vars/all/severity.yml`` of the first inventory that has one.

    Raises UsageError with one line that names the file and the fault.
    """
    shipped = FILES.read(SHIPPED)
    site = FILES.site(inventory)
    if site is None:
        return _parsed(SHIPPED, shipped, (SHIPPED,))
    try:
        both = merged(shipped, FILES.read(site))
    except BadRulesError as error:
        raise UsageError(f"{site}: {error}") from None
    return _parsed(site, both, (SHIPPED, site))


def fingerprints(rules: Rules) -> list[dict[str, str]]:
    """Which files decide, for the record: ``[{"path", "sha256"}]``."""
    return policy_files.fingerprints(rules.sources)


def _parsed(path: str, data: Any, sources: tuple[str, ...]) -> Rules:
    try:
        return parse(data, sources)
    except BadRulesError as error:
        raise UsageError(f"{path}: {error}") from None
