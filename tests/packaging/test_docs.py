# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The documentation has everything that there is, says nothing that is not so, and needs no network to be read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tools.docs import commands, generated, journal, modules, playbooks, variables
from tools.docs.text import DATA, documented, plain, read

from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES, TYPES
from hft_incident.catalog import CATALOG, IncidentType
from hft_incident.command_list import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted((ROOT / "docs").glob("*.md"))
#: Elements and attributes that a browser loads by itself; of a link to click it loads nothing.
LOADED = {"a": (), "link": ("href",), "image": ("href", "xlink:href")}
LOADED_BY_ANY = ("src", "srcset", "poster", "data")


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    return generated.pages()


# What is in it --------------------------------------------------------------------------------------------------------


def test_every_variable_has_a_meaning_and_no_other() -> None:
    assert set(variables.meanings()) == set(variables.uses()), "tools/docs/variables.yml"


def test_every_kind_of_event_has_a_meaning_and_no_other() -> None:
    assert set(read(DATA / "events.yml")) == set(journal.kinds()), "tools/docs/events.yml"


def test_the_runbook_has_the_section_of_every_type_and_speaks_of_phases_that_there_are() -> None:
    runbook = read(DATA / "runbook.yml")
    assert {entry.section for entry in CATALOG.values()} <= set(runbook["sections"])
    assert set(runbook["playbooks"]) <= set(TYPES)
    assert all(set(told) <= set(PHASES) for told in runbook["playbooks"].values())


@pytest.mark.parametrize("entry", playbooks.ready(), ids=lambda entry: entry.name)
def test_a_playbook_is_there_with_every_step_in_its_phase(entry: IncidentType, pages: Mapping[str, str]) -> None:
    text = pages[f"playbooks/{entry.name}.md"]
    phases = {part.partition("\n")[0].lower(): part for part in text.split("\n## ")[1:]}
    for play in playbooks.plays_of(read(entry.playbook)):
        for task in _tasks(playbooks.tasks_of(play)):
            assert plain(task["name"]) in phases[playbooks.phase_of(play)]
            if (module := playbooks.module_of(task) or "").startswith(playbooks.OURS):
                assert f"../modules/{module.removeprefix(playbooks.OURS)}.md" in phases[playbooks.phase_of(play)]


@pytest.mark.parametrize("entry", playbooks.ready(), ids=lambda entry: entry.name)
def test_a_playbook_is_there_with_everything_that_has_a_name(entry: IncidentType, pages: Mapping[str, str]) -> None:
    """Found by its text alone, in the playbook and in the files that it imports."""
    text = entry.playbook.read_text(encoding="utf-8")
    imported = re.findall(r"import_playbook: (\S+)", text)
    assert imported
    texts = [text, *((entry.playbook.parent / name).read_text(encoding="utf-8") for name in imported)]
    for name in re.findall(r'- name: "?([^"\n]+)', "".join(texts)):
        _phase, _colon, title = name.rpartition(": ")
        assert plain(title).lower() in pages[f"playbooks/{entry.name}.md"].lower()


def _tasks(entries: Sequence[playbooks.Play]) -> Iterator[playbooks.Play]:
    for entry in entries:
        yield entry
        for section in ("block", "rescue", "always"):
            yield from _tasks(entry.get(section, ()))


def test_the_seeds_own_words_stand_beside_a_playbook(pages: Mapping[str, str]) -> None:
    text = pages["playbooks/exchange_outage.md"]
    assert "section 3, Exchange outage playbook" in text
    assert text.index("## Contain") < text.index("Stop strategies using affected exchange") < text.index("## Assess")


def test_a_type_that_has_no_playbook_yet_is_said_to_have_none(pages: Mapping[str, str]) -> None:
    index = pages["playbooks/index.md"]
    assert index.count("not in this version") == sum(not entry.is_ready for entry in CATALOG.values())
    assert all(plain(entry.title) in index for entry in CATALOG.values())


def test_every_module_is_there_with_every_option_and_value(pages: Mapping[str, str]) -> None:
    found = modules.documentation()
    assert sorted(found) == modules.names()
    for name, about in found.items():
        text = pages[f"modules/{name}.md"]
        assert f"({name}.md)" in pages["modules/index.md"]
        for word in [*(about["doc"].get("options") or {}), *(about.get("return") or {})]:
            assert f"<code>{word}</code>" in text


def test_every_command_is_there_as_its_own_parser_tells_it(pages: Mapping[str, str]) -> None:
    text = pages["commands.md"]
    assert all(f"\n## {name}\n" in text and f"usage: hft-incident {name} " in text for name in COMMANDS)
    assert "\n### severity set\n" in text
    assert "--confirm N" in commands.help_of("kill")


def test_a_variable_says_what_the_inventories_have_and_who_reads_it(pages: Mapping[str, str]) -> None:
    (row,) = (line for line in pages["inventory.md"].splitlines() if "<code>hft_stale_after_s</code>" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:] == ["s", "<code>2.0</code>", "<code>30</code>", "[exchange outage](playbooks/exchange_outage.md)"]


