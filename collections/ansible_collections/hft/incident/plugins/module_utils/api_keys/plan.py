# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a rotation does next, from what the venue and the store say now and what this run has proven; pure.

Nothing is remembered between runs. Whoever was killed after any step is followed by one who reads again and goes on:
there is never a second new key, and a key is given up only when the next one is known to work, except in a breach.

Planned: create, store, verify, promote, load, and only then revoke. Breach: cancels and withdrawals first, then revoke,
then create. Source: seed-faults A8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..secret_ref import Secret
from ..secret_stores.api import Stored
from ..venues.accounts.api import ApiKey

#: What each move does. Those of MERELY_LOOKS change nothing.
MOVES: Mapping[str, str] = {
    "delete_stray": "delete a key of ours at the venue whose secret nobody holds",
    "discard_pending": "delete an unfinished key of another rotation, at the venue and from the store",
    "drop_pending": "remove a pending key from the store that is in use already, or that is the old one",
    "secure": "prove that no order is open, stop withdrawals",
    "keep_old": "keep the old key as previous, to be able to prove it dead",
    "revoke": "delete the old key at the venue and prove it dead",
    "create": "create a key and store it as pending",
    "verify": "prove that a key works and may do no more than it should",
    "promote": "put the pending key in the place of the current one",
    "load": "have the trading systems use it, and prove that",
    "drop_previous": "remove the revoked key from the store",
    "wait": "the old key stays until the trading systems are proven to use the new one",
    "no_key": "there is no key to begin with",
    "done": "nothing is left to do",
}
MERELY_LOOKS = frozenset(("verify", "wait", "no_key", "done"))


class Goal(NamedTuple):
    """``state``: rotated | revoked | present. ``label`` is that of this rotation, ``prefix`` that of every rotation of
    this key."""

    state: str
    rotation: str
    breach: bool
    label: str
    prefix: str


class Known(NamedTuple):
    """What the store and the venue say now, and what was proven since this run began.

    ``listed`` is None where the venue lists no keys. Key ids: ``usable`` ones work with the right rights, ``dead`` ones
    are refused. ``loaded`` is None until it was tried.
    """

    current: Stored | None
    pending: Stored | None
    previous: Stored | None
    listed: tuple[ApiKey, ...] | None
    usable: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    loaded: bool | None = None
    secured: bool = False

    @property
    def held(self) -> dict[str, Stored]:
        """Keys whose secret is in the store, by id."""
        return {stored.id: stored for stored in (self.previous, self.pending, self.current) if stored}


class Move(NamedTuple):
    """One step; ``key`` is the id of the key that it is about."""

    kind: str
    key: str = ""


def next_move(known: Known, goal: Goal) -> Move:
    """The one thing to do now."""
    if goal.state == "present":
        return _present(known)
    lost = _strays(known, goal.label)  # made by this very rotation, and nobody was told its secret
    if lost:
        return Move("delete_stray", lost[0].id)
    return _revoked(known, goal) if goal.state == "revoked" else _rotated(known, goal)


def strays(known: Known, goal: Goal) -> list[ApiKey]:
    """Keys of ours at the venue whose secret nobody holds, of whichever rotation."""
    return _strays(known, goal.prefix)


def is_renewed(known: Known, goal: Goal) -> bool:
    """Whether the key in use is this rotation's."""
    return known.current is not None and known.current.rotation == goal.rotation


def _present(known: Known) -> Move:
    if known.current is None:
        return Move("no_key")
    if known.current.id not in known.usable:
        return Move("verify", known.current.id)
    return Move("load", known.current.id) if known.loaded is None else Move("done")


def _revoked(known: Known, goal: Goal) -> Move:
    """Every key of this entry, the one in use last. The dead one stays in its slot: it names what was revoked."""
    for stored in (known.previous, known.pending, known.current):
        if stored and stored.id not in known.dead:
            return _revoke(stored.id, known, goal)
    if known.pending:
        return Move("drop_pending")
    if known.previous:
        return Move("drop_previous")
    left = strays(known, goal)
    if left:
        return Move("delete_stray", left[0].id)
    return Move("done") if known.current else Move("no_key")


