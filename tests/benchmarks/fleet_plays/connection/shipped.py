# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A connection to this machine on which modules are shipped as to any other host, without ssh."""

from __future__ import annotations

DOCUMENTATION = """
name: shipped
short_description: To this machine, as if it were another
description: Runs everything here, but is not the connection C(local), on which steps of this collection run in process.
author: hft-incident contributors (@hft-incident)
extends_documentation_fragment: connection_pipelining
"""

from ansible.plugins.connection.local import Connection as Local  # noqa: E402  documentation goes first


class Connection(Local):  # type: ignore[misc]  # Ansible's base classes are untyped
    transport = "shipped"
