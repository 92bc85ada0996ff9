# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""From an entry of the venues file to an account that can be asked: the dialect, its lines, its address, its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import SecretError
from ansible_collections.hft.incident.plugins.module_utils.settings import SettingsError, VenueEntry, venue_entries
from ansible_collections.hft.incident.plugins.module_utils.venues import DRIVERS, open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import AuthError

KEY, SECRET, PASSPHRASE = "the-key", "c2VjcmV0", "the-passphrase"


@pytest.fixture(autouse=True)
def _key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"T_KEY": KEY, "T_SECRET": SECRET, "T_PASSPHRASE": PASSPHRASE}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("T_MISSING", raising=False)


def entry(driver: str = "binance", **changes: Any) -> VenueEntry:
    key = {"api_key": "env:T_KEY", "api_secret": "env:T_SECRET", "api_passphrase": "env:T_PASSPHRASE"}
    return VenueEntry(**{"name": "main", "driver": driver, **key, **changes})


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_opens_at_its_own_address_with_every_line(driver: str) -> None:
    venue = open_venue(entry(driver))
    assert venue.driver == driver
    assert venue.lines == venue.all_lines
    assert venue.http.address == HttpClient(venue.default_origin).address
    assert venue.http.secure


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_key_is_resolved_and_does_not_print_itself(driver: str) -> None:
    venue = open_venue(entry(driver))
    assert (venue.key, venue.secret, venue.passphrase) == (KEY, SECRET, PASSPHRASE)
    printed = f"{vars(venue)} {venue}"
    for value in (KEY, SECRET, PASSPHRASE):
        assert value not in printed


def test_a_driver_of_ccxts_is_named_by_its_exchange() -> None:
    assert open_venue(entry("ccxt:gate"), keyless=True).driver == "ccxt:gate"


@pytest.mark.parametrize("driver", ["", "Binance", "binance:spot", "nowhere", "ccxt", "ccxt:", "os:path"])
def test_an_unknown_driver_is_a_setting_to_mend_and_the_known_ones_are_named(driver: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown driver '{driver}'; known: binance, .*deribit, ccxt:<id>"):
        open_venue(entry(driver))


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_unknown_product_line_is_a_setting_to_mend_and_the_known_ones_are_named(driver: str) -> None:
    known = open_venue(entry(driver)).all_lines
    with pytest.raises(SettingsError, match=f"unknown product line 'bonds'; {driver} has: {', '.join(known)}"):
        open_venue(entry(driver, product_lines=(known[0], "bonds")))


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_account_can_be_restricted_to_some_lines(driver: str) -> None:
    line = open_venue(entry(driver)).all_lines[-1]
    assert open_venue(entry(driver, product_lines=(line,))).lines == (line,)


@pytest.mark.parametrize("field", ["api_key", "api_secret", "api_passphrase"])
def test_a_secret_that_is_not_there_is_named_by_its_field_and_its_reference(field: str) -> None:
    with pytest.raises(SecretError, match=f"{field}: environment variable T_MISSING is not set"):
        open_venue(entry(**{field: "env:T_MISSING"}))


@pytest.mark.parametrize("field", ["api_key", "api_secret"])
@pytest.mark.parametrize("absent", [None, ""])
def test_an_entry_without_a_key_is_refused(field: str, absent: Any) -> None:
    with pytest.raises(SecretError, match=field):
        open_venue(entry(**{field: absent}))


def test_a_secret_in_clear_is_refused_and_never_shown() -> None:
    with pytest.raises(SecretError, match="api_secret: not a reference") as caught:
        open_venue(entry(api_secret="hunter2hunter2"))
    assert "hunter2" not in str(caught.value)


def test_a_secret_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    assert open_venue(entry(api_secret=f"file:{file}")).secret == SECRET
    file.chmod(0o644)
    with pytest.raises(SecretError, match="can be read by others") as caught:
        open_venue(entry(api_secret=f"file:{file}"))
    assert SECRET not in str(caught.value)


def test_most_keys_have_no_passphrase_and_one_that_needs_it_says_so() -> None:
    venue = open_venue(entry("okx", api_passphrase=None))
    with pytest.raises(AuthError, match="api_passphrase is not set"):
        _ = venue.passphrase


def test_without_a_key_the_secrets_are_left_alone() -> None:
    unset = dict.fromkeys(("api_key", "api_secret", "api_passphrase"), "env:T_MISSING")
    venue = open_venue(entry(**unset), keyless=True)
    with pytest.raises(AuthError, match="needs a key"):
        _ = venue.key


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"name": "main", "api_key": "env:T_KEY", "api_secret": "env:T_SECRET"}, "'driver' is missing"),
        ({"name": "main", "driver": "binance", "api_secret": "env:T_SECRET"}, "'api_key' is missing"),
        (
            {
                "name": "main",
                "driver": "binance",
                "api_key": "env:T_KEY",
                "api_secret": "env:T_SECRET",
                "base_url": "ftp://venue",
            },
            "'base_url' is not an http",
        ),
    ],
)
def test_the_fault_of_an_entry_is_told_when_it_is_opened(row: dict[str, str], fault: str) -> None:
    (faulty,) = venue_entries([row])
    with pytest.raises(SettingsError, match=fault):
        open_venue(faulty)


def test_the_address_and_the_time_limit_of_the_entry_are_used() -> None:
    venue = open_venue(entry(base_url="http://127.0.0.1:9000", ca_file="/ca.pem"), request_timeout=0.5)
    assert venue.http.address == ("127.0.0.1", 9000)
    assert (venue.http.secure, venue.http.ca_file, venue.http.request_timeout) == (False, "/ca.pem", 0.5)
