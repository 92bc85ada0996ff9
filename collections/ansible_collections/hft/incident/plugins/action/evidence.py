# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence into the incident's own folder on the control node; a remote host's is brought over and proven here."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import time
import uuid
from base64 import b64decode
from pathlib import Path
from typing import IO, Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hft.incident.plugins.module_utils import evidence_signature
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UnprovenError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.evidence_cipher import (
    SUFFIX,
    Sealer,
    recipients,
    room_in_memory,
    unnamed,
)
from ansible_collections.hft.incident.plugins.module_utils.evidence_manifest import (
    FACTS,
    MANIFEST,
    MANIFEST_LIMIT,
    create,
    digest_of,
    hash_of,
    listed,
    make_folder,
    sync,
    sync_folder,
    write,
)
from ansible_collections.hft.incident.plugins.module_utils.evidence_signature import require_key
from ansible_collections.hft.incident.plugins.module_utils.host_evidence import Asked, Seal
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import read_signers
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, evidence, run_step
from ansible_collections.hft.incident.plugins.plugin_utils.door import Door, refusal

Result = dict[str, Any]

#: What Ansible adds to a module's result, some of it in types of its own.
#: Where the manifest that the host made is kept, where this node made another.
FROM_HOST = "from-host"
ANSIBLES_OWN = ("invocation", "exception", "warnings", "deprecations")


class ActionModule(Door):
    step = evidence

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The step here, or its folder brought over from a remote host; either way what it says is of this node."""
        ActionBase.run(self, tmp, task_vars)
        variables = task_vars or {}
        try:
            said = {"host": variables.get("inventory_hostname"), **self._arguments(variables)}
            params = dict(self._checked(said))
            params["encrypt_to"] = list(recipients(params["encrypt_to"], self._loader.get_basedir()))
            params["signing_key"] = require_key(params["signing_key"]) if params["signing_key"] else None
        except UsageError as error:
            return refusal(error)
        case = _Case(os.environ.get(ENV_DIR), self._loader.get_basedir())
        params["dest"] = case.place(params["dest"])

        def step(given: Params, context: Context) -> Result:
            if self._connection.transport == "local":
                result = evidence.keep({**given, "clock_offset": 0.0}, context.check, case.recorded)
            else:
                result = self._brought(given, context, case, variables)
            return result if context.check or result.get("failed") else _signed(result, given)

        result = run_step(step, params, self._context(variables))
        return case.as_recorded(result, self._works_on(variables, self._connection.transport != "local"))

    def _brought(self, params: Params, context: Context, case: _Case, task_vars: dict[str, Any]) -> Result:
        """Raises IncidentError."""
        asked, _limits, _tools, place = evidence.given(params)
        before = evidence.finished(place, asked, case.recorded)
        if before:
            return evidence.described(before, place, case.recorded, changed=False)
        there = os.path.join(params["host_dest"], f"hft-evidence-{uuid.uuid4().hex}")
        # Who signs, and who may read it, is this node's business.
        args = {**params, "dest": there, "signing_key": None, "allowed_signers": None, "encrypt_to": []}
        if args["clock_offset"] is None and not context.check:
            args["clock_offset"] = self._clock_offset()
        said = self._execute_module(module_args=args, task_vars=task_vars)
        result: Result = {name: value for name, value in said.items() if name not in ANSIBLES_OWN}
        if result.get("failed"):
            if "outcome" in result:  # the step's own word that nothing was kept
                self._removed(there)
            return result
        if context.check:
            return {**result, "folder": place, "msg": f"would keep {len(result['items'])} items in {place}"}
        source, folder = result["folder"], evidence.fresh_folder(place)
        try:
            fetch = _Fetch(self, source, task_vars, readable=self._readable(there))
            if asked.encrypt_to:
                manifest = fetch.sealed(folder, result["manifest_sha256"], asked)
            else:
                fetch.plain(folder)
                manifest = result["manifest_sha256"]
            kept = evidence.proven(folder, manifest)
        except (UnprovenError, AnsibleError, OSError, ValueError) as error:
            host = params["host"]
            raise UnprovenError(f"the evidence of {host} is still on it, in {source}: {_line(error)}") from None
        told = evidence.described(kept, place, case.recorded, changed=True)
        if not self._removed(there):
            told["msg"] += f"; the host's own copy is still in {there}"
        return told

    def _clock_offset(self) -> float | None:
        """How far ahead of ours the host's clock is (s): ours is taken half-way through the question."""
        before = time.time()
        said = self._low_level_execute_command("date -u +%s.%N", sudoable=False)["stdout"].strip()
        try:
            return round(float(said) - (before + time.time()) / 2, 3)
        except ValueError:
            return None

    def _removed(self, there: str) -> bool:
        return not self._low_level_execute_command(self._connection._shell.remove(there, recurse=True))["rc"]

    def _readable(self, there: str) -> bool:
        """Whether the connection's own user may fetch it. Root's copy is given to that user (it is in a folder that
        only root could enter so far); what another user made stays that user's."""
        if not self._connection.become:
            return True
        uid = self._low_level_execute_command("id -u", sudoable=False)["stdout"].strip()
        return uid.isdigit() and not self._low_level_execute_command(f"chown -R {uid} {shlex.quote(there)}")["rc"]


