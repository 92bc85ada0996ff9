# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_account_info``: everything an intruder would touch in the accounts, read in minute zero."""

from __future__ import annotations

from typing import Any

from ..account_look import YARDSTICKS, look, record_of, sentence
from ..arguments import ONLY, VENUES
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    **YARDSTICKS,
    "since": {"type": "str"},
    "timeout": {"type": "float", "default": 10.0},
}


def run(params: Params, _context: Context) -> Result:
    """One look at all venues at once; what could not be read, or has no API, is named and is never "nothing"."""
    looked = look(params)
    return {"msg": sentence(looked), **looked, "record": [event(kind, data) for kind, data in record_of(looked)]}
