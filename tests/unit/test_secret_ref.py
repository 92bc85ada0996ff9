# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""References to secrets: what resolves, what is refused, and that no message carries a value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import secret_ref
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import (
    Secret,
    SecretError,
    is_reference,
    resolve,
)

CANARY = "s3cr3tcanary"


def written(folder: Path, content: bytes = CANARY.encode(), mode: int = 0o600) -> str:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return f"file:{path}"


def test_each_kind_of_reference_resolves_without_the_white_space_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFT_TEST_KEY", f" {CANARY}\n")
    for reference in ("env:HFT_TEST_KEY", written(tmp_path, f"{CANARY}\n".encode()), f"cmd:echo {CANARY}"):
        assert resolve(reference, "api_key").reveal() == CANARY


def test_a_secret_does_not_print_itself() -> None:
    assert CANARY not in f"{Secret(CANARY)} {Secret(CANARY)!r} {[Secret(CANARY)]}"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretError, match=r"api_key: .* can be read by others"):
        resolve(written(tmp_path, mode=mode), "api_key")


def test_a_file_that_the_group_can_read_is_taken(tmp_path: Path) -> None:
    assert resolve(written(tmp_path, mode=0o640), "api_key").reveal() == CANARY


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:HFT_TEST_NOT_SET", "environment variable HFT_TEST_NOT_SET is not set"),
        ("file:/nonexistent/key", "cannot read /nonexistent/key"),
        ("file:/", "not a regular file"),
        ("cmd:false", "exit code 1"),
        ("cmd:true", "is empty"),
        ("cmd:/nonexistent/program", "cannot be started"),
        ("cmd:echo 'no end", "cannot be started"),
        (f"cmd:sh -c 'echo {CANARY} >&2; exit 3'", "exit code 3"),
        (CANARY, "not a reference"),
        (f"http:{CANARY}", "not a reference"),
        ("env:", "not a reference"),
    ],
)
def test_what_does_not_resolve_names_the_field_and_shows_no_value(reference: str, words: str) -> None:
    with pytest.raises(SecretError) as caught:
        resolve(reference, "api_secret")
    assert str(caught.value).startswith("api_secret: ")
    assert words in str(caught.value)
    assert CANARY not in str(caught.value)


def test_an_empty_or_unreadable_file_is_refused_without_quoting_it(tmp_path: Path) -> None:
    for content in (b" \n", CANARY.encode() + b"\xff"):
        with pytest.raises(SecretError) as caught:
            resolve(written(tmp_path, content), "api_key")
        assert CANARY not in str(caught.value)


def test_a_pipe_in_place_of_a_file_does_not_hold_the_kill_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretError, match="not a regular file"):
        resolve(f"file:{tmp_path / 'pipe'}", "api_key")


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_ref, "COMMAND_TIMEOUT_S", 0.05)
    with pytest.raises(SecretError, match="the command gave nothing within"):
        resolve("cmd:sleep 60", "api_key")


@given(st.text())
def test_only_the_three_schemes_with_something_behind_them_are_references(text: str) -> None:
    scheme, colon, rest = text.partition(":")
    assert is_reference(text) == (scheme in ("env", "file", "cmd") and bool(colon) and bool(rest))


@given(st.sampled_from(["env:", "file:", "cmd:"]), st.text(min_size=1))
def test_whatever_stands_behind_a_scheme_is_a_reference(scheme: str, rest: str) -> None:
    assert is_reference(scheme + rest)
