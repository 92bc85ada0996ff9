#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Close or open the latch, permission to trade that is kept outside the trading process; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: latch
short_description: Close or open the latch, permission to trade that is kept outside the trading process
version_added: 0.2.0
description:
  - A latch has three parts. The hold file on the trading host survives crashes, restarts and reboots, and keeps the
    unit from being started, by whomever. The trading system's own API stops the process that runs. The incident's
    journal says who did it. This module sets the first two, reads them back, and reports where they differ.
  - Anybody may close it, at any time. An API that does not answer is reported and does not matter, since the hold file
    stands.
  - It is opened only by an incident whose gate was passed, by enough people's signatures, and only where nothing was
    closed since. Without that it ends as V(held), before anything is looked at.
  - The hold file has an entry for each incident that holds. To open it takes away this incident's entry; where another
    incident's, or somebody's by hand, is left, the latch stays closed and the result is V(held) and says whose.
  - Masking the unit is no substitute. It fails, or has no effect, for a unit file under C(/etc/systemd/system).
notes:
  - The API, the approvals and the journal are worked on from the control node, the hold file on the play's host.
extends_documentation_fragment:
  - hft.incident.trading_systems
  - hft.incident.gates
  - hft.incident.latch
options:
  state:
    description: Whether trading is to be forbidden (V(closed)) or allowed (V(open)). To open a strategy's latch does
      not start it.
    type: str
    choices: [open, closed]
    required: true
  reason:
    description: Why, in a few words; it stands in the hold file and at the trading system. No secrets.
    type: str
    default: ""
  entry:
    description: What the control node tells the host, who holds, or under which gate what is released. Tasks that set
      it are refused.
    type: dict
attributes:
  check_mode:
    support: full
    description: Says what would change, and which approval is missing. Writes no file, sends nothing that writes, and
      needs no approval.
  diff_mode:
    support: full
    description: The hold file and each trading system's own latch, before and after.
  idempotent:
    support: full
    description: What is closed or open already is left alone, also the older entry of this incident in the hold file.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Forbid all trading at this host, whatever restarts it
  hft.incident.latch:
    state: closed
    hold_file: /var/lib/hft/ir-hold
    trading_systems: "{{ hft_trading_systems }}"
    trading_system: "{{ inventory_hostname }}"
    gate: resume_trading
    reason: hft-1 is down

- name: Allow it again, once two people have signed
  hft.incident.latch:
    state: open
    hold_file: /var/lib/hft/ir-hold
    trading_systems: "{{ hft_trading_systems }}"
    trading_system: "{{ inventory_hostname }}"
    gate: resume_trading
    gates: "{{ hft_gates }}"
    allowed_signers: "{{ hft_allowed_signers }}"

- name: Forbid one exchange only
  hft.incident.latch:
    state: closed
    scope: exchange
    name: binance
    hold_file: /var/lib/hft/ir-hold
    trading_systems: "{{ hft_trading_systems }}"
    gate: resume_trading
"""

RETURN = r"""
state:
  description: V(open) only where every part says so; what is closed anywhere, or unknown, is V(closed).
  returned: when the parts were looked at
  type: str
  sample: closed
scope:
  description: As given.
  returned: when the parts were looked at
  type: str
  sample: all
name:
  description: As given, empty with O(scope=all).
  returned: when the parts were looked at
  type: str
  sample: ""
host:
  description: The host's name in the inventory.
  returned: when the parts were looked at
  type: str
  sample: hft-1
hold:
  description:
    - The hold file. C(state) is V(closed) (it is there), V(open), or V(unknown) with the C(error) that hides it.
    - C(holders) are those who hold, each with C(incident) (empty where it is held by hand), C(reason), C(by) and C(at).
  returned: when the parts were looked at
  type: dict
  sample:
    path: /var/lib/hft/ir-hold
    state: closed
    holders:
      - incident: inc-20261124T030000Z-system_crash-1
        reason: hft-1 is down
        by: alice@control
        at: "2026-11-24T03:00:01.000000Z"
    error: ""
api:
  description:
    - The trading systems' own latch of that scope, the killswitch, whether the exchange is enabled, or whether the
      strategy runs.
    - C(state) is V(closed), V(open), V(stopped) (a strategy, which says nothing of whether it may run), V(absent) (it
      has no such exchange or strategy), or V(unknown) with the C(error).
  returned: when the parts were looked at
  type: list
  elements: dict
  sample:
    - {trading_system: hft-1, state: unknown, error: "GET /api/v1/killswitch: connection refused"}
journal:
  description: What the incident's journal said of it last, before this, V(closed), V(open), or V(silent) for nothing.
  returned: when the parts were looked at
  type: str
  sample: silent
agree:
  description: Whether all parts that say anything say the same.
  returned: when the parts were looked at
  type: bool
  sample: false
difference:
  description: Where they differ, what each part says; else empty.
  returned: when the parts were looked at
  type: str
  sample: "the hold file is closed; the API of hft-1 is unknown (GET /api/v1/killswitch: connection refused)"
outcome:
  description:
    - V(held) where nobody has allowed it to be opened, or another incident holds.
    - V(unproven) where the hold file could not be written, a trading system did not do as it was told, or, to open it,
      one did not answer.
  returned: on failure
  type: str
  sample: held
inverses:
  description: The task that opens it again, under O(gate). To open has none, it is itself what undoes a closing.
  returned: with O(state=closed), when not in check mode
  type: list
  elements: dict
  sample:
    - module: hft.incident.latch
      args:
        state: open
        scope: all
        hold_file: /var/lib/hft/ir-hold
        gate: resume_trading
        timeout: 5.0
        trading_systems: [{name: hft-1, url: "http://127.0.0.1:8080"}]
      describe: open the latch of hft-1 for all trading
record:
  description: The event for the incident's journal, C(latch.changed), or C(latch.not_opened) where it stays closed.
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - kind: latch.changed
      data:
        scope: all
        name: ""
        state: closed
        host: hft-1
        hold_file: /var/lib/hft/ir-hold
        hold: closed
        api: [{trading_system: hft-1, state: closed, error: ""}]
        agree: true
        difference: ""
        reason: hft-1 is down
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.latch_host import CHANGE_REQUIRED_IF, CHANGE_SPEC, change


def main() -> None:
    """The door on a host: the hold file."""
    finish(AnsibleModule(argument_spec=CHANGE_SPEC, required_if=CHANGE_REQUIRED_IF, supports_check_mode=True), change)


if __name__ == "__main__":
    main()
