# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The command `hft-incident`: hands over to the one command that was asked for, and loads nothing else.

Results go to standard output, everything else to standard error; exit codes are those of contracts.md.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers take this name for true; importing typing would cost the red button 4 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "list": "the incident types, a line each",
    "run": "open an incident and run its playbook",
    "resume": "go on with an incident where its record says it stopped",
    "kill": "the red button: cancel every order at every venue, with no Ansible in the way",
    "drill": "start the lab, break it, run the playbook, score it, stop the lab",
    "lab": "up, down or status: the lab by itself",
    "status": "incidents and where they stand, or one of them in full",
    "timeline": "what happened in an incident, a line each",
    "severity": "set: raise or lower an incident's; explain: which rule decided, and why",
    "ack": "say that you have it: nobody else is paged",
    "role": "name or hand over who leads, operates, communicates, writes, talks to the desk",
    "clocks": "by when regulators have to be notified; --met NAME: somebody has",
    "comms": "tell everybody what is due now; --table and --check show and check who is told what, when and how",
    "key": "put: store an API key that a person made on a venue's website, for the rotation to go on with",
    "credentials": "the other credentials that a breach touches: who replaces which, ticked on record",
    "report": "the draft of a post-mortem, as Markdown and HTML, every figure with its line of the record",
    "actions": "the action items that people wrote into the report, as issues: JSON or CSV",
    "metrics": "how long it took to detect, contain, restore …: over all incidents, drills apart",
    "approve": "one person's signed approval, where an incident waits for it",
    "doctor": "can this machine do its job right now? Each check a line, with its mend",
    "completion": "the script that completes all this in bash, zsh or fish",
    "evidence": "what was kept of an incident's hosts; copies an item out; who looked, and why, is on record",
    "verify": "whether the record of an incident is as it was written",
}

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
