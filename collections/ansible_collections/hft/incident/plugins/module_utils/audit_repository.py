# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The repository of a host's configuration against the approved commit: what was changed in it, in each of the ways in
which one can, and what was planted in it to be run by git.

Source: seed-faults A6.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from .audit_findings import ALARMING, INFO, SUSPICIOUS, Findings
from .deadline import Deadline
from .git_copy import LINK, SUBMODULE, BadRepository, Blob, GitCopy, Move, Tree
from .private_copy import PrivateCopy, private_copy

CHECK = "repository"

# Settings -------------------------------------------------------------------------------------------------------------

#: Settings that say nothing but how the repository is stored and whose work it is.
_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|autocrlf|eol"
    r"|safecrlf|abbrev|compression|sharedrepository|untrackedcache)"
    r"|extensions\.(objectformat|worktreeconfig|partialclone)"
    r"|remote\..+\.(fetch|tagopt|prune|mirror|promisor|partialclonefilter)|branch\..+\.(remote|merge|rebase)"
    r"|user\.(name|email|signingkey)|init\.defaultbranch|pull\.(rebase|ff)|push\.default|fetch\.prune|gc\..+|pack\..+"
    r"|index\..+|feature\..+|color\..+|advice\..+|commit\.gpgsign|tag\.gpgsign|submodule\..+\.(active|branch)"
    r"|lfs\.repositoryformatversion"
)
#: Settings whose value git runs, or reads more settings from, or loads.
_RUNS = re.compile(
    r"core\.(fsmonitor|hookspath|pager|editor|sshcommand|askpass|gitproxy|alternaterefscommand|worktree|attributesfile"
    r"|excludesfile)"
    r"|diff\.external|diff\..+\.(command|textconv)|merge\..+\.driver|filter\..+\.(clean|smudge|process)"
    r"|(diff|merge)tool\..+\.(cmd|path)|guitool\..+\.cmd|man\..+\.(cmd|path)|browser\..+\.(cmd|path)"
    r"|gpg\.(.+\.)?program|gpg\.ssh\.defaultkeycommand|credential\.(.+\.)?helper|include\.path|includeif\..+\.path"
    r"|pager\..+|sequence\.editor|interactive\.difffilter|add\.interactive\.usebuiltin|uploadpack\.packobjectshook"
    r"|remote\..+\.(uploadpack|receivepack|vcs)|receive\.procreceiverefs|sendemail\..+|web\.browser|instaweb\..+"
    r"|http\.(.+\.)?(cookiefile|sslcert|sslkey|proxy)|trailer\..+\.(command|cmd)|submodule\..+\.update|ssh\.variant"
    r"|imap\.tunnel|log\.showsignature|blame\.ignorerevsfile|bisect\..+|hook\..+\.command|init\.templatedir"
)
_SWITCHED_OFF = ("", "false", "no", "off", "0")


def planted(key: str, value: str) -> str | None:
    """How bad a setting is that stands in the repository itself; None where it says nothing of interest."""
    key = key.lower() if key.count(".") < 2 else _lowered(key)
    if key.startswith("alias."):
        return ALARMING if value.lstrip().startswith("!") else SUSPICIOUS
    if re.fullmatch(r"remote\..+\.(url|pushurl)", key):
        return ALARMING if re.match(r"ext::|-", value.strip()) else INFO if key.endswith(".url") else SUSPICIOUS
    if _RUNS.fullmatch(key):
        off = key == "core.fsmonitor" and value.strip().lower() in _SWITCHED_OFF
        return None if off else ALARMING
    return None if _HARMLESS.fullmatch(key) else SUSPICIOUS


def _lowered(key: str) -> str:
    """Section and name of a setting have no case, what stands between them has."""
    section, _dot, rest = key.partition(".")
    between, _dot, name = rest.rpartition(".")
    return f"{section.lower()}.{between}.{name.lower()}"


# Files ----------------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """``how``: changed, deleted or added; ``way``: committed (it is so in HEAD), uncommitted, untracked or ignored."""

    path: bytes
    how: str
    way: str
    approved: Blob | None
    found: Blob | None


