# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The process that the scribe starts beside a run: it follows one incident until that is over::

    python -m hft_incident.comms INC

It is in nobody's way: whatever the response needs of the machine goes first.
"""

from __future__ import annotations

import logging
import os
import sys

from ansible_collections.hft.incident.plugins.module_utils.incident import find

from .server import Server

NICE = 10


def main() -> int:
    os.nice(NICE)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    Server(find(sys.argv[1])).follow()
    return 0


if __name__ == "__main__":
    sys.exit(main())
