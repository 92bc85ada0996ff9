# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Errors that know how a command ends.

Source: contracts.md, "Exit codes". An outcome travels as a word (in results, in the journal); only the command line
turns it into a number.
"""

from __future__ import annotations

EXIT_CODES = {"done": 0, "failed": 1, "usage": 2, "unproven": 3, "held": 4}


class IncidentError(Exception):
    """Something failed; the message is one line that a person on call understands, and holds no secret."""

    outcome = "failed"


class UsageError(IncidentError):
    """Wrong usage or configuration; nothing was changed."""

    outcome = "usage"


class UnprovenError(IncidentError):
    """Acted, but the effect is not proven."""

    outcome = "unproven"


class HeldError(IncidentError):
    """Waiting for an approval or for a condition."""

    outcome = "held"
