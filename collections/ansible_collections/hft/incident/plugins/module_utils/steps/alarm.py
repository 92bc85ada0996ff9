# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``alarm``: whether there is an incident at all, judged once and kept in the record.

A response that has begun is not called off because what broke looks healthy again: it has closed things, and they must
be opened in order. So a judgement of "real" stands for the whole incident, over every run that resumes it.
"""

from __future__ import annotations

from typing import Any

from ..incident import is_real
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    "real": {"type": "bool", "required": True},
    "because": {"type": "str", "default": ""},
}


def run(params: Params, context: Context) -> Result:
    """``real``: the present judgement, or that of an earlier run where that one was acted upon."""
    del context  # it changes nothing but the record
    stands = is_real(current_incident().journal.events())
    if stands:
        return {"real": True, "msg": "it was judged real before, and that stands until the incident is closed"}
    because = params["because"] or ("it is real" if params["real"] else "it is a false alarm")
    judged = event("alarm.judged", {"real": params["real"], "because": because})
    return {"real": params["real"], "msg": because, "record": [judged]}
