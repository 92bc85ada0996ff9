# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an attacker would touch in an account: its API keys, withdrawals, withdrawal addresses and logins. One file per
dialect behind one small API (``api.Account``); apart from the venues' own files, which are the red button's start-up
time."""
