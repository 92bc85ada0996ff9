# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode, diff and a second run do in modules that change nothing."""

from __future__ import annotations


class ModuleDocFragment:
    #: Reads once.
    READS = r"""
attributes:
  check_mode:
    support: full
    description: Only reads, so it does the same in check mode.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
"""

    #: Reads again and again, until what it sees is as wanted.
    WATCHES = r"""
attributes:
  check_mode:
    support: full
    description: Takes one look, says what it sees and waits for nothing.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
"""
