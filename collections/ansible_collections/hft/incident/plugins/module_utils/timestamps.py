# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Times as records carry them: UTC, ISO 8601 with microseconds and "Z"."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


def utc_now(ago: float = 0.0) -> str:
    """This moment, or ``ago`` seconds before it."""
    now = datetime.now(timezone.utc)
    return (now - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """The moment that ISO 8601 text names; ValueError where it names none. Python before 3.11 knows no "Z"."""
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)


def iso_of_ms(at_ms: int) -> str:
    """A venue's time (ms since 1970) as a person reads it; one that is out of every calendar, as the number it is."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
