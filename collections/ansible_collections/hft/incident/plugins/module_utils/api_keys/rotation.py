# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One key brought to where it should be: read everything, make the one move that ``plan`` names, read again.

A reply that was lost, a fault, a crash: all of them end in reading again, so none of them needs code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple

from ..deadline import Deadline
from ..errors import HeldError, IncidentError, UnprovenError
from ..reading import Answer, answers
from ..redaction import scrub_text
from ..secret_ref import SecretError
from ..secret_stores.api import ABSENT, NEXT, PREVIOUS, SecretStore, Stored
from ..settings import SystemEntry, VenueEntry
from ..venues import credentials
from ..venues.accounts.api import ApiKey, NotOffered, filled
from ..venues.errors import AuthError, Rejected, UnknownOutcome, VenueError
from ..withdrawal_freeze import freeze
from . import plan
from .containment import open_orders_left
from .delivery import deliver, reload, uses
from .entries import KeyEntry, fingerprint
from .plan import MERELY_LOOKS, Goal, Known, Move
from .witness import Witness, pause, unlike, untold

#: More new keys than this are not made in one run, however the venue behaves; nor more moves of any kind.
MOST_CREATED, MOST_MOVES = 4, 100
#: For cancels and withdrawals in a breach (s): the old key stays alive meanwhile.
SECURE_S, FREEZE_INTERVAL_S = 10.0, 1.0
#: For a last look when time is up (s).
LAST_LOOK_S = 2.0


class Site(NamedTuple):
    """Where a key is used and kept. ``deliver_command`` brings it from the store to who reads it there (empty: they
    read the store); withdrawals to ``own_addresses`` are let go on."""

    venue: VenueEntry
    systems: tuple[SystemEntry, ...]
    store: SecretStore
    deliver_command: tuple[str, ...] = ()
    own_addresses: frozenset[str] = frozenset()


class Row(NamedTuple):
    """What became of one key. ``verdict``: present | rotated | revoked | held | unknown | failed.

    ``working_keys`` is None where that is not known, ``loaded`` where no trading system was asked.
    """

    key: str
    venue: str
    verdict: str
    changed: bool
    steps: tuple[str, ...]
    working_keys: int | None
    loaded: bool | None
    fingerprint: str | None
    before: str | None
    error: str | None
    warnings: tuple[str, ...]
    by_hand: tuple[str, ...]


class ByHand(HeldError):
    """A person has to do something that the venue has no API for."""

    def __init__(self, message: str, steps: Sequence[str]) -> None:
        super().__init__(message)
        self.steps = tuple(steps)


