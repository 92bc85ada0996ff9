# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The command `hft-incident`: hands over to the one command that was asked for, and loads nothing else.

Results go to standard output, everything else to standard error; exit codes are those of contracts.md.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # type checkers take this name for true; importing typing would cost the red button 4 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HELP = """usage: hft-incident COMMAND [ARGUMENT …]

One command per trading incident: the money safe in seconds, the evidence kept, trading resumed only when proven safe.

commands:
{commands}

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
    _open_streams()
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    try:
        code = _run(name, arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("hft-incident: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough of it
        _drop_output()
        return 141
    except OSError as error:  # a full disk behind our output, for one
        named = f"{error.filename}: " if error.filename else ""
        print(f"hft-incident: {named}{error.strerror or error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return 1
    return code


def _open_streams() -> None:
    """Standard streams that take whatever is printed: the place of one that is closed must not go to the next file
    that is opened, the record for one; and a terminal that knows no ellipsis is no reason to fail."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115  for as long as we live
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """What could not be written is not tried again: Python would complain when it closes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        from .command_list import COMMANDS

        print(HELP.format(commands="\n".join(f"  {command:<11} {does}" for command, does in COMMANDS.items())), end="")
        return 0
    if name == "--version":
        from . import __version__

        print(f"hft-incident {__version__}")
        return 0
    return _run_command(name, arguments)


def _run_command(name: str, arguments: list[str]) -> int:
    from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError, UsageError

    from .command_list import COMMANDS

    try:
        if any(map(_is_no_text, (name, *arguments))):
            raise UsageError("an argument is not text in UTF-8; type it again")
        if name not in COMMANDS:
            raise UsageError(_unknown(name, COMMANDS))
        from .commands import run_command

        return run_command(name, arguments)
    except IncidentError as error:
        code = EXIT_CODES[error.outcome]
        print(f"hft-incident: {error}", file=sys.stderr)
        if "--json" in arguments:
            import json

            print(json.dumps({"outcome": error.outcome, "exit_code": code, "reason": str(error)}))
        return code


def _is_no_text(argument: str) -> bool:
    """Whether it holds bytes that Python could not decode: no record and no variable of a playbook can hold them."""
    return any("\ud800" <= letter <= "\udfff" for letter in argument)


def _unknown(name: str, commands: Iterable[str]) -> str:
    if not name:
        return "say what to do; `hft-incident --help` lists the commands"
    from difflib import get_close_matches

    near = get_close_matches(name, commands, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown command {name!r}{meant}; `hft-incident --help` lists them"


if __name__ == "__main__":
    sys.exit(main())
