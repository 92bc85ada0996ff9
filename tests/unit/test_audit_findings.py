# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What somebody has explained alarms nobody; everything else still does."""

from __future__ import annotations

import pytest

from ansible_collections.hft.incident.plugins.module_utils.audit_findings import (
    ALARMING,
    INFO,
    Finding,
    accepted_of,
    with_accepted,
)
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError

DELETED = Finding("process_deleted", ALARMING, "process 7 (a) runs a program whose file is gone", "", "/usr/bin/a")
OTHER = DELETED._replace(path="/opt/b", what="process 8 (b) runs a program whose file is gone")


@pytest.mark.parametrize("row", [{"path": DELETED.path}, {"what": DELETED.what}])
def test_what_is_accepted_is_told_last_and_alarms_nobody(row: dict[str, str]) -> None:
    accepted = accepted_of([{"kind": "process_deleted", **row}])
    found = with_accepted([DELETED, OTHER], accepted)
    assert [(one.what, one.severity) for one in found] == [(OTHER.what, ALARMING), (DELETED.what, INFO)]
    assert found[1].detail == "accepted by the inventory"


def test_another_kind_is_not_accepted() -> None:
    assert with_accepted([DELETED], accepted_of([{"kind": "setuid", "path": DELETED.path}])) == [DELETED]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "no kind"),
        ({"kind": "setuid"}, "neither path nor what"),
        ({"path": "/x"}, "no kind"),
        ({"kind": "setuid", "path": "/x", "why": "it is ours"}, "unknown field 'why'"),
    ],
)
def test_what_would_accept_more_than_it_says_is_refused(row: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        accepted_of([row])
