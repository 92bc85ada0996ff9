# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A repository of configuration that an intruder had, and the programs that were planted in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

CLEAN_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin:/usr/local/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER")
       for field, value in (("NAME", "Ada"), ("EMAIL", "ada@firm.example"))},
}  # fmt: skip


class Repository:
    """A real one. ``canary`` exists once anything that was planted has run."""

    def __init__(self, folder: Path, algorithm: str = "sha1") -> None:
        self.path = folder / "config"
        self.canary = folder / "canary"
        self.program = folder / "planted"
        self.program.write_text(f"#!/bin/sh\ntouch {self.canary}\ncat 2>/dev/null\n")
        self.program.chmod(0o755)
        folder.chmod(0o777)  # whoever runs it can leave its mark
        self.path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", f"--object-format={algorithm}")
        self.write("production.json", '{"max_position": 10}')
        self.write("venues/alpha.json", "{}")
        self.write(".gitignore", "*.log\n")
        self.approved = self.commit("approved")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", "-C", self.path, *words], env=CLEAN_ENVIRONMENT, capture_output=True, text=True,
                              check=True)  # fmt: skip
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self, what: str) -> str:
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "-m", what)
        return self.git("rev-parse", "HEAD")

    def settings(self) -> dict[str, str]:
        """Every setting that makes git run something, by what it would run."""
        program = str(self.program)
        included = self.path.parent / "included"
        included.write_text(f"[core]\n\tfsmonitor = {program}\n\tpager = {program}\n[diff]\n\texternal = {program}\n")
        return {
            "core.fsmonitor": program,
            "core.pager": program,
            "core.editor": program,
            "core.sshCommand": program,
            "core.askPass": program,
            "core.hooksPath": str(self.program.parent),
            "core.worktree": str(self.program.parent),
            "core.alternateRefsCommand": program,
            "diff.external": program,
            "diff.planted.textconv": program,
            "diff.planted.command": program,
            "merge.planted.driver": program,
            "filter.planted.clean": program,
            "filter.planted.smudge": program,
            "filter.planted.process": program,
            "filter.planted.required": "true",
            "gpg.program": program,
            "gpg.ssh.program": program,
            "credential.helper": f"!{program}",
            "credential.https://venue.example.helper": f"!{program}",
            "alias.status": f"!{program}",
            "alias.log": f"!{program}",
            "pager.log": program,
            "pager.diff": program,
            "sequence.editor": program,
            "interactive.diffFilter": program,
            "uploadpack.packObjectsHook": program,
            "remote.origin.url": f"ext::{program}",
            "remote.origin.uploadpack": program,
            "log.showSignature": "true",
            "include.path": str(included),
            "submodule.planted.update": f"!{program}",
        }

    def plant(self) -> None:
        """All of them, hooks and attributes; nothing here is run by planting it."""
        for name in ("post-checkout", "post-index-change", "fsmonitor-watchman", "pre-commit", "reference-transaction"):
            hook = self.path / ".git/hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(self.program.read_text())
            hook.chmod(0o755)
        attributes = "* filter=planted diff=planted merge=planted\n"
        self.write(".gitattributes", attributes)
        (self.path / ".git/info").mkdir(exist_ok=True)
        (self.path / ".git/info/attributes").write_text(attributes)
        with open(self.path / ".git/config", "a", encoding="utf-8") as config:
            for key, value in self.settings().items():
                section, _dot, rest = key.partition(".")
                between, _dot, name = rest.rpartition(".")
                heading = f'{section} "{between}"' if between else section
                config.write(f"[{heading}]\n\t{name} = {value}\n")
