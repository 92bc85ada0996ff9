# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``host_audit_info``, the configuration's repository: each way to change it is named, and nothing planted is run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import git_copy, private_copy
from ansible_collections.hft.incident.plugins.module_utils.audit_repository import Difference, differences, planted
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.git_copy import Blob
from ansible_collections.hft.incident.plugins.module_utils.steps import host_audit_info

from .hostile_repository import CLEAN_ENVIRONMENT, Repository
from .steps import Ran, run

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where also nobody may go, unlike in pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hostile-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def repository(folder: Path) -> Repository:
    return Repository(folder)


def look(repository: Repository, commit: str | None = None) -> Ran:
    approved = {"version": "1", "config_commit": commit or repository.approved}
    return run(host_audit_info, checks=["repository"], config_repository=str(repository.path), approved=approved)


def kinds(seen: Ran) -> set[str]:
    return {finding["kind"] for finding in seen["findings"]}


def paths(seen: Ran, kind: str) -> set[str]:
    return {finding["path"] for finding in seen["findings"] if finding["kind"] == kind}


def left_over() -> list[str]:
    return [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("hft-audit-")]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_an_untouched_repository_has_nothing_but_the_line_of_its_own_commit(folder: Path, algorithm: str) -> None:
    seen = look(Repository(folder, algorithm))
    assert (seen.failed, seen["changed"], seen["unknown"]) == (False, False, [])
    assert seen["checks"] == [{"name": "repository", "state": "done"}]
    assert kinds(seen) <= {"reflog"}
    assert seen["worst"] in (None, "info")


def test_every_way_to_change_it_is_named_and_told_apart(repository: Repository) -> None:
    repository.write("venues/alpha.json", '{"url": "https://evil.example"}')
    repository.commit("routine")
    repository.write("production.json", '{"max_position": 1000000}')
    repository.write("extra.json", "{}")
    repository.write("quiet.log", "exfiltrated")
    (repository.path / ".gitignore").unlink()
    (repository.path / ".gitignore").symlink_to("/etc/shadow")
    seen = look(repository)
    root = repository.path
    assert paths(seen, "config_committed") == {f"{root}/venues/alpha.json"}
    assert paths(seen, "config_uncommitted") == {f"{root}/production.json", f"{root}/.gitignore"}
    # Its rules for ignoring went with .gitignore, whose link is not followed.
    assert paths(seen, "config_untracked") == {f"{root}/extra.json", f"{root}/quiet.log"}
    (commit,) = (finding for finding in seen["findings"] if finding["kind"] == "commit")
    assert commit["what"].endswith(": routine")
    assert seen["worst"] == "suspicious"


def test_what_git_status_would_hide_is_seen(repository: Repository) -> None:
    repository.write("ignored.log", "x")
    repository.git("update-index", "--assume-unchanged", "production.json")
    repository.git("update-index", "--skip-worktree", "venues/alpha.json")
    repository.write("production.json", "1")
    repository.write("venues/alpha.json", "2")
    seen = look(repository)
    assert len(paths(seen, "config_uncommitted")) == 2
    assert paths(seen, "config_ignored") == {f"{repository.path}/ignored.log"}


def test_a_program_where_there_was_a_file_is_a_change(repository: Repository) -> None:
    (repository.path / "production.json").chmod(0o755)
    (finding,) = (one for one in look(repository)["findings"] if one["kind"] == "config_uncommitted")
    assert finding["detail"] == "mode 100644 -> 100755"