def differences(approved: Tree, head: Tree | None, found: Tree, ignored: frozenset[bytes]) -> list[Difference]:
    """Between the approved commit and what lies there. ``head`` is None where it is not known. Pure."""
    told = []
    for path in sorted(approved.keys() | found.keys()):
        was, now = approved.get(path), found.get(path)
        if was == now or (was is not None and was.mode == SUBMODULE):
            continue
        how = "added" if was is None else "deleted" if now is None else "changed"
        if head is not None and head.get(path) == now and head.get(path) != was:
            way = "committed"
        elif now is not None and path not in approved and (head is None or path not in head):
            way = "ignored" if path in ignored else "untracked"
        else:
            way = "uncommitted"
        told.append(Difference(path, how, way, was, now))
    return told


# The check ------------------------------------------------------------------------------------------------------------


def audit(repository: str, commit: str, since: float, deadline: Deadline, found: Findings) -> None:
    """Copies it, looks at the copy unprivileged, and leaves nothing. Raises OSError where it cannot be read."""
    with private_copy() as copy:
        dot_git = os.path.join(repository, ".git")
        try:
            if not os.path.isdir(dot_git) or os.path.islink(dot_git):
                raise BadRepository(f"{repository} has no folder .git of its own")
            copy.take(dot_git, "theirs", deadline)
            copy.take(repository, "work", deadline, without=".git")
            _hooks(copy, found)
            _attributes(copy, found)
            for nested in copy.left_out:
                if nested != dot_git:
                    what = f"{nested} is a repository in the repository"
                    found.add("nested_repository", SUSPICIOUS, what, path=nested)
            git = GitCopy(copy, "sha256" if len(commit) == 64 else "sha1", deadline)
            _settings(git, found, dot_git)
            _compare(git, commit, repository, found)
            _reflog(git, commit, since, found)
        except BadRepository as error:
            found.unknown(CHECK, f"{repository}: {error}")
        for why in copy.incomplete:
            found.unknown(CHECK, why)


def _compare(git: GitCopy, commit: str, repository: str, found: Findings) -> None:
    try:
        approved_commit = git.commit_of(commit)
        approved = git.files_of(approved_commit)
    except BadRepository as error:
        severity = ALARMING if "forged" in str(error) else SUSPICIOUS
        found.add("approved_commit", severity, f"the approved commit is not to be had here: {error}")
        found.unknown(CHECK, f"{repository} could not be compared with {commit}: {error}")
        return
    head = _head(git, approved_commit, found)
    now = git.work_files()
    extra = [path for path in now if path not in approved]
    for difference in differences(approved, head, now, frozenset(git.ignored(extra))):
        _tell(difference, repository, found)
    for path, blob in approved.items():
        if blob.mode == SUBMODULE:
            found.unknown(CHECK, f"{_shown(path)} is a submodule, which is not compared")


def _head(git: GitCopy, approved: str, found: Findings) -> Tree | None:
    """The files of HEAD, and what was committed since the approval."""
    try:
        head = git.head()
        if head == approved:
            return git.files_of(head)
        files = git.files_of(head)
        commits = git.commits_between(approved, head)
    except BadRepository as error:
        found.unknown(CHECK, f"what was committed since: {error}")
        return None
    for row in commits:
        found.add("commit", SUSPICIOUS, f"a commit that is not in the approved one: {row}")
    if not commits:
        found.add("head_elsewhere", SUSPICIOUS, f"HEAD is {head}, and the approved commit is {approved}")
    return files


_KINDS = {
    "committed": "config_committed",
    "uncommitted": "config_uncommitted",
    "untracked": "config_untracked",
    "ignored": "config_ignored",
}


