# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The communications clock: who is told what and when, by rules that are data, served by whichever process comes first.

``policy`` are the rules, ``policy_reading`` where they come from, ``policy_check`` what is wrong with them, ``plan``
what they come to for one incident, on record; ``hft_incident.notices`` derives from the record what is due. ``server``
serves it, each job (``jobs``: ``telling``, ``meeting``) in a process of its own under its claim (``claims``), in words
from ``facts`` and ``wording``, through ``channels``, ``status_page`` and ``war_room``.
"""
