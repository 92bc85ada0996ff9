# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident doctor`: can this jumphost do its job right now?

``examination`` has the subjects as data and asks all of them at once; each is one file with one function that turns a
``Site`` into ``Finding``s. It reads, and changes nothing at any venue, trading system or host.
"""
