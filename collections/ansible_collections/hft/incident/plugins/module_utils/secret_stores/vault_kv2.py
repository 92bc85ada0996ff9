# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The store in HashiCorp Vault or OpenBao: secrets engine KV version 2, through hvac (extra ``vault``).

Every write is a compare-and-set. What is deleted is deleted with all its versions: an old key is nobody's to read.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..deadline import Deadline
from ..run_lock import Owner, myself
from ..secret_ref import SecretError, resolve
from .api import ABSENT, Busy, Conflict, SecretStore, Stored, StoreError, document, parsed

TIMEOUT_S = 5.0
POLL_S = 0.2
#: How long (s) beyond its owner's own deadline a lock of another machine is still believed.
GRACE_S = 10.0


class VaultKv2(SecretStore):
    """``<mount>/<prefix>/<slot>``. Its token needs create, read, update and delete on data and metadata of these."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        mount: str = "secret",
        prefix: str = "hft-incident",
        namespace: str | None = None,
        ca_file: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        """``token`` is a reference, resolved when it is first used; ``timeout`` is of each request (s)."""
        self._url, self._token, self._mount, self._prefix = url, token, mount, prefix.strip("/")
        self._namespace, self._ca_file, self._timeout = namespace, ca_file, float(timeout)

    def read(self, slot: str) -> Stored | None:
        found, version = self._read(slot)
        return None if found is None else parsed(found, self._where(slot), str(version))

    def write(self, slot: str, stored: Stored, expected: str) -> str:
        return str(self._write(slot, document(stored), expected))

    def delete(self, slot: str) -> None:
        self._asked(slot, lambda kv: kv.delete_metadata_and_all_versions(self._path(slot), mount_point=self._mount))

    @contextlib.contextmanager
    def lock(self, slot: str, deadline: Deadline) -> Iterator[None]:
        """An entry beside the slot that names its owner. The owner's death on this machine is seen; on another one its
        lock is believed until the time that it gave itself."""
        name = f"{slot}.lock"
        while True:
            held, version = self._read(name)
            owner = _owner(held)
            if owner is None or not owner.is_alive or _over(held):
                mine = {**_texts(myself("")), "until": str(time.time() + deadline.remaining() + GRACE_S)}
                with contextlib.suppress(Conflict):  # somebody was faster: look who
                    self._write(name, mine, str(version) if held is not None else ABSENT)
                    break
            elif deadline.expired():
                raise Busy(f"the key in {slot} is being worked on by {owner}; try again when that has ended")
            time.sleep(min(POLL_S, deadline.remaining() + 0.01))
        try:
            yield
        finally:
            with contextlib.suppress(StoreError):  # it ends by itself
                self.delete(name)

    def _read(self, slot: str) -> tuple[dict[str, Any] | None, int]:
        """Its content and version. Deleted content (by hand, without its versions) is none, and still has a version."""
        reply = self._asked(
            slot,
            lambda kv: kv.read_secret_version(
                self._path(slot), mount_point=self._mount, raise_on_deleted_version=False
            ),
        )
        if reply is None:
            return None, 0
        try:
            content, version = reply["data"]["data"], reply["data"]["metadata"]["version"]
        except (KeyError, TypeError):
            raise StoreError(
                f"{self._where(slot)}: not a reply of KV version 2 (is mount {self._mount!r} one?)"
            ) from None
        return content, version

    def _write(self, slot: str, content: dict[str, str], expected: str) -> int:
        """Raises Conflict."""
        if expected == ABSENT:
            held, current = self._read(slot)
            if held is not None:
                raise Conflict(f"{self._where(slot)} was written by somebody else meanwhile")
        else:
            current = int(expected)
        reply = self._asked(
            slot,
            lambda kv: kv.create_or_update_secret(self._path(slot), content, cas=current, mount_point=self._mount),
        )
        try:
            version: int = reply["data"]["version"]
        except (KeyError, TypeError):
            raise StoreError(f"{self._where(slot)}: no reply that says it was written") from None
        return version

    def _asked(self, slot: str, ask: Callable[[Any], Any]) -> Any:
        """None where there is no such secret. Raises StoreError; what the server said is told without what was sent."""
        try:
            import hvac
            import requests
        except ImportError:
            raise StoreError("secret_store: vault_kv2 needs hvac: pip install 'hft-incident[vault]'") from None
        try:
            token = resolve(self._token, "secret_store: token")
        except SecretError as error:
            raise StoreError(str(error)) from None
        client = hvac.Client(
            url=self._url,
            token=token.reveal(),
            verify=self._ca_file or True,
            namespace=self._namespace,
            timeout=self._timeout,
            allow_redirects=False,
        )
        try:
            return ask(client.secrets.kv.v2)
        except hvac.exceptions.InvalidPath:
            return None
        except hvac.exceptions.InvalidRequest as error:
            if "check-and-set" in str(error):
                raise Conflict(f"{self._where(slot)} was changed by somebody else meanwhile") from None
            raise StoreError(f"{self._where(slot)}: the server refused the request") from None
        except hvac.exceptions.VaultError as error:
            raise StoreError(f"{self._where(slot)}: {type(error).__name__}") from None
        except (requests.RequestException, ValueError) as error:
            raise StoreError(f"{self._where(slot)}: no usable reply ({type(error).__name__})") from None
        finally:
            client.adapter.close()

    def _path(self, slot: str) -> str:
        return f"{self._prefix}/{slot}" if self._prefix else slot

    def _where(self, slot: str) -> str:
        return f"{self._mount}/{self._path(slot)} at {self._url}"


def _texts(owner: Owner) -> dict[str, str]:
    return {name: str(value) for name, value in owner._asdict().items()}


def _owner(found: dict[str, Any] | None) -> Owner | None:
    """Whom a lock names; None where there is no lock, or one that names nobody."""
    try:
        texts = {name: str((found or {})[name]) for name in Owner._fields}
        return Owner(**{**texts, "pid": int(texts["pid"]), "born": int(texts["born"])})  # type: ignore[arg-type]  # by name
    except (KeyError, ValueError, TypeError):
        return None


def _over(found: dict[str, Any] | None) -> bool:
    try:
        return float((found or {})["until"]) < time.time()
    except (KeyError, ValueError, TypeError):
        return True
