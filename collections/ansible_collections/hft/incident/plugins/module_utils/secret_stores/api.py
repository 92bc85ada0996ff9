# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The small API behind which every secret store lies: keys in named slots, written only over what was read.

A slot (``binance.trading``) holds the key that is in use; ``.next`` beside it the one that is to take its place, and
``.previous`` the one that is being revoked.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from ..deadline import Deadline
from ..errors import HeldError, IncidentError, UsageError
from ..secret_ref import Secret

NEXT, PREVIOUS = ".next", ".previous"
#: What ``write`` is told where it is to find nothing.
ABSENT = ""
_SLOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
#: What a slot's name may not end with: the store's own names beside it.
_OWN = (NEXT, PREVIOUS, ".lock", ".json", ".new")


#: What is kept of a key beside what the trading system reads.
FACTS = ("rotation", "label", "seen_by")


class StoreError(IncidentError):
    """The store did not do it, or cannot be trusted; the message holds no secret."""


class Conflict(StoreError):
    """Somebody else has written the slot since it was read; nothing was written."""


class Busy(HeldError):
    """Somebody else works on the slot; the message says who."""


class Stored(NamedTuple):
    """A key in its slot. ``rotation`` is the one that made it ("": before any), ``label`` its name at the venue;
    ``version`` is the store's own word for this very content. ``seen_by``: who has seen on the venue's website what it
    may do and from where, for venues whose API does not tell ("": nobody)."""

    id: str
    secret: Secret
    passphrase: Secret | None = None
    rotation: str = ""
    label: str = ""
    version: str = ABSENT
    seen_by: str = ""


class SecretStore(ABC):
    """Methods raise StoreError; they never wait longer than their own limit."""

    @abstractmethod
    def read(self, slot: str) -> Stored | None:
        """What is in the slot, or None."""

    @abstractmethod
    def write(self, slot: str, stored: Stored, expected: str) -> str:
        """Put it there for good, if what is there now has the version ``expected`` (ABSENT: nothing is); the new
        version. Raises Conflict, and then nothing was written."""

    @abstractmethod
    def delete(self, slot: str) -> None:
        """Nothing is there any more, older versions included; an empty slot is no error."""

    @abstractmethod
    def lock(self, slot: str, deadline: Deadline) -> AbstractContextManager[None]:
        """The slot and those beside it, for one rotation at a time. Raises Busy, naming who has it, at the deadline."""


def slot_name(text: object, where: str) -> str:
    """``text`` if it can name a slot; raises UsageError."""
    if not isinstance(text, str) or not _SLOT.fullmatch(text) or text.endswith(_OWN):
        raise UsageError(f"{where}: {text!r} cannot name a slot: use letters, digits, '.', '_' and '-'")
    return text


def document(stored: Stored) -> dict[str, str]:
    """As it is kept: what the trading system reads, and what a rotation needs to know of it."""
    parts = {
        "id": stored.id,
        "secret": stored.secret.reveal(),
        "passphrase": stored.passphrase.reveal() if stored.passphrase else "",
        "rotation": stored.rotation,
        "label": stored.label,
        "seen_by": stored.seen_by,
    }
    return {name: value for name, value in parts.items() if value}


def parsed(found: object, where: str, version: str) -> Stored:
    """The reverse of ``document``. Raises StoreError, which never shows what was found."""
    if not isinstance(found, Mapping) or not all(isinstance(found.get(name), str) for name in ("id", "secret")):
        raise StoreError(f'{where} is no key: it must be {{"id": …, "secret": …}}')
    texts = {name: found.get(name) or "" for name in ("id", "secret", "passphrase", *FACTS)}
    if not all(isinstance(text, str) for text in texts.values()) or not (texts["id"] and texts["secret"]):
        raise StoreError(f"{where} is no key: one of its fields is empty or no text")
    passphrase = Secret(texts["passphrase"]) if texts["passphrase"] else None
    facts = {name: texts[name] for name in FACTS}
    return Stored(texts["id"], Secret(texts["secret"]), passphrase, version=version, **facts)


def decoded(text: bytes, where: str) -> Any:
    """JSON; raises StoreError, which never shows the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise StoreError(f"{where} is no JSON") from None
