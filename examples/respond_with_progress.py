# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A service of yours that responds to an incident and shows how it goes: `respond()` with progress events.

    python examples/respond_with_progress.py exchange_outage exchange=binance

Prints a JSON object a line: each event of the record as it is written, then the outcome. `respond` is safe to call from
several threads; a response goes on if this process dies, and `hft-incident resume` takes it up.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError
from hft_incident import respond


def show(event: Event) -> None:
    """Of an event its kind and data are what a dashboard wants; ``seq`` is its line in the record."""
    print(json.dumps({"at": event.at, "seq": event.seq, "kind": event.kind}), flush=True)


def pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main(incident_type: str, inputs: Mapping[str, str]) -> int:
    try:
        outcome = respond(incident_type, inputs=inputs, on_event=show)
    except IncidentError as error:  # it could not even begin: nothing was changed
        print(json.dumps({"outcome": error.outcome, "reason": str(error)}))
        return EXIT_CODES[error.outcome]
    # "held" is no failure: all is safe, and it waits for two people (outcome.next says what they have to do).
    print(json.dumps(outcome.to_json()))
    return outcome.exit_code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Respond to an incident and show how it goes.")
    parser.add_argument("type", help="the incident's type")
    parser.add_argument(
        "inputs", nargs="*", default=[], type=pair, metavar="NAME=VALUE", help="what its playbook asks for"
    )
    options = parser.parse_args()
    sys.exit(main(options.type, dict(options.inputs)))
