# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The hold file: there as long as anybody holds, whatever is in it and whatever goes wrong."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import hold_file
from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.hold_file import Hold, close, look, path_of, release

GARBAGE = ["", "\n\n", "stop!", "{", '{"incident": 7}', "[1]", "\0\xff", '"incident"', "{}", '{"incident": ""}']


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "hft" / "ir-hold")


def put(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(text.encode("latin-1"))


def holders(path: str) -> list[str]:
    return [hold.incident for hold in look(path).holds]


# Holding and letting go -----------------------------------------------------------------------------------------------


def test_who_holds_stands_in_it_and_anybody_can_read_it(path: str) -> None:
    before, after = close(path, Hold("inc-a", "it crashed", "alice@control", "2026-11-24T03:00:00.000000Z"))
    assert (before.state, after.state) == ("open", "closed")
    assert json.loads(Path(path).read_text()) == {
        "incident": "inc-a",
        "reason": "it crashed",
        "by": "alice@control",
        "at": "2026-11-24T03:00:00.000000Z",
    }
    assert Path(path).stat().st_mode & 0o777 == 0o644
    assert os.listdir(Path(path).parent) == ["ir-hold"]


def test_whatever_the_umask_the_trading_system_can_see_it(path: str) -> None:
    old = os.umask(0o077)
    try:
        close(path, Hold("inc-a"))
    finally:
        os.umask(old)
    assert Path(path).stat().st_mode & 0o777 == 0o644


def test_the_older_hold_of_an_incident_stays_as_it_is(path: str) -> None:
    close(path, Hold("inc-a", "first"))
    inode = os.stat(path).st_ino
    before, after = close(path, Hold("inc-a", "second"))
    assert before == after
    assert [hold.reason for hold in after.holds] == ["first"]
    assert os.stat(path).st_ino == inode


def test_of_two_that_hold_both_must_let_go(path: str) -> None:
    close(path, Hold("inc-a", "a"))
    close(path, Hold("inc-b", "b"))
    _, after = release(path, ["inc-a"])
    assert (after.state, holders(path)) == ("closed", ["inc-b"])
    _, after = release(path, ["inc-b"])
    assert (after.state, os.path.lexists(path)) == ("open", False)


OPERATIONS = st.lists(st.tuples(st.booleans(), st.sampled_from(["inc-a", "inc-b", "inc-c"])), max_size=12)


@given(OPERATIONS, st.none() | st.sampled_from(GARBAGE))
def test_it_is_there_if_and_only_if_somebody_holds(steps: list[tuple[bool, str]], found: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/ir-hold"
        if found is not None:
            put(path, found)
        holding: set[str] = set() if found is None else {"by hand"}
        for closes, incident in steps:
            predicted = (close(path, Hold(incident), check=True) if closes else release(path, [incident], check=True))[
                1
            ]
            _, after = close(path, Hold(incident)) if closes else release(path, [incident])
            (holding.add if closes else holding.discard)(incident)
            assert os.path.lexists(path) is bool(holding)
            assert set(holders(path)) == {"" if one == "by hand" else one for one in holding}
            assert (predicted.state, len(predicted.holds)) == (after.state, len(after.holds))
            assert look(path) == after


def test_many_at_once_forget_nobody(path: str) -> None:
    names = [f"inc-{n}" for n in range(12)]
    threads = [threading.Thread(target=close, args=(path, Hold(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(holders(path)) == sorted(names)


# What was not written here --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", GARBAGE)
def test_whatever_is_in_it_it_holds_and_no_incident_can_take_that_away(path: str, text: str) -> None:
    put(path, text)
    assert look(path).state == "closed"
    close(path, Hold("inc-a"))
    _, after = release(path, ["inc-a", ""])
    assert after.state == "closed"
    assert set(holders(path)) == {""}
    for line in filter(str.strip, text.split("\n")):
        assert line.encode("latin-1") in Path(path).read_bytes()


def test_a_folder_or_a_pipe_in_its_place_holds_too_and_nobody_waits_for_it(path: str) -> None:
    Path(path).mkdir(parents=True)
    assert look(path).state == "closed"
    Path(path).rmdir()
    os.mkfifo(path)
    assert look(path).state == "closed"


@pytest.mark.parametrize("target", ["nowhere", "real"])
def test_a_link_in_its_place_is_not_followed_and_never_taken_for_open(path: str, target: str) -> None:
    Path(path).parent.mkdir()
    (Path(path).parent / "real").write_text("untouched")
    os.symlink(target, path)
    found = look(path)
    assert found.state == "unknown"
    assert "symbolic link" in found.error
    for act in (partial(close, path, Hold("inc-a")), partial(release, path, ["inc-a"])):
        with pytest.raises(UnprovenError, match="symbolic link"):
            act()
    assert os.path.islink(path)
    assert (Path(path).parent / "real").read_text() == "untouched"


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_not_proven(tmp_path: Path) -> None:
    (tmp_path / "hft").write_text("a file where the folder should be")
    with pytest.raises(UnprovenError, match="cannot be changed"):
        close(f"{tmp_path}/hft/ir-hold", Hold("inc-a"))


@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
@pytest.mark.parametrize("held", [False, True])
def test_a_disk_that_is_full_leaves_what_was_there(
    path: str, monkeypatch: pytest.MonkeyPatch, call: str, held: bool
) -> None:
    if held:
        close(path, Hold("inc-a"))
    else:
        Path(path).parent.mkdir()
    real = getattr(os, call)

    def full(*args: object, **more: object) -> object:
        if call == "open" and not str(args[0]).endswith(".new"):
            return real(*args, **more)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(UnprovenError, match="No space left on device"):
            close(path, Hold("inc-b"))
    assert os.listdir(Path(path).parent) == (["ir-hold"] if held else [])
    assert holders(path) == (["inc-a"] if held else [])


def test_what_one_left_behind_who_was_killed_while_writing_is_no_hold_and_in_nobodys_way(path: str) -> None:
    put(f"{Path(path).parent}/.ir-hold.new", '{"inci')
    assert look(path).state == "open"
    close(path, Hold("inc-a"))
    assert os.listdir(Path(path).parent) == ["ir-hold"]


def test_one_who_keeps_it_locked_is_not_waited_for_forever(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_file, "LOCK_S", 0.05)
    Path(path).parent.mkdir()
    fd = os.open(Path(path).parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(UnprovenError, match="has locked"):
            close(path, Hold("inc-a"))
    finally:
        os.close(fd)
    close(path, Hold("inc-a"))


def test_check_mode_makes_nothing_not_even_the_folder(path: str) -> None:
    _, after = close(path, Hold("inc-a"), check=True)
    assert (after.state, Path(path).parent.exists()) == ("closed", False)
    release(path, ["inc-a"])
    assert not Path(path).parent.exists()


# Where it is ----------------------------------------------------------------------------------------------------------


def test_an_exchange_and_a_strategy_have_files_of_their_own() -> None:
    assert path_of("/var/lib/hft/ir-hold", "all", None) == "/var/lib/hft/ir-hold"
    assert path_of("/var/lib/hft/ir-hold", "exchange", "binance") == "/var/lib/hft/ir-hold.d/exchange-binance"
    assert path_of("/var/lib/hft/ir-hold", "strategy", "mm-1") == "/var/lib/hft/ir-hold.d/strategy-mm-1"


@pytest.mark.parametrize(
    ("file", "scope", "name"),
    [
        ("ir-hold", "all", None),
        ("/var/lib/hft/", "all", None),
        ("/x", "all", "binance"),
        ("/x", "exchange", None),
        ("/x", "exchange", "../../etc/passwd"),
        ("/x", "strategy", ".."),
        ("/x", "strategy", "a/b"),
        ("/x", "strategy", "a\nb"),
    ],
)
def test_what_is_no_place_is_refused(file: str, scope: str, name: str | None) -> None:
    with pytest.raises(UsageError):
        path_of(file, scope, name)
