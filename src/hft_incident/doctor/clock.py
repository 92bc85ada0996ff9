# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How far another clock is from ours, as far as one answer can tell: it was read between asking and having the answer,
so what lies in between is no difference."""

from __future__ import annotations

from typing import NamedTuple

from .findings import BAD, OK, WARN, Finding

#: A difference that is worth a look, and one at which records and signatures go wrong, where nobody says otherwise (s).
NOTABLE_S, WRONG_S = 0.5, 5.0
MEND = "let both clocks follow NTP (here: timedatectl, chronyc tracking)"


class Reading(NamedTuple):
    """Another clock's ``time``, seconds since 1970, which it states in steps of ``step``, and ours before and after."""

    before: float
    time: float
    after: float
    step: float = 0.0

    @property
    def offset(self) -> float:
        """By how much it is ahead (below zero: behind) at the very least, in seconds; 0 where it may well be right."""
        if self.time > self.after:
            return self.time - self.after
        return min(0.0, self.time + self.step - self.before)


def finding(subject: str, reading: Reading, wrong_s: float = WRONG_S) -> Finding:
    """``wrong_s``: from here on it is refused there, or wrong by our own measure."""
    offset = reading.offset
    if not offset:
        return Finding("clock", subject, OK, "agrees with ours")
    says = f"{abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} ours, at least"
    if abs(offset) < min(NOTABLE_S, wrong_s):
        return Finding("clock", subject, OK, says)
    refused = abs(offset) >= wrong_s
    return Finding("clock", subject, BAD if refused else WARN, f"{says} (limit {wrong_s:g} s)", MEND)
