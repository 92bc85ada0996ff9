# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``api_key_info``: which API keys there are, what each may do and from where, and which are not ours."""

from __future__ import annotations

from typing import Any

from ..account_look import YARDSTICKS, look, record_of, sentence
from ..arguments import ONLY, VENUES
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    "keys": YARDSTICKS["keys"],
    "secret_store": YARDSTICKS["secret_store"],
    "timeout": {"type": "float", "default": 10.0},
}
PARTS = ("own_keys", "keys")


def run(params: Params, _context: Context) -> Result:
    """Our own keys' facts and, where the venue lists them, all keys; held against the approved ones."""
    looked = look(params, PARTS)
    del looked["since"]  # keys are told whenever they were made
    return {"msg": sentence(looked), **looked, "record": [event(kind, data) for kind, data in record_of(looked)]}
