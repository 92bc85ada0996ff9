# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The command reference: what every command's own parser prints for ``--help``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from unittest.mock import patch

from hft_incident.cli import main
from hft_incident.command_list import COMMANDS

from .text import Pages, block, page, plain, table

#: A command of several words: argparse shows them like this, alone on a line.
_WORDS = re.compile(r"^  (\w+(?:\|\w+)+)$", re.MULTILINE)
#: Columns, as in a terminal that has no more.
WIDTH = "84"


def pages() -> Pages:
    rows = [[f"[`{name}`](#{name})", plain(does)] for name, does in COMMANDS.items()]
    return {
        "commands.md": page(
            "Commands",
            "Results go to standard output, progress and errors to standard error; with `--json` one JSON object goes "
            "to standard output and nothing else.",
            table(["`hft-incident …`", "Does"], rows),
            table(
                ["Exit code", "Means"],
                [
                    ["0", "done and proven"],
                    ["1", "failed"],
                    ["2", "wrong usage or configuration; nothing was changed"],
                    ["3", "acted, but not proven: a venue is `open` or `unknown`, a postcondition failed"],
                    ["4", "held: waiting for an approval or a condition"],
                ],
            ),
            *(part for name in COMMANDS for part in _command(name)),
        )
    }


def _command(name: str) -> Iterator[str]:
    text = help_of(name)
    yield f"## {name}\n\n{block(text)}"
    for words in _WORDS.findall(text):
        for word in words.split("|"):
            yield f"### {name} {word}\n\n{block(help_of(name, word))}"


def help_of(*words: str) -> str:
    """What ``hft-incident … --help`` prints."""
    shown = StringIO()
    # argparse ends the program after its help
    with patch.dict(os.environ, COLUMNS=WIDTH), redirect_stdout(shown), suppress(SystemExit):
        main([*words, "--help"])
    return shown.getvalue()
