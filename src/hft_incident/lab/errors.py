# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a lab."""

from __future__ import annotations


class LabError(Exception):
    """The lab did not do what was asked; the message is for people."""
