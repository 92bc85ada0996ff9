# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A mass cancel that takes several requests: how many at the same moment, and what it means when only some succeed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..http_client import T, at_once
from .api import CancelReply
from .errors import Banned, VenueError

#: Requests in flight at the same moment; venues count bursts against their rate limits.
LANES = 8


def in_lanes(work: Sequence[Callable[[], T]]) -> list[T]:
    """All calls, at most ``LANES`` at the same moment; their results in order."""
    lanes = [work[lane::LANES] for lane in range(min(LANES, len(work)))]
    done = at_once([partial(_one_after_another, lane) for lane in lanes])
    return [done[index % LANES][index // LANES] for index in range(len(work))]


def cancel_in_parts(parts: Sequence[Callable[[], CancelReply]]) -> CancelReply:
    """All parts together; one that failed is a rejection beside the others.

    Raises VenueError where every part failed (nothing can be said) or the venue has shut us out (nothing may be asked).
    """
    outcomes = in_lanes([partial(_outcome, part) for part in parts])
    failures = [outcome for outcome in outcomes if isinstance(outcome, VenueError)]
    shut_out = [failure for failure in failures if isinstance(failure, Banned)]
    if shut_out or (failures and len(failures) == len(outcomes)):
        raise (shut_out or failures)[0]
    replies = [outcome for outcome in outcomes if isinstance(outcome, CancelReply)]
    return CancelReply(
        sum(reply.accepted for reply in replies),
        (*(reason for reply in replies for reason in reply.rejected), *map(str, failures)),
    )


def _one_after_another(lane: Sequence[Callable[[], T]]) -> list[T]:
    return [call() for call in lane]


def _outcome(part: Callable[[], CancelReply]) -> CancelReply | VenueError:
    try:
        return part()
    except VenueError as error:
        return error