def test_the_fields_of_an_event_are_those_that_its_sentence_reads() -> None:
    fields = journal.told_from()
    assert set(fields["alarm.judged"]) == {"real", "because"}  # a function of its own
    assert set(fields["venue.watched"]) == {"name", "left_s", "verdict", "sentence"}  # a template
    assert set(fields["latch.changed"]) == {"host", "scope", "name", "state", "difference"}  # a function that is named


def test_the_tables_are_those_of_the_policies(pages: Mapping[str, str]) -> None:
    assert "<code>several_exchanges_disconnected</code>" in pages["severity.md"]
    sev1 = pages["communications.md"].partition("### SEV1")[2].partition("###")[0]
    (row,) = (line for line in sev1.splitlines() if line.startswith("| **status page** | security breach"))
    assert "<code>public_disclosure</code>" in row
    assert "| **on call** | all | at&nbsp;once |" in sev1


# What people wrote ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_what_a_page_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"hft-incident ([a-z]+)\b(?=[^:\n]*\n|`)", text)) <= set(COMMANDS)
    files = re.findall(r"`((?:tools|tests|src|playbooks|inventory|plugins)/[^`\s…<*]*)`", text)
    within = (ROOT, ROOT / "collections/ansible_collections/hft/incident")
    assert [name for name in files if not any((folder / name).exists() for folder in within)] == []
    assert set(re.findall(r"\bhft_[a-z_]+_s\b", text)) <= set(variables.uses())


# How it is written ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b *c* <script>", r"a\|b \*c\* &lt;script&gt;"),
        ("two\n  lines", "two lines"),
        ("[x](y)", r"\[x\](y)"),
    ],
)
def test_text_says_what_it_says_and_does_nothing(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Required when O(state=active).", "Required when <code>state=active</code>."),
        ("See M(hft.incident.latch), B(now).", "See [<code>latch</code>](latch.md), **now**."),
        ("C(a|b) and V(f(x))", "<code>a&#124;b</code> and <code>f(x)</code>"),
        ("API(s) stay", "API(s) stay"),
    ],
)
def test_the_markup_of_ansible_becomes_that_of_the_site(line: str, shown: str) -> None:
    assert documented(line) == shown


# The site -------------------------------------------------------------------------------------------------------------


class Resources(HTMLParser):
    """What a browser would load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = (*LOADED_BY_ANY, *LOADED.get(tag, ()))
        self.found += [value for name, value in attrs if name in names and value]
        self.found += [value for name, value in attrs if name == "style" and value and "url(" in value]


def external(text: str) -> list[str]:
    """The resources of a page, and of the styles in it, that are somewhere else."""
    parser = Resources()
    parser.feed(text)
    styled = re.findall(r"""(?:@import\s+|url\()["']?([^"')\s]+)""", text)
    return [name for name in [*parser.found, *styled] if re.match(r"(?:[a-z]+:)?//", name)]


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="preconnect" href="//fonts.example">',
        '<img alt="" src="http://example/x.png">',
        "<style>@import 'https://fonts.example/css'; p {background: url(//x.example/y)}</style>",
    ],
)
def test_a_planted_resource_from_elsewhere_is_found(text: str) -> None:
    assert external(text)
    assert not external('<a href="https://example.com">to click</a><img src="a.png"><link href="../b.css">')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert [line for line in built.stderr.splitlines() if line.startswith("WARNING")] == []
    return folder


@pytest.mark.docs
def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(site: Path, pages: Mapping[str, str]) -> None:
    expected = {path.replace(".md", ".html") for path in [*pages, *(path.name for path in WRITTEN)]}
    found = {str(path.relative_to(site)): path for path in site.rglob("*.html")}
    assert expected <= set(found)
    texts = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
    texts |= {
        str(path): path.read_text(encoding="utf-8") for sort in ("css", "svg") for path in site.rglob(f"*.{sort}")
    }
    assert {name: external(text) for name, text in texts.items() if external(text)} == {}


@pytest.mark.docs
def test_it_opens_from_the_file_system(site: Path) -> None:
    """Links name files, not folders; the index of the search comes as a script; nothing starts at the root."""
    for path in site.rglob("*.html"):
        if path.name != "404.html":  # only a server shows that one
            links = re.findall(r'\bhref="([^"#?]*)', path.read_text(encoding="utf-8"))
            local = [link for link in links if link and not re.match(r"[a-z]+:", link)]
            assert [link for link in local if not (path.parent / link).is_file()] == []
    index = (site / "search/search_index.js").read_text(encoding="utf-8").removeprefix("var __index = ")
    assert {"commands.html", "modules/killswitch.html"} <= {entry["location"] for entry in json.loads(index)["docs"]}


@pytest.mark.docs
def test_every_page_is_in_the_navigation(site: Path, pages: Mapping[str, str]) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    for name in [*pages, *(path.name for path in WRITTEN)]:
        assert f'href="{name.replace(".md", ".html")}"' in start, name
