# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""All pages of the site that nobody writes by hand."""

from __future__ import annotations

from . import commands, communications, journal, modules, playbooks, severity, variables
from .text import Pages

GENERATORS = (playbooks, modules, commands, variables, severity, communications, journal)


def pages() -> Pages:
    """By path, the Markdown of each."""
    made: Pages = {}
    for generator in GENERATORS:
        made.update(generator.pages())
    return made
