# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One process of sinks for the tests of a module, without faults and arrivals at the start of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..sinks_host import Sinks, behind_the_proxy, running_sinks


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    with running_sinks(tmp_path_factory.mktemp("sinks")) as running:
        yield running


@pytest.fixture
def sinks(process: Sinks, monkeypatch: pytest.MonkeyPatch) -> Sinks:
    behind_the_proxy(process.lab, monkeypatch)
    process.lab.clear_faults()
    process.lab.forget()
    return process
