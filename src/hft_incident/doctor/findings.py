# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a check found: one line each, with the mend where something is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

OK, WARN, BAD, UNKNOWN = "ok", "warn", "bad", "unknown"
#: How a verdict is printed: what must be mended has to be seen.
_PRINTED = {BAD: "BAD"}


class Finding(NamedTuple):
    """``subject``: which one of its kind ("" where there is only one). ``mend``: what to do, "" where nothing is."""

    check: str
    subject: str
    verdict: str
    says: str
    mend: str = ""

    def line(self) -> str:
        name = f"{self.check} {self.subject}".rstrip()
        mend = f"; mend: {self.mend}" if self.mend else ""
        return f"{_PRINTED.get(self.verdict, self.verdict):<8} {name}: {self.says}{mend}"


class Diagnosis(NamedTuple):
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]
    elapsed_s: float

    @property
    def verdict(self) -> str:
        """The worst there is."""
        found = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in (BAD, UNKNOWN, WARN) if verdict in found), OK)

    @property
    def outcome(self) -> str:
        return "unproven" if self.verdict in (BAD, UNKNOWN) else "done"

    def counts(self) -> Mapping[str, int]:
        found = [finding.verdict for finding in self.findings]
        return {verdict: found.count(verdict) for verdict in (BAD, UNKNOWN, WARN, OK) if verdict in found}

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "outcome": self.outcome,
            "elapsed_ms": round(self.elapsed_s * 1000, 1),
            "checks": [finding._asdict() for finding in self.findings],
        }

    def lines(self) -> list[str]:
        counted = ", ".join(f"{count} {_PRINTED.get(verdict, verdict)}" for verdict, count in self.counts().items())
        head = "READY" if self.outcome == "done" else "NOT READY"
        return [*(finding.line() for finding in self.findings), f"{head}: {counted} ({self.elapsed_s:.1f} s)"]
