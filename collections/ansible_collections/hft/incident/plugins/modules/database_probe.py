#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that a database takes a write; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: database_probe
short_description: Prove that a PostgreSQL database takes a write
version_added: 0.2.0
description:
  - C(SELECT 1) succeeds on a standby, on a read-only server and on one whose disk is full. So a row is written and
    committed (with C(synchronous_commit)), read back over a new connection, and removed again.
  - Where the table O(table) exists, the row goes there, and the role needs C(SELECT), C(INSERT) and C(DELETE) on it.
    Where it does not, the probe makes a table of its own, C(<table>_<time>_<mark>), and drops it in the same call; for
    that the role needs C(CREATE) in the schema. For a role without that right in production, let the owner make the
    table once, C(CREATE TABLE hft_incident_probe (id text)), and grant these three. The message says so too.
  - It ends at O(timeout), whatever the server does, also where it stops answering in the middle of a statement. A
    quarter of the time is set aside for removing what was written. What could not be removed is named in
    RV(left_behind), and the next probe removes it after an hour.
  - The password is never part of a command line, a message, a result or the journal.
options:
  database:
    description:
      - Where the database is and as whom to ask, as seen from the host that the task runs on.
      - C(host) (one, or the folder of a socket), C(dbname) and C(user) are needed. C(port) is 5432, C(sslmode) is
        V(prefer), C(connect_timeout) is 3 seconds if they are not given. C(sslrootcert) is a path on that host.
      - C(password) is a reference, C(env:NAME), C(file:PATH) or C(cmd:COMMAND), read on that host. Without one the
        server must let the role in without, or C(.pgpass) has it.
      - Where it is left out, C(hft_database) of the inventory is taken.
    type: dict
    required: true
  require:
    description:
      - V(none), whatever is found is data.
      - V(answers), the run is held unless the server answers queries.
      - V(writable), the run is held unless the write is proven.
    type: str
    choices: [none, answers, writable]
    default: none
  table:
    description: The table for the row, with or without its schema.
    type: str
    default: hft_incident_probe
  timeout:
    description: Seconds for everything.
    type: float
    default: 10.0
attributes:
  check_mode:
    support: full
    description: Reads only (recovery, read-only, the rights on the table) and predicts the verdict. It does not hold
      the run, but says in RV(would_hold) whether it would.
  diff_mode:
    support: full
    description: Only what was left behind, if anything was.
  idempotent:
    support: full
    description: It leaves nothing behind, so each call is as the first.
requirements:
  - psycopg 3 on the host that the task runs on (C(python3-psycopg))
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Is the database there, and does it take writes?
  hft.incident.database_probe:
    database:
      host: db1.firm.example
      dbname: hft_db
      user: hft_incident
      password: file:/etc/hft-incident/keys/database
      sslmode: verify-full

- name: Nothing is started before the database takes writes
  hft.incident.database_probe:
    database: "{{ hft_database }}"
    require: writable
"""

RETURN = r"""
verdict:
  description:
    - V(writable), a write was committed, read back and removed.
    - V(read_only), it answers and refuses writes.
    - V(standby), it is in recovery.
    - V(disk_full), it answers and has no room for a write.
    - V(unreachable), nothing accepts connections there, or not in time.
    - V(refused), it answers and does not let the role in, or not do this.
    - V(unknown), anything else, such as an answer that did not come in time in the middle of the write.
  returned: always
  type: str
  sample: read_only
reason:
  description: What the verdict rests on.
  returned: always
  type: str
  sample: "while writing: cannot execute INSERT in a read-only transaction"
cause:
  description: The reason as a word, such as V(timeout), V(locked), V(no_right), V(too_many_connections),
    V(starting_or_stopping), V(not_replicated), or the server's own code; empty where it is writable.
  returned: always
  type: str
  sample: read_only
host:
  description: The host that was asked.
  returned: always
  type: str
  sample: db1.firm.example
port:
  description: Its port.
  returned: always
  type: int
  sample: 5432
dbname:
  description: The database.
  returned: always
  type: str
  sample: hft_db
user:
  description: The role.
  returned: always
  type: str
  sample: hft_incident
server_version:
  description: The version of the server; null where it answered nothing.
  returned: always
  type: str
  sample: "16.4"
role:
  description: V(primary) or V(standby); null where it answered nothing.
  returned: always
  type: str
  sample: primary
connect_ms:
  description: Milliseconds until the connection stood.
  returned: always
  type: float
  sample: 4.1
write_ms:
  description: Milliseconds for the write with its own connection and commit; null where there was none.
  returned: always
  type: float
  sample: 7.9
left_behind:
  description: A table or row of the probe that may still be there; null where there is none.
  returned: always
  type: str
  sample: null
would_hold:
  description: Whether O(require) would hold the run.
  returned: in check mode
  type: bool
  sample: true
outcome:
  description: V(held) where O(require) is not met.
  returned: on failure
  type: str
  sample: held
record:
  description: The event C(database.probed) for the incident's journal.
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - kind: database.probed
      data: {host: db1.firm.example, port: 5432, dbname: hft_db, user: hft_incident, verdict: writable,
             reason: "a write was committed, read back over a new connection and removed", cause: "",
             server_version: "16.4", role: primary, connect_ms: 4.1, write_ms: 7.9, left_behind: null}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import database_probe


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=database_probe.ARGUMENT_SPEC, supports_check_mode=True), database_probe.run)


if __name__ == "__main__":
    main()
