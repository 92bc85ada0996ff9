# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Finding the venues file: which place counts first; and reading it in one line of words where it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.settings import SettingsError
from hft_incident import venues_file

FILE = "hft_venues:\n  - {name: a, driver: okx, api_key: 'env:K', api_secret: 'env:S'}\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and nothing from outside."""
    for name in ("HFT_INCIDENT_VENUES", "ANSIBLE_INVENTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def inventory(folder: Path) -> str:
    path = folder / "group_vars" / "all" / "venues.yml"
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    return str(path)


def test_the_nearer_place_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place is added behind the backs of those before it, and counts from then on."""
    lab = inventory(tmp_path / "home" / "lab" / "inventory")
    assert venues_file.find() == lab
    configured = inventory(tmp_path / "configured")
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nforks = 5\ninventory = {tmp_path / 'configured'}\n")
    assert venues_file.find() == configured
    asked = inventory(tmp_path / "asked")
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(tmp_path / "asked"))
    assert venues_file.find() == asked
    monkeypatch.setenv("HFT_INCIDENT_VENUES", "/from/the/environment.yml")
    assert venues_file.find() == "/from/the/environment.yml"
    assert venues_file.find("/named.yml") == "/named.yml"


def test_an_inventory_may_be_a_file_or_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inventory(tmp_path / "second")
    (tmp_path / "second" / "hosts.yml").write_text("all:\n")
    monkeypatch.setenv("ANSIBLE_INVENTORY", f"{tmp_path / 'first'},{tmp_path / 'second' / 'hosts.yml'}")
    assert venues_file.find() == found


def test_where_there_is_none_the_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(tmp_path / "asked"))
    with pytest.raises(SettingsError, match=r"no venues file: .*asked.*/etc/hft-incident"):
        venues_file.find()


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert [entry.name for entry in venues_file.load(inventory(tmp_path / "x")).venues] == ["a"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{\n", "not valid YAML, line 2"),
        (b"hft_venues:\n- a: b: c\n", "not valid YAML, line 2"),
        (b"\xff\xfe\x00", "f.yml"),
        (b"hft_venues: !!python/object/apply:os.system [id]\n", "not valid YAML"),
        (b"", "no 'hft_venues'"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        venues_file.load(str(path))
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_a_folder_or_missing_is_told(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "is a directory"), (tmp_path / "none.yml", "no such file")):
        with pytest.raises(SettingsError, match=words):
            venues_file.load(str(path))
