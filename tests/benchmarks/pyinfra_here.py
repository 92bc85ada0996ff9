# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""pyinfra's own command, with one thing changed: ``@local/NAME`` may be many hosts, all of them this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyinfra.connectors.local import LocalConnector
from pyinfra_cli.main import cli


def names(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    yield name, {}, ["@local"]


LocalConnector.make_names_data = staticmethod(names)

if __name__ == "__main__":
    cli()
