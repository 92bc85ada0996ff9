# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong at a venue, as the caller must react to it.

The tree answers one question: did the venue act, and may we ask again? Everything that is neither a
clear yes nor a clear no is an ``UnknownOutcome`` (contracts.md: such a venue is never "clear").
"""

from __future__ import annotations


class VenueError(Exception):
    """A call to a venue did not give a usable answer. The message is safe to print: no URL query, no key, no signature.

    ``code`` is the venue's own error code ("" where there is none); ``retry_after`` is in seconds (None: not said).
    """

    #: One word for journals and results.
    kind = "failed"

    def __init__(self, message: str, *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class AuthError(VenueError):
    """The venue refused the key, the signature, the permission or the address. Asking again cannot mend it."""

    kind = "auth"


class ClockSkew(AuthError):
    """The venue refused the timestamp: read its clock, apply the offset, sign again."""

    kind = "clock_skew"


class RateLimited(VenueError):
    """Too many requests: wait ``retry_after`` before the next."""

    kind = "rate_limited"


class Banned(VenueError):
    """The venue has shut this address or key out; every further request makes it longer. Stop asking and say so."""

    kind = "banned"


class Unavailable(VenueError):
    """The venue certainly did not act: never reached (DNS, refused), or it said "not now" before acting."""

    kind = "unavailable"


class Rejected(VenueError):
    """The venue understood and said no, for a reason that is not the key's (an unknown symbol, a closed market)."""

    kind = "rejected"


class UnknownOutcome(VenueError):
    """The venue may or may not have acted: a timeout, a reset, a 5xx. List again; never assume."""

    kind = "unknown_outcome"


class MalformedReply(UnknownOutcome):
    """An answer that does not fit the venue's schema. It proves nothing, whatever its HTTP status says."""

    kind = "malformed"
