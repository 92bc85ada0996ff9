# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Runs the drill and draws what it printed as docs/drill.svg, the picture in the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "drill.svg"
COLUMNS = 132
#: Words that say how safe the firm is, and their colors.
COLORS = {
    "green": ("clear", "PASSED", "ok ", "stopped", "reconciled", "healthy", "done"),
    "bold red": ("open orders", "HTTP 502", "venue_down", "ALERT", "BAD", "FAILED"),
    "bold cyan": ("DETECT", "CONTAIN", "ASSESS", "MITIGATE", "RECOVER", "VALIDATE", "REVIEW"),
}


def main() -> int:
    """The drill's own exit code; the picture is only written where it passed."""
    with tempfile.TemporaryDirectory() as home:
        ran = subprocess.run(  # noqa: S603  # our own command
            [str(Path(sys.executable).with_name("hft-incident")), "drill", "exchange_outage"],
            env={**os.environ, "HFT_INCIDENT_HOME": home},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text("$ make drill", style="bold"))
    for line in ran.stdout.replace(home, "…").splitlines():
        drawn = Text(line[: COLUMNS - 1] + ("…" if len(line) >= COLUMNS else ""))
        for style, words in COLORS.items():
            drawn.highlight_words(words, style)
        console.print(drawn)
    if ran.returncode == 0:
        drawing = console.export_svg(title="hft-incident")
        # Rich names fonts to be fetched; the picture has to be the same without a network.
        PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL), encoding="utf-8")
    print(ran.stdout)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
