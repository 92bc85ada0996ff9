# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``from hft_incident import kill``: what is wrong is said before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from hft_incident import kill

VENUES = "hft_venues: [{name: a, driver: okx, base_url: 'http://127.0.0.1:9', api_key: env:K, api_secret: env:S}]\n"


@pytest.mark.parametrize(
    "wrong",
    [{"confirm": 0}, {"interval": -1.0}, {"timeout": 0.0}, {"reason": " "}, {"venue": ["nobody"]}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_order_that_cannot_be_carried_out_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = tmp_path / "venues.yml"
    file.write_text(VENUES)
    with pytest.raises(UsageError):
        kill(**{"reason": "a test", "venues": str(file), **wrong})


def test_a_key_that_is_not_there_is_that_venues_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path))
    monkeypatch.delenv("K", raising=False)
    file = tmp_path / "venues.yml"
    file.write_text(VENUES)
    result = kill("a test", venues=str(file), timeout=2.0)
    assert (result.verdict, result.venues[0].verdict) == ("unknown", "unknown")
    assert result.venues[0].error == "api_key: environment variable K is not set"
