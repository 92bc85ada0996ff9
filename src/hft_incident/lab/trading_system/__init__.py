# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system: strategies that really quote at the lab's venues, behind the API of contracts.md."""

VERSION = "1.0.0"
