# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab venue that a file of tests is about: the one of its ``DRIVER``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hft_incident.lab.venues.server import VenueServer

from ..venues_host import Host, venue_host


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    driver: str = request.module.DRIVER
    with venue_host({driver: driver}) as running:
        yield running


@pytest.fixture
def venue(host: Host) -> VenueServer:
    (only,) = host.venues.values()
    return only
