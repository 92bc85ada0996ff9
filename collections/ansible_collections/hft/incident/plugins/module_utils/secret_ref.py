# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""References to secrets: ``env:NAME``, ``file:PATH``, ``cmd:COMMAND``.

Only the reference travels; it is resolved where it is used.

Source: contracts.md, "The venues file". No message in this file ever carries a value.
"""

from __future__ import annotations

import os
import stat

SCHEMES = ("env", "file", "cmd")
COMMAND_TIMEOUT_S = 5.0
MAX_FILE_BYTES = 64 * 1024


class SecretError(Exception):
    """A reference cannot be resolved: names the field and the mend, never the value."""


class Secret:
    """A resolved secret that does not print itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"


def is_reference(text: str) -> bool:
    scheme, separator, rest = text.partition(":")
    return bool(separator) and scheme in SCHEMES and bool(rest)


def resolve(reference: str, field: str) -> Secret:
    """The secret behind ``reference``; raises SecretError naming ``field``. Surrounding white space is dropped."""
    if not is_reference(reference):
        raise SecretError(f"{field}: not a reference (env:NAME, file:PATH or cmd:COMMAND)")
    scheme, _colon, rest = reference.partition(":")
    value = {"env": _from_environment, "file": _from_file, "cmd": _from_command}[scheme](rest, field).strip()
    if not value:
        raise SecretError(f"{field}: {reference if scheme != 'cmd' else 'the command'} is empty")
    return Secret(value)


def _from_environment(name: str, field: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise SecretError(f"{field}: environment variable {name} is not set")
    return value


def _from_file(path: str, field: str) -> str:
    try:
        # Non-blocking, so that a pipe in its place cannot hold the kill up.
        descriptor = os.open(os.path.expanduser(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SecretError(f"{field}: cannot read {path}: {(error.strerror or 'error').lower()}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{field}: {path} is not a regular file")
        if status.st_mode & stat.S_IRWXO:
            raise SecretError(f"{field}: {path} can be read by others; chmod o-rwx it")
        return os.read(descriptor, MAX_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        raise SecretError(f"{field}: {path} is not readable text") from None
    finally:
        os.close(descriptor)


def _from_command(command: str, field: str) -> str:
    # Imported here: most set-ups do not need it, and the red button pays for every import.
    import shlex
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603  # the operator's own command from the operator's own file
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SecretError(f"{field}: the command gave nothing within {COMMAND_TIMEOUT_S:g} s") from None
    except (OSError, ValueError):
        raise SecretError(f"{field}: the command cannot be started") from None
    if done.returncode != 0:
        raise SecretError(f"{field}: the command failed with exit code {done.returncode}")
    return done.stdout.decode(errors="replace")