class _Fetch:
    """Brings a closed folder of evidence over from its host.

    The manifest says what there is; its names are checked, since the host may be in somebody else's hands.
    """

    def __init__(self, action: ActionModule, source: str, task_vars: dict[str, Any], *, readable: bool) -> None:
        self._action = action
        self._source = source
        self._task_vars = task_vars
        self._readable = readable

    def plain(self, folder: str) -> None:
        """As it is there. Raises AnsibleError, OSError, ValueError."""
        self._file(MANIFEST, folder)
        names = _names(Path(folder, MANIFEST).read_bytes())
        for name in names:
            self._file(name, folder)
        sync_folder(folder)

    def sealed(self, folder: str, manifest_sha256: str, asked: Asked) -> str:
        """With what is restricted encrypted: it comes through memory and is never written down in the clear. The host's
        own manifest is kept, and a new one closes the folder; its hash. Raises as ``plain``, and IncidentError."""
        manifest, told = self._bytes(MANIFEST), self._bytes(FACTS)
        names = _names(manifest)
        if (_sha256(manifest), _sha256(told)) != (manifest_sha256, names[FACTS]):
            raise ValueError("its manifest is not the one that was written")
        facts = json.loads(told)
        rows = {row["name"]: row for row in facts["items"]}
        hashes: dict[str, str] = {}
        seal = Sealer(asked.encrypt_to).seal
        for name, sha256 in names.items():
            row = rows.get(name)
            if name == FACTS:
                continue
            if row is None or not row.get("restricted"):
                hashes[name] = self._file(name, folder)
                if hashes[name] != sha256:
                    raise ValueError(f"{name}: is not what was put there")
                continue
            row |= self._encrypted(name, sha256, row["size"], folder, seal)
            hashes[row["name"]] = row["sha256"]
        for name, data in ((MANIFEST, manifest), (FACTS, told)):
            hashes[f"{FROM_HOST}/{name}.txt"] = _written(os.path.join(folder, FROM_HOST, f"{name}.txt"), data)
        told_here = {"asked": evidence.plain(asked), "encrypted_to": list(asked.encrypt_to)}
        return write(folder, {**facts, **told_here}, hashes)

    def _encrypted(self, name: str, sha256: str, size: int, folder: str, seal: Seal) -> dict[str, Any]:
        """One item; what the manifest should know of it now."""
        if size > room_in_memory():
            raise ValueError(f"{name}: is {size} bytes long, too many to encrypt them in memory; fetch it by hand")
        with self._in_memory(name) as plain:
            if digest_of(plain) != (sha256, size):
                raise ValueError(f"{name}: is not what was put there")
            plain.seek(0)
            path = os.path.join(folder, name + SUFFIX)
            make_folder(os.path.dirname(path))
            with create(path) as file:
                seal(plain, file)
                sync(file)
        stored, length = hash_of(path)
        return {"name": name + SUFFIX, "sha256": stored, "size": length, "plain": {"sha256": sha256, "size": size}}

    def _bytes(self, name: str) -> bytes:
        with self._in_memory(name) as file:
            return file.read(MANIFEST_LIMIT)

    def _in_memory(self, name: str) -> IO[bytes]:
        """In a file without a name, which no disk ever sees and which is gone with this process."""
        file = unnamed()
        if not (self._readable and self._fetched_into(file, name)):
            file.truncate(0)
            file.write(self._slurped(name))
        file.seek(0)
        return file

    def _fetched_into(self, file: IO[bytes], name: str) -> bool:
        """False where this kind of connection cannot write to what has no name."""
        try:
            self._action._connection.fetch_file(f"{self._source}/{name}", f"/proc/{os.getpid()}/fd/{file.fileno()}")
        except (AnsibleError, OSError):
            return False
        return True

    def _file(self, name: str, folder: str) -> str:
        """One file as it is, private from the first byte on; its hash."""
        here = os.path.join(folder, name)
        make_folder(os.path.dirname(here))
        if not self._readable:
            return _written(here, self._slurped(name))
        create(here).close()
        self._action._connection.fetch_file(f"{self._source}/{name}", here)
        with open(here, "rb") as file:
            os.fsync(file.fileno())
        return hash_of(here)[0]

    def _slurped(self, name: str) -> bytes:
        """As the user that made it, and through memory: slow for what is large, but there is no other way."""
        args = {"src": f"{self._source}/{name}"}
        data = self._action._execute_module(
            module_name="ansible.legacy.slurp", module_args=args, task_vars=self._task_vars
        )
        if data.get("failed"):
            raise OSError(0, str(data.get("msg")))
        return b64decode(data["content"])


