# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an isolation leaves on its host besides the table: what was applied, and a revert that waits unless disarmed.

Whether a revert is armed is the name of a file, and nothing else: who would revert renames it first, who disarms
removes it, and only one of them can. So a revert that was disarmed never fires, and one that fires is always noticed,
whoever is killed in between. Under /run, as the table: a reboot takes both.

Source: seed-faults A1 ("Schedule an automatic revert before applying"); systemd-run(1).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .deadline import Deadline
from .errors import UnprovenError, UsageError
from .host_command import located, run
from .isolation_rules import Kept, Network, responders
from .redaction import iso_utc

FOLDER = Path("/run/hft-incident")
#: There where systemd is the host's init.
SYSTEMD = Path("/run/systemd/system")
#: How long (s) to wait for another responder at work, and for a revert to say that it is armed.
LOCK_S, ARM_S = 30.0, 10.0


class Applied(NamedTuple):
    """What is in force. ``listing``: as the kernel had it right after; ``revert``: the name of the one that was armed
    for it; ``confirmed``: proven, so none is armed any more."""

    digest: str
    listing: str
    responders: tuple[Network, ...]
    ssh_ports: tuple[int, ...]
    revert: str
    confirmed: bool
    reverts_at: str

    @property
    def kept(self) -> Kept:
        return Kept(self.responders, self.ssh_ports)


