# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says which venues there are."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  venues:
    description:
      - The accounts at the venues, as C(hft_venues) of the inventory has them.
      - Each entry has C(name), C(driver) (C(binance), C(binanceusdm), C(bybit), C(okx), C(kraken), C(krakenfutures),
        C(deribit) or C(ccxt:<id>)), C(api_key), C(api_secret) and, where the venue has one, C(api_passphrase).
      - Secrets are references only, C(env:NAME), C(file:PATH) or C(cmd:COMMAND); a value in clear is refused.
      - Optional are C(base_url), C(ca_file), C(product_lines) (only these lines of the account) and C(symbols).
      - What concerns API keys and withdrawals is asked with C(admin_api_key), C(admin_api_secret) and
        C(admin_api_passphrase), where they are there. C(sub_account) is whose keys are managed (Bybit, its UID; OKX,
        its name).
      - Where it is left out, C(hft_venues) of the inventory is taken.
    type: list
    elements: dict
    required: true
"""