def test_nothing_that_was_planted_is_run_and_all_of_it_is_named(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.plant()
    program = str(repository.program)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_SSH_COMMAND", "GIT_EDITOR", "GIT_ASKPASS", "PAGER", "EDITOR"):
        monkeypatch.setenv(name, program)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", program)
    monkeypatch.setenv("GIT_DIR", str(repository.path / ".git"))
    repository.write("production.json", "changed")
    seen = look(repository)
    assert not repository.canary.exists()
    programs = {finding["what"].split(" what ")[1].split(" in ")[0]
                for finding in seen["findings"] if finding["kind"] == "git_program"}  # fmt: skip
    wanted = {key.lower() for key in repository.settings() if key not in ("filter.planted.required",)}
    assert programs == wanted | {"remote.origin.url"}
    assert len([one for one in seen["findings"] if one["kind"] == "git_hook" and one["severity"] == "alarming"]) == 5
    assert paths(seen, "git_attributes") == {".gitattributes", ".git/info/attributes"}
    assert paths(seen, "config_uncommitted") == {f"{repository.path}/production.json"}
    assert left_over() == []


def test_the_plants_are_real(repository: Repository) -> None:
    """What git itself does there; if this fails, the test before it proves nothing."""
    repository.plant()
    for key in ("core.worktree", "alias.status"):
        repository.git("config", "--file", str(repository.path / ".git/config"), "--unset-all", key)
    subprocess.run(["git", "-C", repository.path, "status"], env=CLEAN_ENVIRONMENT, capture_output=True, check=False)
    assert repository.canary.exists()


def test_an_object_forged_under_the_approved_name_is_found(repository: Repository) -> None:
    """The approved tree says what lies there, if its hash is not looked at."""
    tree = repository.git("rev-parse", f"{repository.approved}^{{tree}}")
    repository.write("production.json", '{"max_position": 1000000}')
    evil = repository.git("rev-parse", f"{repository.commit('evil')}^{{tree}}")
    content = zlib.decompress((repository.path / f".git/objects/{evil[:2]}/{evil[2:]}").read_bytes())
    forged = repository.path / f".git/objects/{tree[:2]}/{tree[2:]}"
    forged.chmod(0o600)
    forged.write_bytes(zlib.compress(content))
    repository.git("reset", "--soft", repository.approved)
    seen = look(repository)
    (finding,) = (one for one in seen["findings"] if one["kind"] == "approved_commit")
    assert finding["severity"] == "alarming"
    assert "forged" in finding["what"]
    assert any("could not be compared" in entry["why"] for entry in seen["unknown"])


def test_a_replaced_object_and_an_alternate_do_not_count(repository: Repository, folder: Path) -> None:
    repository.write("production.json", "evil")
    evil = repository.commit("evil")
    repository.git("replace", repository.approved, evil)
    (repository.path / ".git/objects/info").mkdir(exist_ok=True)
    (repository.path / ".git/objects/info/alternates").write_text(f"{folder}/elsewhere\n")
    seen = look(repository)
    assert paths(seen, "config_committed") == {f"{repository.path}/production.json"}
    assert paths(seen, "git_objects") == {".git/objects/info/alternates", ".git/refs/replace"}


def test_objects_from_outside_of_the_copy_are_not_looked_at(repository: Repository, folder: Path) -> None:
    """The approved release, as an alternate tells it."""
    objects = repository.path / ".git/objects"
    shutil.copytree(objects, folder / "elsewhere")
    for item in objects.glob("??"):
        shutil.rmtree(item)
    (objects / "info").mkdir(exist_ok=True)
    (objects / "info/alternates").write_text(f"{folder}/elsewhere\n")
    assert repository.git("rev-parse", f"{repository.approved}^{{tree}}")
    seen = look(repository)
    assert "approved_commit" in kinds(seen)
    assert any("could not be compared" in entry["why"] for entry in seen["unknown"])


def test_a_tag_is_taken_by_its_id(repository: Repository) -> None:
    repository.git("tag", "-a", "v1", "-m", "approved", repository.approved)
    tag = repository.git("rev-parse", "refs/tags/v1")
    assert tag != repository.approved
    assert kinds(look(repository, tag)) <= {"reflog"}


def test_packed_objects_and_refs_are_read(repository: Repository) -> None:
    repository.write("production.json", "later")
    repository.commit("later")
    repository.git("gc", "--quiet")
    seen = look(repository)
    assert seen["unknown"] == []
    assert paths(seen, "config_committed") == {f"{repository.path}/production.json"}


@pytest.mark.parametrize("commit", ["v1", "HEAD", "3f0c1c2", "refs/tags/v1", "--upload-pack=x", 123, "A" * 40])
def test_a_name_that_the_host_could_give_to_anything_is_refused(repository: Repository, commit: object) -> None:
    seen = run(host_audit_info, checks=["repository"], approved={"version": "1", "config_commit": commit})
    assert seen.outcome == "usage"
    assert "config_commit" in seen["msg"]


def test_a_commit_that_is_not_there_makes_it_unknown(repository: Repository) -> None:
    seen = look(repository, "1" * 40)
    assert "approved_commit" in kinds(seen)
    assert any("could not be compared" in entry["why"] for entry in seen["unknown"])


def test_a_history_that_was_rewritten_is_named(repository: Repository) -> None:
    repository.git("commit", "--quiet", "--amend", "-m", "as if it had always been so", "--date=2020-01-01T00:00:00Z")
    seen = look(repository)
    assert "commit" in kinds(seen)
    moved = [one for one in seen["findings"] if one["kind"] == "reflog"]
    assert any(one["severity"] == "suspicious" and "amend" in one["what"] for one in moved)
    (repository.path / ".git/logs/HEAD").unlink()
    assert any("taken away" in one["what"] for one in look(repository)["findings"])


def test_hostile_names_links_pipes_and_devices_harm_nobody(repository: Repository, folder: Path) -> None:
    (repository.path / "a\n\x1b[31mred\xff".encode("latin-1").decode("utf-8", "surrogateescape")).write_text("x")
    os.mkfifo(repository.path / "pipe")
    (repository.path / "away").symlink_to("/etc")
    (repository.path / ".git/logs/HEAD").unlink()
    (repository.path / ".git/logs/HEAD").symlink_to("/etc/passwd")
    (repository.path / "nested/.git").mkdir(parents=True)
    (repository.path / "nested/.git/config").write_text(f"[core]\n\tfsmonitor = {repository.program}\n")
    seen = look(repository)
    assert not repository.canary.exists()
    assert "\x1b" not in str([finding["what"] for finding in seen["findings"]])
    assert any("pipe" in entry["why"] for entry in seen["unknown"])
    assert "root:" not in str(seen.result)
    assert "nested_repository" in kinds(seen)
    assert left_over() == []


@pytest.mark.parametrize("break_it", ["no .git", "linked", "garbage", "no objects", "torn object"])
def test_a_repository_that_is_none_is_unknown(repository: Repository, folder: Path, break_it: str) -> None:
    dot_git = repository.path / ".git"
    if break_it == "no .git":
        shutil.rmtree(dot_git)
    elif break_it == "linked":
        dot_git.rename(folder / "elsewhere")
        dot_git.symlink_to(folder / "elsewhere")
    elif break_it == "garbage":
        (dot_git / "config").write_text("[[[[")
        (dot_git / "HEAD").write_bytes(os.urandom(64))
    elif break_it == "no objects":
        shutil.rmtree(dot_git / "objects")
    else:
        for item in (dot_git / "objects").glob("??/*"):
            item.chmod(0o600)
            item.write_bytes(item.read_bytes()[:5])
    seen = look(repository)
    assert not seen.failed
    assert seen["unknown"]
    assert seen["checks"][0]["state"] != "done"
    assert left_over() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_git_runs_as_nobody_in_an_environment_of_its_own(
    repository: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = folder / "told"
    spy = folder / "git"
    spy.write_text(f'#!/bin/sh\n(id; env; pwd) >> {told}\nexec /usr/bin/git "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setattr(git_copy, "GIT", str(spy))
    monkeypatch.setenv("CANARY_SECRET", "hunter2")
    assert look(repository)["unknown"] == []
    said = told.read_text()
    identities = {line for line in said.splitlines() if line.startswith("uid=")}
    assert len(identities) == 1
    assert all("(nobody)" in line and "(root)" not in line for line in identities)
    assert "hunter2" not in said
    assert "GIT_CONFIG_GLOBAL=/dev/null" in said


def test_a_folder_swapped_for_a_link_leads_nowhere(folder: Path) -> None:
    """What is a folder when it is listed and a link when it is entered."""
    (folder / "tree/inner").mkdir(parents=True)
    (folder / "secret").mkdir()
    (folder / "secret/key").write_text("hunter2")
    real_lstat, swapped = os.lstat, list[object]()

    def swap(path: object, *args: object, **kwargs: object) -> os.stat_result:
        seen = real_lstat(path, *args, **kwargs)  # type: ignore[arg-type]  # as it came
        if path == "inner" and not swapped:
            (folder / "tree/inner").rmdir()
            (folder / "tree/inner").symlink_to(folder / "secret")
            swapped.append(path)
        return seen

    with pytest.MonkeyPatch.context() as patch, private_copy.private_copy() as copy:
        patch.setattr(os, "lstat", swap)
        copy.take(str(folder / "tree"), "copy", Deadline(10))
        assert swapped
        assert not list(Path(copy.folder).rglob("key"))
        assert copy.incomplete


def test_too_much_is_said_to_be_too_much(folder: Path) -> None:
    for number in range(5):
        (folder / f"file{number}").write_bytes(b"x" * 100)
    with private_copy.private_copy(private_copy.Limits(files=4, total_bytes=250, file_bytes=1000)) as copy:
        copy.take(str(folder), "copy", Deadline(10))
        assert len(os.listdir(copy.path("copy"))) == 2
        assert len(copy.incomplete) == 3
        assert os.stat(copy.folder).st_mode & 0o777 == 0o700


# Pure rules -----------------------------------------------------------------------------------------------------------

blobs = st.builds(Blob, st.sampled_from([0o100644, 0o100755, 0o120000]), st.sampled_from(["a", "b", "c"]))
trees = st.dictionaries(st.sampled_from([b"x", b"y", b"z/w"]), blobs)


@given(trees, st.none() | trees, trees)
def test_every_difference_is_told_exactly_once(
    approved: dict[bytes, Blob], head: dict[bytes, Blob] | None, found: dict[bytes, Blob]
) -> None:
    told = differences(approved, head, found, frozenset())
    assert [one.path for one in told] == sorted(
        path for path in approved.keys() | found.keys() if approved.get(path) != found.get(path)
    )
    for one in told:
        assert one.how == {(True, False): "deleted", (False, True): "added"}.get(
            (one.path in approved, one.path in found), "changed"
        )
        if one.way == "committed":
            assert head is not None
            assert head.get(one.path) == found.get(one.path)


def test_what_was_deleted_by_a_commit_was_committed() -> None:
    blob = Blob(0o100644, "a")
    assert differences({b"x": blob}, {}, {}, frozenset()) == [Difference(b"x", "deleted", "committed", blob, None)]


@pytest.mark.parametrize(
    ("key", "value", "severity"),
    [
        ("core.bare", "false", None),
        ("core.fsmonitor", "false", None),
        ("core.fsmonitor", "true", "alarming"),
        ("core.fsmonitor", "/opt/x", "alarming"),
        ("CORE.FSMonitor", "/opt/x", "alarming"),
        ("alias.st", "status", "suspicious"),
        ("alias.st", " !sh", "alarming"),
        ("remote.origin.url", "https://git.firm.example/c.git", "info"),
        ("remote.origin.url", "ext::sh -c x", "alarming"),
        ("filter.LFS.Clean", "git-lfs clean", "alarming"),
        ("url.https://evil.example/.insteadof", "https://git.firm.example/", "suspicious"),
        ("what.is.this", "x", "suspicious"),
    ],
)
def test_how_bad_a_setting_is(key: str, value: str, severity: str | None) -> None:
    assert planted(key, value) == severity


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_setting_that_nobody_knows_is_never_passed_over(key: str, value: str) -> None:
    assert planted(f"unheard.{key}.of", value) == "suspicious"


def test_hashes_are_gits_own(repository: Repository) -> None:
    data = (repository.path / "production.json").read_bytes()
    assert repository.git("hash-object", "production.json") == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324  # git's