def _rotated(known: Known, goal: Goal) -> Move:
    current, pending, previous = known.current, known.pending, known.previous
    renewed = is_renewed(known, goal)
    if current is None and pending is None:
        return Move("no_key")
    if pending and pending.id in [stored.id for stored in (current, previous) if stored]:
        return Move("drop_pending")  # in its place already, or the old one put again
    if pending and pending.rotation and (renewed or pending.rotation != goal.rotation):
        return Move("discard_pending", pending.id)  # begun before this one, perhaps known to others
    if renewed or (not goal.breach and _unfinished(known)):
        return _finish(known, goal)
    if goal.breach:
        before = _before_new(known, goal)
        if before:
            return before
    if pending is None:
        return Move("create")
    if pending.id not in known.usable:
        return Move("verify", pending.id)
    if current and previous is None and current.id not in known.dead:
        return Move("keep_old", current.id)
    return Move("promote", pending.id)


def _unfinished(known: Known) -> bool:
    """An earlier rotation has put its key in place, and the one before is not known to be dead."""
    current, previous = known.current, known.previous
    return bool(current and previous and previous.id != current.id and current.id not in known.dead)


def _before_new(known: Known, goal: Goal) -> Move | None:
    """In a breach all that is old is revoked before anything new is made; None once that is so."""
    current, previous = known.current, known.previous
    if previous and previous.id not in known.dead:
        return _revoke(previous.id, known, goal)
    if previous and current and previous.id != current.id and current.id not in known.dead:
        return Move("drop_previous")
    if current and current.id not in known.dead:
        return Move("keep_old", current.id)
    left = strays(known, goal)
    return Move("delete_stray", left[0].id) if left else None


def _finish(known: Known, goal: Goal) -> Move:
    """The new key is in its place: prove it, have it used, and give the old one up."""
    current, previous = known.current, known.previous
    old = previous.id if previous and previous.id not in known.dead else ""
    if current is None:
        return Move("no_key")
    if previous and previous.id == current.id:
        return Move("drop_previous")
    if goal.breach and old:
        return _revoke(old, known, goal)
    if current.id not in known.usable:
        return Move("verify", current.id)
    if known.loaded is None:
        return Move("load", current.id)
    left = strays(known, goal)
    if (old or left) and not goal.breach and not known.loaded:
        return Move("wait")
    if old:
        return _revoke(old, known, goal)
    if previous:
        return Move("drop_previous")
    return Move("delete_stray", left[0].id) if left else Move("done")


def _revoke(key: str, known: Known, goal: Goal) -> Move:
    return Move("secure") if goal.breach and not known.secured else Move("revoke", key)


def _strays(known: Known, label: str) -> list[ApiKey]:
    return [key for key in known.listed or () if key.label.startswith(label) and key.id not in known.held]


# What a move makes of what is known, where all goes well --------------------------------------------------------------

NEW = "(new)"


def foreseen(known: Known, move: Move, goal: Goal) -> Known:
    """What will be known after the move."""
    return _FORESEEN[move.kind](known, move, goal)


def _gone(known: Known, move: Move, _goal: Goal) -> Known:
    listed = None if known.listed is None else tuple(key for key in known.listed if key.id != move.key)
    return known._replace(listed=listed, dead=known.dead | {move.key})


def _created(known: Known, _move: Move, goal: Goal) -> Known:
    listed = None if known.listed is None else (*known.listed, ApiKey(NEW, goal.label))
    return known._replace(pending=Stored(NEW, Secret(""), None, goal.rotation, goal.label), listed=listed)


def _promoted(known: Known, _move: Move, goal: Goal) -> Known:
    put = known.pending._replace(rotation=goal.rotation) if known.pending else None
    return known._replace(current=put, pending=None)


_FORESEEN: Mapping[str, Callable[[Known, Move, Goal], Known]] = {
    "delete_stray": _gone,
    "discard_pending": lambda known, move, goal: _gone(known, move, goal)._replace(pending=None),
    "drop_pending": lambda known, _move, _goal: known._replace(pending=None),
    "secure": lambda known, _move, _goal: known._replace(secured=True),
    "keep_old": lambda known, _move, _goal: known._replace(previous=known.current),
    "revoke": _gone,
    "create": _created,
    "verify": lambda known, move, _goal: known._replace(usable=known.usable | {move.key}),
    "promote": _promoted,
    "load": lambda known, _move, _goal: known._replace(loaded=True),
    "drop_previous": lambda known, _move, _goal: known._replace(previous=None),
}
