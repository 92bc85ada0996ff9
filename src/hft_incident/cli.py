# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The command `hft-incident`: hands over to the one command that was asked for, and loads nothing else.

Results go to standard output, everything else to standard error; exit codes are those of contracts.md.
"""

from __future__ import annotations

import sys

from .command_list import COMMANDS

TYPE_CHECKING = False  # type checkers take this name for true; importing typing would cost the red button 4 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = f"""usage: hft-incident COMMAND [ARGUMENT …]

One command per trading incident: the money safe in seconds, the evidence kept, trading resumed only when proven safe.

commands:
{chr(10).join(f"  {name:<11} {does}" for name, does in COMMANDS.items())}

options:
  -h, --help  this text; `hft-incident COMMAND --help` for one command
  --version   the version

exit codes: 0 done and proven, 1 failed, 2 wrong usage or configuration (nothing was changed),
            3 acted, but not proven, 4 held: waiting for approval or for a condition

example:
  hft-incident run exchange_outage -e exchange=binance
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    try:
        code = _run(name, arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("hft-incident: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough of it; Python would complain when it closes it.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _run(name: str, arguments: list[str]) -> int:
    if name == "kill":
        import gc

        gc.disable()  # it lives for seconds; looking for garbage between the imports would cost it milliseconds
        from .red_button import main as kill

        try:
            kill(arguments)
        finally:  # `--help` and wrong usage come back to a caller that may live on
            gc.enable()
    if name in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if name == "--version":
        from . import __version__

        print(f"hft-incident {__version__}")
        return 0
    return _run_command(name, arguments)


def _run_command(name: str, arguments: list[str]) -> int:
    from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError, UsageError

    try:
        if name not in COMMANDS:
            raise UsageError(_unknown(name))
        from .commands import run_command

        return run_command(name, arguments)
    except IncidentError as error:
        code = EXIT_CODES[error.outcome]
        print(f"hft-incident: {error}", file=sys.stderr)
        if "--json" in arguments:
            import json

            print(json.dumps({"outcome": error.outcome, "exit_code": code, "reason": str(error)}))
        return code


def _unknown(name: str) -> str:
    if not name:
        return "say what to do; `hft-incident --help` lists the commands"
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown command {name!r}{meant}; `hft-incident --help` lists them"


if __name__ == "__main__":
    sys.exit(main())
