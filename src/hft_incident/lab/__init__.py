# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The embedded lab: a trading system, venues, message sinks and faults as real processes on 127.0.0.1.

The product never imports it; only the commands ``lab`` and ``drill`` do.
"""
