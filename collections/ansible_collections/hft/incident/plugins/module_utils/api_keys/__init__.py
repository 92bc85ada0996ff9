# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading systems' API keys replaced by new ones: which there are (``entries``), what is to be done next (``plan``,
pure), and doing it (``rotation``)."""
