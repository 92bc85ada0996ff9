# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door on the control node: a module's own step, run in process where there is no remote host to go to.

An in-process step costs almost nothing, a shipped module 0.4 s (architecture.md, idea 5). On a remote host the module
itself is shipped, by the same task and with the same result. What a task leaves out, the inventory says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.hft.incident.plugins.module_utils.errors import HeldError, IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident
from ansible_collections.hft.incident.plugins.module_utils.intents import register
from ansible_collections.hft.incident.plugins.module_utils.redaction import scrub_text
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Step, event, run_step

if TYPE_CHECKING:
    from ansible_collections.hft.incident.plugins.module_utils.evidence_guard import Ruling

#: The options that say what the site has and where, each with the variable of the inventory that knows it. What is a
#: task's own decision (a unit, a gate, how long to wait) is not among them.
FROM_INVENTORY: Mapping[str, str] = {
    "venues": "hft_venues",
    "trading_systems": "hft_trading_systems",
    "gates": "hft_gates",
    "allowed_signers": "hft_allowed_signers",
    "systemctl": "hft_systemctl",
    "journalctl": "hft_journalctl",
    "coredumpctl": "hft_coredumpctl",
    "hold_file": "hft_hold_file",
    "log_files": "hft_log_files",
    "config_file": "hft_config_file",
    "version_command": "hft_version_command",
    "signing_key": "hft_evidence_signing_key",
    "encrypt_to": "hft_evidence_recipients",
    "validate_command": "hft_validate_command",
    "watched_paths": "hft_watched_paths",
    "database": "hft_database",
    "approved": "hft_release",
    "config_repository": "hft_config_repository",
    "expected_programs": "hft_expected_programs",
    "expected_listeners": "hft_expected_listeners",
    "expected_peers": "hft_expected_peers",
    "known_networks": "hft_known_networks",
    "package_baseline": "hft_package_baseline",
    "accepted_findings": "hft_accepted_findings",
    "checks": "hft_audit_checks",
    "kernel_modules": "hft_kernel_modules",
    "clocks": "hft_regulatory_clocks",
    "keys": "hft_api_keys",
    "withdrawal_addresses": "hft_withdrawal_addresses",
    "client_id_pattern": "hft_client_id_pattern",
    "secret_store": "hft_secret_store",
    "deliver_command": "hft_deliver_command",
    "credentials": "hft_credentials",
    "responders": "hft_responders",
    "forbidden": "hft_isolation_forbidden",
    "external_command": "hft_external_isolation_command",
    "on_host": "hft_isolate_on_host",
}
#: What of the inventory says who may do without evidence.
WHO_MAY = ("hft_gates", "hft_allowed_signers")