def _names(manifest: bytes) -> dict[str, str]:
    names = listed(manifest)
    if FACTS not in names:
        raise ValueError(f"its manifest does not know {FACTS}")
    return names


def _written(path: str, data: bytes) -> str:
    make_folder(os.path.dirname(path))
    with create(path) as file:
        file.write(data)
        sync(file)
    return _sha256(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _signed(result: Result, params: Params) -> Result:
    """What was kept, signed. That it could not be is said loudly and loses nothing: what is kept is kept."""
    if not params["signing_key"]:
        return result
    told: dict[str, Any] = {"signed_by": None, "allowed_signers": None}
    try:
        told["signed_by"] = evidence_signature.sign(result["folder"], params["signing_key"])
        if params["allowed_signers"]:
            path = os.path.abspath(params["allowed_signers"])
            stranger = evidence_signature.fault(result["folder"], told["signed_by"], read_signers(path))
            told["allowed_signers"] = None if stranger else path
            result["msg"] += f"; {stranger}" if stranger else ""
    except IncidentError as error:
        result["msg"] += f"; NOT SIGNED: {error}" if not told["signed_by"] else f"; {error}"
    for line in result["record"]:
        line["data"].update(told)
    return {**result, "signed_by": told["signed_by"]}


class _Case:
    """The open incident, if there is one: where its evidence lies and what its journal knows of it."""

    def __init__(self, folder: str | None, base: str) -> None:
        self._incident = Incident(Path(folder).name, Path(folder)) if folder else None
        self._base = base

    def place(self, dest: str | None) -> str | None:
        """A relative ``dest`` is meant from the playbook's folder, as everywhere in Ansible."""
        if dest:
            return os.path.join(self._base, dest)
        return str(self._incident.directory / "evidence") if self._incident else None

    @property
    def recorded(self) -> dict[str, str]:
        """The hash of each manifest by its folder, as the journal had it first."""
        found: dict[str, str] = {}
        for event in self._incident.journal.events() if self._incident else ():
            if event.kind == "evidence.kept":
                folder = os.path.join(self._directory, str(event.data.get("folder")))
                found.setdefault(folder, str(event.data.get("manifest_sha256")))
        return found

    def as_recorded(self, result: Result, inventory_host: str) -> Result:
        """The journal names a folder relative to itself, so that an incident's folder can be moved as a whole; what it
        has already is not recorded twice."""
        for line in result.get("record", ()):
            line["data"]["folder"] = self._relative(line["data"]["folder"])
            # `host` is the folder's name, which a task may choose; this is whose evidence it is.
            line["data"]["inventory_host"] = inventory_host
        if self._incident and result.get("record"):
            on_record = [event.data for event in self._incident.journal.events() if event.kind == "evidence.kept"]
            result["record"] = [line for line in result["record"] if line["data"] not in on_record]
        return result

    def _relative(self, folder: str) -> str:
        inside = self._directory and Path(folder).is_relative_to(self._directory)
        return os.path.relpath(folder, self._directory) if inside else folder

    @property
    def _directory(self) -> str:
        return str(self._incident.directory) if self._incident else ""


def _line(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())
