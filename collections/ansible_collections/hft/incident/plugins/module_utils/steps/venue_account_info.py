# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_account_info``: everything an intruder would touch in the accounts, read in minute zero."""

from __future__ import annotations

from typing import Any

from ..account_evidence import KEEPING
from ..account_look import YARDSTICKS, look, told
from ..arguments import ONLY, VENUES
from ..timestamps import utc_now
from . import Context, Params, Result

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    **YARDSTICKS,
    "since": {"type": "str"},
    **KEEPING,
    "timeout": {"type": "float", "default": 10.0},
}


def run(params: Params, context: Context) -> Result:
    """One look at all venues at once; what could not be read, or has no API, is named and is never "nothing"."""
    started_at = utc_now()
    return told(params, look(params), started_at, check=context.check)