class Door(ActionBase):
    """One module's action plugin; subclasses name the ``step``."""

    step: ModuleType
    #: Whether what it intends is to be undone later; what undoes is not.
    registers = True
    #: Whether it works on the record, which is here: then it is not shipped to the play's host.
    stays = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The step's result, or the shipped module's on a remote host."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        shipped = self._connection.transport != "local" and not self.stays
        try:
            args = self._arguments(variables)
            guarded = "require_evidence" in args
            params = None if shipped and not guarded else self._checked(args)
            ruled = self._ruling(params, variables, shipped) if params and guarded else None
        except IncidentError as error:
            return refusal(error)
        if ruled and ruled.refusal and not self._task.check_mode:
            record = [event(kind, data) for kind, data in ruled.record]
            return {**refusal(HeldError(ruled.refusal)), "changed": False, "record": record}
        if params is None or shipped:
            result: dict[str, Any] = self._execute_module(module_args=args, task_vars=task_vars)
        else:
            result = run_step(self._step_for(variables), params, self._context(variables))
        if ruled and ruled.refusal:
            result["msg"] = f"{result.get('msg', '')}; but it would be refused: {ruled.refusal}"
        return result

    def _ruling(self, params: Params, task_vars: Mapping[str, Any], shipped: bool) -> Ruling | None:
        """Whether what would destroy evidence may go on; what people have waived is on record then.

        Raises IncidentError, also where it cannot be recorded.
        """
        if not params["require_evidence"]:
            return None
        folder = os.environ.get(ENV_DIR)
        if not folder:
            raise UsageError("require_evidence: no incident is open here, so no evidence can be on record")
        from ansible_collections.hft.incident.plugins.module_utils.evidence_guard import ruling  # not every task asks

        incident = Incident(Path(folder).name, Path(folder))
        # Not from the task: who may waive evidence is the inventory's word.
        policy = {name: self._templated(name, task_vars) for name in WHO_MAY if name in task_vars}
        hosts = params["evidence_of"] or [self._works_on(task_vars, shipped)]
        ruled = ruling(incident, hosts, policy.get("hft_gates") or {}, policy.get("hft_allowed_signers"))
        if not ruled.refusal and not self._task.check_mode:
            incident.journal.extend(ruled.record)
        return ruled

    def _works_on(self, task_vars: Mapping[str, Any], shipped: bool) -> str:
        """The host of the inventory that the task changes: of one that is shipped, the one that it is delegated to."""
        delegated = self._task.delegate_to if shipped else None
        return str(delegated or task_vars.get("inventory_hostname", "localhost"))

    def _arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's own, which win, and what it leaves out, from the inventory; raises UsageError."""
        given = dict(self._task.args)
        for option, variable in FROM_INVENTORY.items():
            wanted = self.step.ARGUMENT_SPEC.get(option)
            if wanted is None or option in given:
                continue
            if variable in task_vars:
                given[option] = self._templated(variable, task_vars)
            elif wanted.get("required"):
                raise UsageError(f"missing required arguments: {option} (and the inventory has no {variable})")
        return given

    def _templated(self, variable: str, task_vars: Mapping[str, Any]) -> Any:
        """Its value as it stands in the inventory, which also knows whether it may be a template."""
        try:
            return self._templar.template(task_vars[variable])
        except AnsibleError as error:
            raise UsageError(f"{variable} of the inventory: {error}") from error

    def _checked(self, args: Mapping[str, Any]) -> Params:
        """As the module would check them; raises UsageError."""
        validator = ArgumentSpecValidator(self.step.ARGUMENT_SPEC, required_if=getattr(self.step, "REQUIRED_IF", None))
        checked = validator.validate(untagged(args))
        if checked.error_messages:
            raise UsageError("; ".join(checked.error_messages))
        params: Params = checked.validated_parameters
        return params

    def _step_for(self, _task_vars: Mapping[str, Any]) -> Step:
        """What is run here, for the play's host."""
        run: Step = self.step.run
        return run

    def _context(self, task_vars: Mapping[str, Any]) -> Context:
        """Where the scribe has opened a journal, what the step notes and intends goes straight into it."""
        check = bool(self._task.check_mode)
        folder = os.environ.get(ENV_DIR)
        if not folder:
            return Context(check, _nowhere)
        incident = Incident(Path(folder).name, Path(folder))

        def note(kind: str, data: Mapping[str, Any]) -> None:
            incident.journal.append(kind, data)

        if check or not self.registers:
            return Context(check, note)
        # Of a delegated task, too, the play's host: there it is undone.
        host = str(task_vars.get("inventory_hostname", ""))
        return Context(check, note, partial(register, incident, task=self._task.get_name(), host=host))


def untagged(value: Any) -> Any:
    """The same in Python's own types. Ansible's own strings and numbers, which know where they come from, are copied a
    hundred times more slowly; the validator copies all it is given, which for every host is the whole fleet."""
    if isinstance(value, Mapping):
        return {untagged(key): untagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [untagged(item) for item in value]
    for native in (bool, str, int, float):  # a bool is an int, too
        if isinstance(value, native):
            return native(value)
    return value


def refusal(error: IncidentError) -> dict[str, Any]:
    """The result of a task that was not begun. Ansible's words about the inventory may quote it."""
    return {"failed": True, "msg": scrub_text(str(error)), "outcome": error.outcome}


def _nowhere(_kind: str, _data: Mapping[str, Any]) -> None:
    """No incident is open."""
