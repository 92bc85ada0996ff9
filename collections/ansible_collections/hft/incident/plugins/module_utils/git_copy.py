# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A git repository that an intruder may control, compared with the approved commit without trusting anything in it.

Source: seed-faults A6 (a repository names programs that git runs; a diff shows neither what is untracked nor what was
committed). Git only ever sees a repository of ours, with our configuration, which borrows the copied objects; it does
nothing but to unpack them, as a user who may do nothing. Every object is hashed again here: one that was forged under
the name of an approved one is found. Files are compared by their hashes, so no filter and no text conversion is wanted.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .deadline import Deadline
from .log_lines import iso
from .private_copy import CHUNK, PrivateCopy

GIT = "git"
DEPTH, ENTRIES = 64, 50_000
OBJECTS_LIMIT = 64 * 1024 * 1024
SUBMODULE, LINK = 0o160000, 0o120000
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFLOG = re.compile(r"([0-9a-f]{40,64}) ([0-9a-f]{40,64}) (.*?) (\d{1,12}) [+-]\d{4}\t?(.*)")
_QUIET = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_ALLOW_PROTOCOL": "",
}


class BadRepository(Exception):
    """What was asked cannot be said of it; says why."""


class Blob(NamedTuple):
    """A file of a tree: its mode as git has it, and the hash of its content."""

    mode: int
    id: str


class Move(NamedTuple):
    """A line of the reflog."""

    before: str
    after: str
    who: str
    at: float
    what: str

    @property
    def words(self) -> str:
        return f"{iso(self.at)} {self.before[:12]} -> {self.after[:12]} by {self.who}: {self.what}"


Tree = Mapping[bytes, Blob]


