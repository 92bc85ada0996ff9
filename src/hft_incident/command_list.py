# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every command of `hft-incident`, and what it is for in a line; the red button does not load it."""

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
    "init": "an inventory to start from: the example, to write your site into",
    "doctor": "can this machine do its job right now? Each check a line, with its mend",
    "completion": "the script that completes all this in bash, zsh or fish",
    "evidence": "what was kept of an incident's hosts; copies an item out; who looked, and why, is on record",
    "verify": "whether the record of an incident is as it was written",
}