class Isolation:
    """Of one table."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._state = self._path("json")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One responder at a time; the kernel frees the lock of one that dies. Raises UnprovenError."""
        deadline = Deadline(LOCK_S)
        try:
            FOLDER.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(self._path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(f"{FOLDER} cannot be used: {error.strerror}; only root may (`become: true`)") from error
        try:
            while not _lock(fd):
                if deadline.expired():
                    raise UnprovenError(f"another responder has worked on table {self._table} for {LOCK_S:g} s")
                time.sleep(0.05)
            yield
        finally:
            os.close(fd)

    # What was applied

    @property
    def applied(self) -> Applied | None:
        """None where nothing was, and where what is written there is not ours."""
        try:
            said = json.loads(self._state.read_text(encoding="utf-8"))
            return Applied(
                str(said["digest"]),
                str(said["listing"]),
                responders(said["responders"]),
                tuple(int(port) for port in said["ssh_ports"]),
                str(said["revert"]),
                said["confirmed"] is True,
                str(said["reverts_at"]),
            )
        except (OSError, ValueError, TypeError, KeyError, UsageError):
            return None

    def note(self, applied: Applied) -> None:
        said: dict[str, Any] = {**applied._asdict(), "responders": [str(one) for one in applied.responders]}
        temporary = self._path("new")
        temporary.write_text(json.dumps(said), encoding="utf-8")
        os.replace(temporary, self._state)

    def forget(self) -> None:
        """It is open again."""
        self.disarm()
        for path in (self._state, *self._files("reverted")):
            path.unlink(missing_ok=True)

    # The revert

    def arm(self, after: int, kill_command: str, deadline: Deadline) -> tuple[str, str]:
        """Have the table deleted in ``after`` seconds, its connections first; the revert's name and when (UTC).

        Proven armed when this returns; those that were armed before still are. Raises UnprovenError.
        """
        name = uuid.uuid4().hex[:12]
        armed, reverted = self._path(f"armed-{name}"), self._path(f"reverted-{name}")
        at = iso_utc(datetime.now(timezone.utc) + timedelta(seconds=after))
        steps = _steps(self._table, armed, reverted, kill_command)
        armed.write_text(at, encoding="utf-8")
        try:
            if SYSTEMD.is_dir():
                _arm_systemd(_unit(name), after, steps, deadline)
            else:
                _arm_process(armed, after, steps)
        except UnprovenError:
            armed.unlink(missing_ok=True)
            raise
        return name, at

    def disarm(self, but: str = "") -> list[str]:
        """All of them, or all but one; the names of those that will not revert any more. One that is not among them has
        begun to, or never was armed."""
        disarmed = []
        for path in self._files("armed"):
            name = path.name.rpartition("-")[2]
            if name == but:
                continue
            with contextlib.suppress(FileNotFoundError):  # it has just disarmed itself
                path.unlink()
                disarmed.append(name)
            if SYSTEMD.is_dir():  # a courtesy: it would find nothing to do
                run([located("systemctl"), "stop", f"{_unit(name)}.timer"], timeout=ARM_S)
        return disarmed

    @property
    def armed(self) -> bool:
        return bool(self._files("armed"))

    @property
    def known(self) -> bool:
        """Whether anything of it is left here."""
        return self._state.exists() or self.armed or bool(self.reverted_at)

    @property
    def reverted_at(self) -> str:
        """When one of them fired last (UTC); "" where none did."""
        times = [path.stat().st_mtime for path in self._files("reverted")]
        return iso_utc(datetime.fromtimestamp(max(times), timezone.utc)) if times else ""

    def acknowledge(self) -> None:
        """That it reverted has been told."""
        for path in self._files("reverted"):
            path.unlink(missing_ok=True)

    def _path(self, suffix: str) -> Path:
        return FOLDER / f"isolation-{self._table}.{suffix}"

    def _files(self, kind: str) -> list[Path]:
        return sorted(FOLDER.glob(f"isolation-{self._table}.{kind}-*"))


def _steps(table: str, armed: Path, reverted: Path, kill_command: str) -> list[str]:
    """For a shell, and for systemd, which would expand a dollar or a percent sign: there is none."""
    delete = f"{shlex.quote(located('nft'))} delete table inet {table}"
    return [
        f"mv {shlex.quote(str(armed))} {shlex.quote(str(reverted))} || exit 0",
        # Also where it fails: a way in for the responders comes first.
        f"timeout 10 {kill_command}",
        f"{delete} || {{ sleep 1; {delete}; }}",
        f"touch {shlex.quote(str(reverted))}",
    ]


def _arm_systemd(unit: str, after: int, steps: Sequence[str], deadline: Deadline) -> None:
    within = max(0.1, min(ARM_S, deadline.remaining()))
    timer = [f"--on-active={after}s", "--timer-property=AccuracySec=1s"]
    ran = run(
        [located("systemd-run"), "--quiet", "--collect", f"--unit={unit}", *timer, "/bin/sh", "-c", "; ".join(steps)],
        timeout=within,
    )
    if ran.ok:
        ran = run([located("systemctl"), "is-active", f"{unit}.timer"], timeout=within)
    if not ran.ok:
        raise UnprovenError(f"the automatic revert could not be armed, so nothing was applied: {ran.complaint}")


def _arm_process(armed: Path, after: int, steps: Sequence[str]) -> None:
    """A shell in a session of its own: it outlives this process and the connection that brought it. It looks once a
    second whether it is still wanted, so that none is left of those that are not."""
    waiting = (
        f"echo armed; exec >/dev/null; i=0; while [ $i -lt {after} ]; do [ -e {shlex.quote(str(armed))} ] || exit 0; "
        "sleep 1; i=$((i+1)); done; "
    )
    # Neither waited for nor ended by us: it must outlive us.
    process = subprocess.Popen(  # noqa: S603  # our own script
        ["/bin/sh", "-c", waiting + "; ".join(steps)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    with process.stdout or contextlib.nullcontext() as said:  # its own first word, or none where it has ended
        word = said.readline() if said else b""
    if word != b"armed\n" or process.poll() is not None:
        raise UnprovenError("the automatic revert could not be armed, so nothing was applied: it ended at once")
    process.returncode = 0  # so that nobody warns that it still runs, which is the point of it


def _unit(name: str) -> str:
    return f"hft-isolation-revert-{name}"


def _lock(fd: int) -> bool:
    with contextlib.suppress(BlockingIOError):  # somebody else has it
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