class GitCopy:
    """``theirs`` is the copied ``.git``, ``work`` the copied files beside it, ``ours`` what git is shown."""

    def __init__(self, copy: PrivateCopy, algorithm: str, deadline: Deadline) -> None:
        """Raises BadRepository where there is no git to unpack with."""
        self._copy, self._algorithm, self._deadline = copy, algorithm, deadline
        self.theirs, self.work, self.ours = (copy.path(name) for name in ("theirs", "work", "ours.git"))
        self._git("init", "--quiet", "--bare", "--template=", f"--object-format={algorithm}", self.ours)
        objects = os.path.join(self.ours, "objects")
        shutil.rmtree(objects)
        os.rename(os.path.join(self.theirs, "objects"), objects)
        # Alternates lead out of the copy; graphs and indexes of many packs only say again what the objects say.
        shutil.rmtree(os.path.join(objects, "info"), ignore_errors=True)

    # Objects --------------------------------------------------------------------------------------------------------

    def commit_of(self, name: str) -> str:
        """The commit that this object is or, where it is a tag, that it names."""
        for _turn in range(5):
            kind, data = self._objects([name])[name]
            if kind == "commit":
                return name
            found = re.match(rb"object ([0-9a-f]+)\ntype \w+\n", data) if kind == "tag" else None
            if not found:
                break
            name = found[1].decode()
        raise BadRepository(f"{name} is no commit")

    def files_of(self, commit: str) -> dict[bytes, Blob]:
        """All files of a commit, by path."""
        _kind, data = self._objects([commit])[commit]
        found = re.match(rb"tree ([0-9a-f]+)\n", data)
        if not found:
            raise BadRepository(f"{commit} is no commit")
        files: dict[bytes, Blob] = {}
        level: dict[bytes, str] = {b"": found[1].decode()}
        for _level in range(DEPTH):
            if not level:
                return files
            trees = self._objects(set(level.values()))
            below: dict[bytes, str] = {}
            for path, tree in level.items():
                kind, data = trees[tree]
                if kind != "tree":
                    raise BadRepository(f"{tree} is no tree")
                for name, blob in _entries(data, hashlib.new(self._algorithm).digest_size):
                    whole = path + name
                    if stat.S_ISDIR(blob.mode):
                        below[whole + b"/"] = blob.id
                    else:
                        files[whole] = blob
                if len(files) + len(below) > ENTRIES:
                    raise BadRepository(f"more than {ENTRIES} files")
            level = below
        raise BadRepository(f"folders in more than {DEPTH} folders")

    def commits_between(self, approved: str, head: str) -> list[str]:
        """What is in ``head`` and not in ``approved``, a line each: id, time, author, subject."""
        shown = self._git(
            "log", "--max-count=100", "--no-show-signature", "--no-color", "--no-decorate", "--no-notes",
            "--no-mailmap", "--no-ext-diff", "--no-textconv", "--format=%H %cI %an <%ae>: %s",
            head, f"^{approved}", "--",
        )  # fmt: skip
        return [row for row in shown.decode("utf-8", "replace").split("\n") if row]

    def _objects(self, names: Iterable[str]) -> dict[str, tuple[str, bytes]]:
        """Kind and content; each is what its name says it is."""
        wanted = sorted(set(names))
        out = self._git("cat-file", "--batch", stdin="".join(f"{name}\n" for name in wanted).encode())
        found, place = {}, 0
        for name in wanted:
            end = out.find(b"\n", place)
            words = out[place:end].decode("ascii", "replace").split() if end >= 0 else []
            if len(words) == 2 and words[1] == "missing":
                raise BadRepository(f"the object {name} is not in the repository")
            if len(words) != 3 or not words[2].isdigit():
                raise BadRepository(f"the object {name} cannot be read")
            data = out[end + 1 : end + 1 + int(words[2])]
            place = end + 1 + int(words[2]) + 1
            header = f"{words[1]} {len(data)}\0".encode()
            if self._hash(header, data) != name:
                raise BadRepository(f"the object {name} was forged: its content has another hash")
            found[name] = (words[1], data)
        return found

    def _hash(self, header: bytes, data: bytes) -> str:
        return hashlib.new(self._algorithm, header + data, usedforsecurity=False).hexdigest()

    # The files beside it ----------------------------------------------------------------------------------------------

    def work_files(self) -> dict[bytes, Blob]:
        """What lies there now, by path."""
        files: dict[bytes, Blob] = {}
        root = os.fsencode(self.work)
        for folder, _folders, names in os.walk(root):
            links = [name for name in _folders if os.path.islink(os.path.join(folder, name))]
            for name in [*names, *links]:
                if self._deadline.expired():
                    raise TimeoutError("there was no time to compare all files")
                path = os.path.join(folder, name)
                files[os.path.relpath(path, root)] = self._blob(path)
        return files

    def _blob(self, path: bytes) -> Blob:
        seen = os.lstat(path)
        if stat.S_ISLNK(seen.st_mode):
            target = os.readlink(path)
            return Blob(LINK, self._hash(f"blob {len(target)}\0".encode(), target))
        digest = hashlib.new(self._algorithm, f"blob {seen.st_size}\0".encode(), usedforsecurity=False)
        with open(path, "rb") as file:
            while part := file.read(CHUNK):
                digest.update(part)
        return Blob(0o100755 if seen.st_mode & stat.S_IXUSR else 0o100644, digest.hexdigest())

    def ignored(self, paths: Iterable[bytes]) -> set[bytes]:
        """Those that the repository's own rules hide from ``git status``. Its rules are lines of text."""
        asked = b"".join(path + b"\0" for path in paths)
        if not asked:
            return set()
        exclude = os.path.join(self.theirs, "info", "exclude")
        more = ["-c", f"core.excludesFile={exclude}"] if os.path.isfile(exclude) else []
        out = self._git(
            *more, f"--work-tree={self.work}", "check-ignore", "--no-index", "-z", "--stdin", stdin=asked, fine=(0, 1)
        )
        return set(out.split(b"\0")) - {b""}

    # What the repository says of itself -------------------------------------------------------------------------------

    def head(self) -> str:
        """The commit that it stands on."""
        text = self._text("HEAD", 4096).strip()
        for _turn in range(5):
            if _ID.fullmatch(text):
                return text
            name = text[5:].strip() if text.startswith("ref: ") else ""
            if not re.fullmatch(r"refs/[^\0\n]+", name) or ".." in name:
                break
            text = self._text(name, 4096).strip() or self._packed(name)
        raise BadRepository("HEAD names no commit")

    def moves(self) -> list[Move]:
        """The reflog of HEAD, the oldest first."""
        found = (_REFLOG.fullmatch(row) for row in self._text("logs/HEAD", 4 * 1024 * 1024).split("\n"))
        return [Move(row[1], row[2], row[3], float(row[4]), row[5]) for row in found if row]

    def settings(self, path: str) -> list[tuple[str, str]]:
        """What a configuration file says, without what it includes; git reads it as data and does nothing with it."""
        out = self._git("config", "--file", path, "--no-includes", "--list", "-z")
        pairs = (row.decode("utf-8", "replace").partition("\n") for row in out.split(b"\0") if row)
        return [(key, value) for key, _newline, value in pairs]

    def config_files(self) -> list[str]:
        """Every file of configuration below the copied ``.git``: its own, of its worktrees, of its submodules."""
        return [
            os.path.join(folder, name)
            for folder, _folders, names in os.walk(self.theirs)
            for name in names
            if name in ("config", "config.worktree") and not os.path.islink(os.path.join(folder, name))
        ]

    def _packed(self, name: str) -> str:
        for row in self._text("packed-refs", 16 * 1024 * 1024).split("\n"):
            commit, _space, ref = row.partition(" ")
            if ref.strip() == name:
                return commit
        return ""

    def _text(self, name: str, most: int) -> str:
        path = os.path.join(self.theirs, name)
        try:
            if os.path.realpath(path) != os.path.join(os.path.realpath(self.theirs), os.path.normpath(name)):
                return ""  # through a link of theirs
            with open(path, "rb") as file:
                return file.read(most).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""

    def _git(self, *words: str, stdin: bytes | None = None, fine: tuple[int, ...] = (0,)) -> bytes:
        out = io.BytesIO()
        where = [] if words[0] in ("init", "config") else [f"--git-dir={self.ours}"]
        ran = self._copy.run(
            [GIT, *_DISABLED, *where, *words],
            timeout=max(0.1, self._deadline.remaining()),
            env=_QUIET,
            stdin=stdin,
            into=out,
            limit=OBJECTS_LIMIT,
        )
        if ran.problem or ran.truncated or ran.rc not in fine:
            raise BadRepository(f"git cannot say: {ran.complaint if not ran.truncated else 'it says too much'}")
        return out.getvalue()


#: The repository that git is shown is ours and says none of this; said all the same.
_SETTINGS = (
    *("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.pager=cat"),
    *("diff.external=", "protocol.allow=never", "log.mailmap=false", "log.showSignature=false"),
)
_DISABLED = tuple(word for setting in _SETTINGS for word in ("-c", setting))


def _entries(data: bytes, width: int) -> Iterator[tuple[bytes, Blob]]:
    """Of a tree; raises BadRepository."""
    place = 0
    while place < len(data):
        head = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0").match(data, place)
        if not head or len(data) < head.end() + width:
            raise BadRepository("a tree cannot be read")
        place = head.end() + width
        yield head[2], Blob(int(head[1], 8), data[head.end() : place].hex())
