# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The incident types and what may be handed to their playbooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES
from hft_incident import catalog
from hft_incident.catalog import CATALOG, checked_inputs, lookup, missing_input

OUTAGE = CATALOG["exchange_outage"]


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection that has the playbook of an exchange outage and no other."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "exchange_outage.yml").write_text("[]")
    monkeypatch.setattr(catalog, "COLLECTION", tmp_path)
    return tmp_path


def test_the_catalog_has_every_type_of_the_record_in_the_order_of_the_runbook() -> None:
    assert tuple(CATALOG) == TYPES
    assert [entry.section for entry in CATALOG.values()] == list(range(3, 11))


def test_the_collection_is_found_where_its_code_is() -> None:
    assert (catalog.COLLECTION / "galaxy.yml").is_file()
    assert (catalog.COLLECTIONS_ROOT / "ansible_collections" / "hft" / "incident") == catalog.COLLECTION


def test_a_type_with_a_playbook_is_found(collection: Path) -> None:
    assert lookup("exchange_outage").playbook == collection / "playbooks" / "exchange_outage.yml"


@pytest.mark.usefixtures("collection")
def test_a_type_without_a_playbook_is_refused_and_says_what_there_is() -> None:
    with pytest.raises(UsageError, match="system_crash has no playbook yet; this version has: exchange_outage"):
        lookup("system_crash")


def test_a_mistyped_type_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UsageError, match="did you mean 'exchange_outage'"):
        lookup("exchange_outtage")


def test_a_declared_input_and_a_threshold_are_taken() -> None:
    given = {"exchange": "binance", "hft_stability_window_s": "5"}
    assert checked_inputs(OUTAGE, given) == given


@pytest.mark.parametrize("value", ["true", "False", "yes", "0", ""])
def test_whether_it_is_confirmed_is_a_boolean_as_ansible_knows_them(value: str) -> None:
    assert checked_inputs(OUTAGE, {"exchange": "binance", "confirmed": value})


def test_a_fact_for_the_severity_may_be_a_word() -> None:
    assert checked_inputs(OUTAGE, {"hft_fact_exchanges_down": "all"})


@pytest.mark.parametrize("value", ["2026-11-20T00:00:00Z", "2026-11-20 00:00:00+01:00", ""])
def test_a_time_has_a_zone(value: str) -> None:
    assert checked_inputs(CATALOG["security_breach"], {"since": value})


@pytest.mark.parametrize("name", ["exchnage", "ansible_connection", "hft-window", "hosts", ""])
def test_any_other_variable_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="takes no"):
        checked_inputs(OUTAGE, {"exchange": "binance", name: "x"})


def test_a_secret_in_clear_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError) as refusal:
        checked_inputs(OUTAGE, {"hft_api_secret": "s3cr3t-value"})
    assert "hft_api_secret" in str(refusal.value)
    assert "s3cr3t" not in str(refusal.value)


def test_a_reference_to_a_secret_is_taken() -> None:
    assert checked_inputs(OUTAGE, {"hft_api_secret": "env:BINANCE_SECRET"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hft_gates", '{"resume_trading": {"people": 1, "groups": ["trading"]}}'),
        ("hft_allowed_signers", "mine"),
        ("hft_allowed_signers", "file:mine"),
        ("hft_hold_file", "/elsewhere"),
        ("hft_unit", "cron.service"),
        ("hft_venues", "[]"),
        ("hft_release", ""),
        ("hft_stability_window_s", "nan"),
    ],
)
def test_what_is_no_number_is_the_inventorys_to_say(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: .*only the inventory"):
        checked_inputs(OUTAGE, {"exchange": "binance", name: value})


@pytest.mark.parametrize("given", [{}, {"exchange": ""}, {"exchange": "  "}])
def test_a_required_input_that_is_absent_or_empty_is_missing(given: dict[str, str]) -> None:
    missing = missing_input(OUTAGE, given)
    assert missing is not None
    assert missing.name == "exchange"


def test_nothing_is_missing_when_every_required_input_is_there() -> None:
    assert missing_input(OUTAGE, {"exchange": "okx"}) is None
