# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``api_key_info``: which API keys there are, what each may do and from where, and which are not ours."""

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
    "keys": YARDSTICKS["keys"],
    "secret_store": YARDSTICKS["secret_store"],
    **KEEPING,
    "timeout": {"type": "float", "default": 10.0},
}
PARTS = ("own_keys", "keys")


def run(params: Params, context: Context) -> Result:
    """Our own keys' facts and, where the venue lists them, all keys; held against the approved ones."""
    started_at = utc_now()
    looked = look(params, PARTS)
    del looked["since"]  # keys are told whenever they were made
    return told(params, looked, started_at, check=context.check)
