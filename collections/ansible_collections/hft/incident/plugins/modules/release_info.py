# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this the approved release, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Compare a host with the approved release and validate its configuration
version_added: 0.2.0
description:
  - Hashes every file of the approved release, asks the program for its version, and runs its own validation of the
    configuration. A configuration may be valid and still not be the one that was approved.
  - V(approved) needs all of it, every file the same, the version the same, the configuration valid. What could not be
    seen makes it V(unknown).
  - Commands are lists of words that start with an absolute path, run without a shell, without a terminal and with a
    deadline. A relative path in them is refused, since it means something else where somebody else stands.
extends_documentation_fragment:
  - hft.incident.attributes.reads
options:
  approved:
    description:
      - The approved release, as C(hft_release) of the inventory has it, with C(version) (text), C(files) (absolute
        paths with their SHA-256) and optionally C(config_commit) (the commit of the configuration, which
        M(hft.incident.host_audit_info) compares).
      - Where it is left out, C(hft_release) of the inventory is taken.
    type: dict
    required: true
  version_command:
    description:
      - Prints the deployed version; the approved one must be a word of its last line.
      - Where it is left out, C(hft_version_command) of the inventory is taken.
    type: list
    elements: str
    default: []
  validate_command:
    description:
      - Validates the configuration; it is valid where this exits with 0.
      - Where it is left out, C(hft_validate_command) of the inventory is taken.
    type: list
    elements: str
    default: []
  require:
    description: With V(approved), the run is held where the verdict is another one.
    type: str
    choices: [approved]
  timeout:
    description: Seconds for each of the two commands.
    type: float
    default: 30.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.crash_report_info
"""

EXAMPLES = r"""
- name: Start nothing that was not approved
  hft.incident.release_info:
    approved: "{{ hft_release }}"
    version_command: "{{ hft_version_command }}"
    validate_command: "{{ hft_validate_command }}"
    require: approved

- name: Only look
  hft.incident.release_info:
    approved:
      version: "1.4.2"
      files:
        /etc/hft/config.json: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    version_command: [/opt/hft/bin/engine, --version]
    validate_command: [/opt/hft/bin/engine, --validate-config, --config, /etc/hft/config.json]
"""

RETURN = r"""
verdict:
  description:
    - V(approved), it is the approved release and its configuration is valid.
    - V(not_approved), something differs, is missing or is not valid.
    - V(unknown), nothing is known to differ, and not everything could be seen.
  returned: always
  type: str
  sample: not_approved
reasons:
  description: Everything that speaks against it, a sentence each.
  returned: always
  type: list
  elements: str
  sample: [/etc/hft/config.json is different]
version:
  description: C(approved), C(deployed) (what the program said), C(same) (null where it is not known), C(reason).
  returned: always
  type: dict
  sample: {approved: 1.4.2, deployed: hft 1.4.2, same: true, reason: ""}
files:
  description: Each file of the release.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: Where it is., type: str}
    state: {description: "V(same), V(different), V(missing) or V(unreadable).", type: str}
    expected_sha256: {description: The approved one., type: str}
    sha256: {description: The one of what lies here; null where it cannot be said., type: str}
    reason: {description: Why it is not the same., type: str}
  sample:
    - path: /etc/hft/config.json
      state: different
      expected_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
      reason: its content is another one
valid:
  description: Whether the configuration is valid; null where nobody could say.
  returned: always
  type: bool
  sample: true
validation:
  description: C(valid), C(rc), C(last_line) of what the command printed (without secrets), C(reason).
  returned: always
  type: dict
  sample: {valid: true, rc: 0, last_line: the configuration is valid, reason: ""}
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import release_info


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=release_info.ARGUMENT_SPEC, supports_check_mode=True), release_info.run)


if __name__ == "__main__":
    main()
