# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A host that only the site's own command isolates: told as not tried out, and opened by the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Result
from ansible_collections.hft.incident.plugins.module_utils.steps.host_isolation import ARGUMENT_SPEC, run_on


def never(_params: Any, _context: Context) -> Result:
    raise AssertionError("the host has no part in it")


def ask(state: str, command: list[str], *, check: bool = False) -> Result:
    given = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
    given |= {"state": state, "on_host": False, "external_command": command}
    return run_on(given, Context(check, lambda _kind, _data: None), "hft-1", never)


@pytest.fixture
def switch(tmp_path: Path) -> list[str]:
    return ["sh", "-c", f'echo "$HFT_HOST $HFT_STATE $0" >> {tmp_path}/told']


def test_it_is_isolated_from_outside_and_nobody_says_that_it_was_tried_out(switch: list[str], tmp_path: Path) -> None:
    done = ask("isolated", switch)
    assert (tmp_path / "told").read_text() == "hft-1 isolated hft-1\n"
    assert (done["changed"], done["confirmed"], done.get("failed")) == (True, False, None)
    assert "NOT TRIED OUT" in done["msg"]
    (told,) = done["record"]
    assert (told["kind"], told["data"]["confirmed"], told["data"]["on_host"]) == ("host.isolated", False, False)
    (inverse,) = done["inverses"]
    undone = ask(inverse["args"]["state"], inverse["args"]["external_command"])
    assert (tmp_path / "told").read_text().splitlines()[1:] == ["hft-1 open hft-1"]
    assert [line["kind"] for line in undone["record"]] == ["host.isolation_reverted"]


def test_a_command_that_fails_is_no_isolation() -> None:
    done = ask("isolated", ["false"])
    assert (done["failed"], done["outcome"], done.get("record")) == (True, "unproven", None)
    assert "FROM OUTSIDE IT FAILED" in done["msg"]


def test_a_rehearsal_asks_nobody(switch: list[str], tmp_path: Path) -> None:
    done = ask("isolated", switch, check=True)
    assert done["changed"]
    assert "record" not in done
    assert not (tmp_path / "told").exists()


def test_without_a_command_there_is_nothing_that_could_isolate_it() -> None:
    with pytest.raises(UsageError, match="external_command has to say"):
        ask("isolated", [])