class Rotation:
    """One key's way to its goal. ``run`` never raises."""

    def __init__(
        self,
        entry: KeyEntry,
        goal: Goal,
        site: Site,
        timeout: float,
        note: Callable[[str, Mapping[str, Any]], None],
        *,
        check: bool = False,
    ) -> None:
        self._entry, self._goal, self._site, self._check = entry, goal, site, check
        self._tell = note
        self._deadline = Deadline(timeout)
        self._witness = Witness(site.venue, self._deadline)
        self._known = Known(None, None, None, None)
        self._looked = False
        self._secrets: set[str] = set()
        self._steps: list[str] = []
        self._changed = False
        self._created = 0
        self._loaded: dict[str, bool | None] = {}
        self._before: str | None = None
        self._warnings: list[str] = []
        self._by_hand: list[str] = []

    def run(self) -> Row:
        try:
            with self._lock():
                try:
                    return self._row(self._go(), None)
                except Exception as error:  # noqa: BLE001  # one key's failure must not stop the others
                    return self._failed(error)
        except Exception as error:  # noqa: BLE001  # as above; the lock was not to be had
            return self._failed(error)

    def _lock(self) -> AbstractContextManager[None]:
        if self._check or self._goal.state == "present":
            return nullcontext()
        return self._site.store.lock(self._entry.slot, self._deadline.within(self._deadline.remaining() / 2))

    # The loop -----------------------------------------------------------------------------------------------------

    def _go(self) -> str:
        """The verdict; raises what stands in the way."""
        failures: dict[str, int] = {}
        for _number in range(MOST_MOVES):
            if not (self._check and self._looked):
                self._look()
            move = plan.next_move(self._known, self._goal)
            if move.kind == "done":
                return self._done()
            try:
                self._make(move)
            except VenueError as error:
                failures[move.kind] = failures.get(move.kind, 0) + 1
                pause(error, failures[move.kind], self._deadline)
        raise UnprovenError("it does not come to an end; run it again")

    def _done(self) -> str:
        if self._goal.state == "revoked":
            return "revoked"
        silent = [name for name, uses in self._loaded.items() if not uses]
        if silent and not (self._goal.breach and self._goal.state == "rotated"):
            raise UnprovenError(f"not proven that {', '.join(silent)} use this key")
        if self._goal.state == "rotated" and self._changed:
            self._note("rotated", self._known.current)
        return self._goal.state

    def _make(self, move: Move) -> None:
        """In check mode what changes nothing is done, of keys that are there, and the rest is foreseen."""
        current, pending = self._known.current, self._known.pending
        imagined = plan.NEW in (move.key, current and current.id) or (pending is not None and pending.id == move.key)
        if self._check and (imagined or not (move.kind in MERELY_LOOKS or move.kind == "load")):
            if move.kind != "load" or self._site.systems:
                self._step(move.kind)
            self._known = plan.foreseen(self._known, move, self._goal)
            return
        getattr(self, f"_{move.kind}")(move)

    def _step(self, kind: str) -> None:
        self._changed = self._changed or kind not in MERELY_LOOKS
        self._steps.append(kind)

    def _look(self) -> None:
        slot, store = self._entry.slot, self._site.store
        known = self._known._replace(
            current=store.read(slot),
            pending=store.read(slot + NEXT),
            previous=store.read(slot + PREVIOUS),
        )
        for stored in known.held.values():
            self._keep_out(stored)
        if not self._looked and known.current:
            self._before = known.current.id
        self._known = known  # also where the venue does not answer
        if self._goal.state == "present":  # a key that works says so itself
            self._looked = True
            return
        admin = self._witness.admin
        if admin.manages_keys and admin.venue.key in known.held:
            raise IncidentError(
                f"the key in {slot} is the one that we manage keys with, and would cut itself off: give "
                f"{self._site.venue.name} an admin_api_key of its own in hft_venues"
            )
        self._known = known._replace(listed=self._witness.listing())
        self._looked = True

    # The moves: one method each, named for it -----------------------------------------------------------------------

    def _delete_stray(self, move: Move) -> None:
        self._delete(move.key)
        if move.key in {key.id for key in self._witness.listing() or ()}:
            raise UnknownOutcome("the venue still lists a key that was deleted")
        self._step("delete_stray")
        self._note("stray_deleted", move.key)

    def _discard_pending(self, move: Move) -> None:
        """An unfinished key was never in use, so nobody has to prove it dead; that it is gone, the next look shows."""
        if self._known.listed is not None:
            self._delete(move.key)
        self._site.store.delete(self._entry.slot + NEXT)
        self._step("discard_pending")
        self._note("discarded", move.key)

    def _drop_pending(self, _move: Move) -> None:
        if self._known.pending and not self._known.pending.rotation:
            self._warnings.append("the key that was put is not a new one; it is taken out again")
        self._site.store.delete(self._entry.slot + NEXT)
        self._step("drop_pending")

    def _keep_old(self, _move: Move) -> None:
        if self._known.current:
            self._site.store.write(self._entry.slot + PREVIOUS, self._known.current, ABSENT)
        self._step("keep_old")

    def _drop_previous(self, _move: Move) -> None:
        self._site.store.delete(self._entry.slot + PREVIOUS)
        self._step("drop_previous")

    def _secure(self, _move: Move) -> None:
        """The old key is not the one that we cancel with (else it has to wait), so what is not proven here is said
        loudly and does not keep it alive."""
        until = self._deadline.within(min(SECURE_S, self._deadline.remaining() / 3))
        trouble = open_orders_left(self._site.venue, until)
        if trouble and credentials(self._site.venue).key.reveal() in self._known.held:
            raise UnprovenError(f"{trouble}, and without this key we could not cancel: it is not revoked")
        if trouble:
            self._warnings.append(f"NOT PROVEN that no order is open: {trouble}")
        frozen = freeze(self._site.venue, self._site.own_addresses, until, FREEZE_INTERVAL_S, check=False)
        if frozen.verdict != "frozen":
            why = frozen.error or f"{len(frozen.pending)} are pending"
            self._warnings.append(f"NOT PROVEN that no withdrawal is on its way: {why}")
            self._by_hand += frozen.steps
        self._step("secure")
        self._known = self._known._replace(secured=True)

    def _revoke(self, move: Move) -> None:
        """Deleted, and proven dead by a fresh client that has its secret."""
        stored = self._known.held[move.key]
        listed = any(key.id == move.key for key in self._known.listed or ())
        if listed:
            self._delete(move.key)
        if not self._witness.is_dead(stored):
            if listed:
                raise UnknownOutcome("the venue deleted the old key, and still takes it")
            self._known = self._known._replace(usable=self._known.usable | {move.key})
            self._ask_to_revoke(stored)
        if listed:
            self._step("revoke")
        self._known = self._known._replace(dead=self._known.dead | {move.key})
        self._note("revoked", stored)

    def _create(self, _move: Move) -> None:
        entry, goal, admin = self._entry, self._goal, self._witness.admin
        if self._created >= MOST_CREATED:
            raise UnprovenError(
                f"{MOST_CREATED} new keys were made and lost; look at the venue before you run it again"
            )
        try:
            if not admin.manages_keys:
                raise NotOffered(f"{admin.driver} has no API to create keys")
            self._created += 1
            new = admin.create_key(goal.label, sorted(entry.permissions), entry.ip_allow_list)
        except NotOffered as error:
            self._ask_to_create(error)
        # Before anything else can go wrong: whoever is killed from here on finds it again.
        secret, passphrase = new.credentials.secret, new.credentials.passphrase
        stored = Stored(new.facts.id, secret, passphrase, goal.rotation, goal.label)
        self._keep_out(stored)
        self._site.store.write(entry.slot + NEXT, stored, ABSENT)
        self._step("create")
        self._note("created", stored)
        self._note("stored", stored)

    def _verify(self, move: Move) -> None:
        stored = self._known.held[move.key]
        pending = self._known.pending is not None and self._known.pending.id == move.key
        listed = next((key for key in self._known.listed or () if key.id == move.key), None)
        try:
            facts = self._witness.facts(stored, listed)
        except AuthError as error:
            self._not_taken(stored, pending, error)
            return
        wrong = unlike(facts, self._entry)
        if wrong:
            if pending and self._known.listed is not None:
                self._discard_pending(move)
            raise IncidentError(f"{'the new key' if pending else 'the key in use'} {wrong}")
        hidden = untold(facts, self._entry)
        if hidden:
            self._require_seen(stored, hidden, pending)
        self._step("verify")
        self._known = self._known._replace(usable=self._known.usable | {move.key})
        self._note("verified", stored, **({"untold": hidden, "seen_by": stored.seen_by} if hidden else {}))

    def _require_seen(self, stored: Stored, hidden: str, pending: bool) -> None:
        """Where the API does not tell, a person's word is all there is, and it is told as such."""
        untold_by = f"{self._site.venue.name} does not tell {hidden}"
        if stored.seen_by:
            self._warnings.append(f"{untold_by}: {stored.seen_by} has seen it on the website")
        elif pending:
            put = f"hft-incident key put {self._entry.name} --seen-by YOU"
            steps = [f"Look at the new key on the website, then put it again and say who has seen it: {put}"]
            raise ByHand(f"nobody has said {hidden}, which {self._site.venue.name} does not tell", steps)
        else:
            raise UnprovenError(f"{untold_by}, and nobody has said that they have seen it; look on its website")

    def _not_taken(self, stored: Stored, pending: bool, error: AuthError) -> None:
        """The venue refuses a key that should work, again and again."""
        if pending and self._known.listed is None:
            raise ByHand(f"the venue does not take the key that was put ({error})", self._steps_to_put())
        if pending:
            self._discard_pending(Move("discard_pending", stored.id))
            self._warnings.append(
                f"a new key was not taken and is deleted again ({error}): is this machine's address in ip_allow_list?"
            )
            return
        if self._goal.state == "rotated" and not plan.is_renewed(self._known, self._goal):
            if not self._witness.is_dead(stored):
                raise error
            self._known = self._known._replace(dead=self._known.dead | {stored.id})
            return
        raise IncidentError(f"the key in {self._entry.slot} does not work ({error}): rotate it under another rotation")

    def _promote(self, _move: Move) -> None:
        known, slot, store = self._known, self._entry.slot, self._site.store
        if known.pending:
            put = known.pending._replace(rotation=self._goal.rotation)
            store.write(slot, put, known.current.version if known.current else ABSENT)
            store.delete(slot + NEXT)
        self._step("promote")

    def _load(self, _move: Move) -> None:
        """At all trading systems at once; those that use the key already are left alone."""
        current, systems = self._known.current, self._site.systems
        key_id = current.id if current else ""
        told = self._asked(uses, systems, key_id)
        others = [system for system in systems if told[system.name].value is not True]
        unfinished = self._changed or self._known.previous is not None
        if self._check:
            told |= {system.name: Answer(True) for system in others}
        elif others and self._waits(told[system.name] for system in others):
            self._warnings.append(f"{', '.join(system.name for system in others)} gets the key once it answers again")
        elif others or (unfinished and not systems):
            self._deliver(key_id)
            told |= self._asked(reload, others, key_id)
        for name, answer in told.items():
            self._loaded[name] = answer.value
            if answer.error:
                self._warnings.append(f"{name} did not take the key: {answer.error}")
            elif answer.value is None:
                self._warnings.append(f"{name} does not tell which key it uses")
        if others:
            self._step("load")
        self._known = self._known._replace(loaded=all(self._loaded.values()))
        if others and self._known.loaded:
            self._note("loaded", current)

    def _waits(self, told: Iterable[Answer[bool | None]]) -> bool:
        """In a breach, a trading system that does not answer may be stopped on a host that is the intruder's: nothing
        new is brought there. It takes the key later, which ``present`` proves."""
        return self._goal.breach and self._goal.state == "rotated" and all(answer.error for answer in told)

    def _asked(
        self,
        ask: Callable[[SystemEntry, str, str, Deadline], bool | None],
        systems: Sequence[SystemEntry],
        key_id: str,
    ) -> dict[str, Answer[bool | None]]:
        wanted, exchange = fingerprint(key_id), self._site.venue.name
        calls = {system.name: partial(ask, system, exchange, wanted, self._deadline) for system in systems}
        return answers(calls, self._deadline)

    def _deliver(self, key_id: str) -> None:
        """In a breach the old key is dead already, so a failure keeps nothing from going on."""
        if not self._site.deliver_command:
            return
        try:
            deliver(self._site.deliver_command, self._entry, key_id, self._deadline)
        except UnprovenError as error:
            if not self._goal.breach:
                raise
            self._warnings.append(str(error))

    def _wait(self, _move: Move) -> None:
        raise UnprovenError("the old key is not revoked: nobody is proven to use the new one")

    def _no_key(self, _move: Move) -> None:
        mend = f"put the one in use there with: hft-incident key put {self._entry.name} --in-use"
        raise IncidentError(f"there is no key in {self._entry.slot}: {mend}")

    def _delete(self, key_id: str) -> None:
        listed = next((key for key in self._known.listed or () if key.id == key_id), None)
        self._witness.admin.delete_key(listed or ApiKey(key_id))

    # What a person has to do --------------------------------------------------------------------------------------

    def _ask_to_create(self, why: NotOffered) -> None:
        current = self._known.current
        if current and current.id not in self._known.dead:
            with suppress(VenueError):  # whether it still works is told where that is known
                if not self._witness.is_dead(current):
                    self._known = self._known._replace(usable=self._known.usable | {current.id})
        raise ByHand(f"a person makes the new key: {why}", [*self._steps_to_create(), *self._steps_to_put()]) from None

    def _ask_to_revoke(self, stored: Stored) -> None:
        steps = filled(self._witness.admin.steps_to_revoke, self._facts(stored.label, stored.id))
        if self._goal.breach and self._goal.state == "rotated" and not plan.is_renewed(self._known, self._goal):
            steps += [*self._steps_to_create(), *self._steps_to_put()]  # one visit to the website for both
        else:
            steps.append("Run this again: it proves that the old key is dead.")
        raise ByHand("THE OLD KEY STILL WORKS: no API deletes it, a person does", steps)

    def _steps_to_create(self) -> list[str]:
        return filled(self._witness.admin.steps_to_create, self._facts(self._goal.label, ""))

    def _steps_to_put(self) -> list[str]:
        return [
            f"Put it into the store: hft-incident key put {self._entry.name} --seen-by YOU",
            "Run this again: it verifies the key and goes on.",
        ]

    def _facts(self, label: str, key_id: str) -> dict[str, str]:
        permissions, ips = sorted(self._entry.permissions), self._entry.ip_allow_list
        return {
            "label": label,
            "key_id": key_id,
            "permissions": ", ".join(permissions),
            "ips": ", ".join(ips) or "every address",
        }

    # The end --------------------------------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> Row:
        if isinstance(error, ByHand):
            self._by_hand += error.steps
        if isinstance(error, VenueError):
            verdict = "failed" if isinstance(error, (AuthError, Rejected, NotOffered)) else "unknown"
        elif isinstance(error, IncidentError):
            verdict = {"unproven": "unknown", "held": "held"}.get(error.outcome, "failed")
        else:
            verdict = "failed"
        known = isinstance(error, (VenueError, IncidentError, SecretError))
        told = str(error) if known else f"internal error ({type(error).__name__})"
        if isinstance(error, AuthError) and not self._site.venue.admin_api_key:
            told += "; hft_venues has no admin_api_key for this venue, a key that may manage keys"
        return self._row(verdict, told)

    def _row(self, verdict: str, error: str | None) -> Row:
        if error and not self._check:
            self._last_look()
        known, count, goal = self._known, self._working_keys(), self._goal
        if goal.state == "rotated" and count == 0 and not self._check:
            error = f"NO WORKING KEY IS LEFT: {error or 'the new one was not seen'}"
        if goal.state == "rotated" and known.pending and not error:
            self._warnings.append("a key waits in the store that this rotation did not make: rotate under another one")
        if error and plan.strays(known, goal):
            self._warnings.append("the venue lists a key of ours whose secret nobody holds; the next run deletes it")
        return Row(
            key=self._entry.name,
            venue=self._site.venue.name,
            verdict=verdict,
            changed=self._changed,
            steps=tuple(self._steps),
            working_keys=count,
            loaded=all(self._loaded.values()) if self._loaded else None,
            fingerprint=fingerprint(known.current.id) if known.current and known.current.id != plan.NEW else None,
            before=fingerprint(self._before) if self._before else None,
            error=self._scrub(error) if error else None,
            warnings=tuple(self._scrub(text) for text in dict.fromkeys(self._warnings)),
            by_hand=tuple(dict.fromkeys(self._by_hand)),
        )

    def _last_look(self) -> None:
        """What is left would be told wrongly where the last move is not seen; then it is not known."""
        self._known = self._known._replace(listed=None)
        self._deadline = Deadline(LAST_LOOK_S)
        self._witness.hurry(self._deadline)
        with suppress(Exception):  # not known is what is told then
            self._look()

    def _working_keys(self) -> int | None:
        """How many of this entry's keys the venue takes; None where one of them is neither known to work nor dead."""
        known = self._known
        if not self._looked:
            return None
        ids = known.held.keys() - known.dead
        if known.listed is None:
            return len(ids) if ids <= known.usable else None
        gone = ids - {key.id for key in known.listed if key.enabled} - known.usable
        if gone and self._witness.admin.keys_not_listed:
            return None
        return len(ids - gone)

    def _note(self, kind: str, key: Stored | str | None, **more: str) -> None:
        key_id = key.id if isinstance(key, Stored) else key or ""
        told = {"key": self._entry.name, "venue": self._site.venue.name, "rotation": self._goal.rotation}
        if not self._check and self._goal.state != "present":
            self._tell(f"api_key.{kind}", {**told, "fingerprint": fingerprint(key_id), **more})

    def _keep_out(self, stored: Stored) -> None:
        """Whatever anybody answers, these appear in no result."""
        self._secrets |= {part.reveal() for part in (stored.secret, stored.passphrase) if part}

    def _scrub(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return scrub_text(text)
