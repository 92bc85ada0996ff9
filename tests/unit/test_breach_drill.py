# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the breach drill takes for granted is what the lab's policy says."""

from __future__ import annotations

import yaml

from hft_incident.drill.security_breach import KNOWN_NETWORKS
from hft_incident.inventory import PACKAGED_LAB


def test_the_baseline_is_judged_by_the_networks_that_the_response_judges_by() -> None:
    policy = yaml.safe_load((PACKAGED_LAB / "group_vars" / "all" / "policy.yml").read_text())
    assert policy["hft_known_networks"] == list(KNOWN_NETWORKS)