def _tell(difference: Difference, repository: str, found: Findings) -> None:
    path, was, now = difference.path, difference.approved, difference.found
    sort = "a program" if now and now.mode == 0o100755 else "a link" if now and now.mode == LINK else "a file"
    hashes = f"approved {was.id if was else 'none'}, found {now.id if now else 'none'}"
    only_mode = was is not None and now is not None and was.id == now.id
    found.add(
        _KINDS[difference.way],
        SUSPICIOUS,
        f"{_shown(path)} was {difference.how} since the approved commit ({difference.way}, {sort})",
        f"mode {was.mode:o} -> {now.mode:o}" if only_mode and was and now else hashes,
        f"{repository}/{_shown(path)}",
    )


def _settings(git: GitCopy, found: Findings, dot_git: str) -> None:
    for file in git.config_files():
        shown = f"{dot_git}/{os.path.relpath(file, git.theirs)}"
        try:
            settings = git.settings(file)
        except BadRepository as error:
            found.add("git_config", SUSPICIOUS, f"{shown} is no configuration that git can read", str(error), shown)
            found.unknown(CHECK, f"{shown}: {error}")
            continue
        for key, value in settings:
            severity = planted(key, value)
            if severity == ALARMING:
                found.add("git_program", severity, f"git would run or read what {key} in {shown} names", value, shown)
            elif severity:
                # The value of what nobody knows may be a secret (http.extraHeader).
                said = value if key.startswith(("remote.", "alias.")) else ""
                found.add("git_setting", severity, f"{key} is set in {shown}", said, shown)


def _hooks(copy: PrivateCopy, found: Findings) -> None:
    for folder, _folders, names in os.walk(copy.path("theirs")):
        if os.path.basename(folder) != "hooks" or "/objects" in folder or "/refs/" in folder or "/logs/" in folder:
            continue
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(".sample"):
                continue
            runs = os.path.islink(path) or os.access(path, os.X_OK)
            shown = f".git/{os.path.relpath(path, copy.path('theirs'))}"
            severity = ALARMING if runs else SUSPICIOUS
            found.add("git_hook", severity, f"{shown} {'would be run by git' if runs else 'is a hook'}", path=shown)
    for name in ("objects/info/alternates", "info/grafts", "refs/replace", "shallow"):
        if os.path.lexists(os.path.join(copy.path("theirs"), name)):
            found.add("git_objects", SUSPICIOUS, f".git/{name} changes which objects git sees", path=f".git/{name}")


_DRIVER = re.compile(r"(?:^|\s)((?:filter|diff|merge)=\S+)")


def _attributes(copy: PrivateCopy, found: Findings) -> None:
    """Files of attributes that name a program's setting; what it runs stands in the configuration."""
    places = [os.path.join(copy.path("theirs"), "info", "attributes")]
    for folder, _folders, names in os.walk(copy.path("work")):
        places += [os.path.join(folder, name) for name in names if name == ".gitattributes"]
    for place in places:
        if os.path.islink(place) or not os.path.isfile(place):
            continue
        with open(place, "rb") as file:
            text = file.read(1024 * 1024).decode("utf-8", "replace")
        drivers = sorted({match[1] for match in _DRIVER.finditer(text)})
        if drivers:
            shown = os.path.relpath(place, copy.folder).replace("theirs", ".git", 1).replace("work/", "", 1)
            found.add("git_attributes", SUSPICIOUS, f"{shown} names drivers", ", ".join(drivers), shown)


def _reflog(git: GitCopy, commit: str, since: float, found: Findings) -> None:
    moves = git.moves()
    if not moves:
        found.add("reflog", SUSPICIOUS, "the reflog of HEAD is empty or was taken away", path=".git/logs/HEAD")
    for move in moves:
        if move.at >= since and not _settled(move, commit):
            severity = SUSPICIOUS if re.match(r"(commit \(amend\)|reset|rebase|filter-branch)", move.what) else INFO
            found.add("reflog", severity, f"HEAD was moved: {move.words}", path=".git/logs/HEAD")


def _settled(move: Move, commit: str) -> bool:
    """It went to what is approved now."""
    return move.after == commit


def _shown(path: bytes) -> str:
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode("utf-8")
