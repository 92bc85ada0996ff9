# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The action items that people write into a report come out as issues, whole or not at all."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from hft_incident import action_items, report
from hft_incident.cli import main
from hft_incident.sentences import plain

EMPTY = "|  |  |  |  |"
HOSTILE = "=cmd|' /C calc'!A0 | <b>\\x\\* `a` [l](http://evil.example) & &lt; \\"


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    made = open_incident("exchange_outage", inputs={"exchange": "okx"}, severity=1, home=tmp_path / "home")
    report.write(made)
    return made


def filled(incident: Incident, *rows: str) -> Path:
    """The incident's own report, as a person leaves it: one empty row of its table after the other is written over."""
    page = incident.directory / "report" / f"{incident.id}.md"
    text = page.read_text()
    for row in rows:
        assert EMPTY in text
        text = text.replace(EMPTY, row, 1)
    page.write_text(text)
    return page


def test_the_rows_that_people_filled_in_are_issues(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    filled(incident, "| Alert on queue depth<br>Not only on age \\| lag. | @alice | 2026-12-31 |  |",
           "|  |  |  |   |", "|Rehearse it with the desk|bob|2027-01-15|yes|")  # fmt: skip
    assert main(["actions", incident.id]) == 0
    known = {"labels": ["post-mortem", "exchange_outage", "sev1"], "incident": incident.id}
    assert json.loads(capsys.readouterr().out) == [
        {"title": "Alert on queue depth", "assignee": "alice", "due_on": "2026-12-31", "row": 1,
         "body": f"Not only on age | lag.\n\nAction item 1 of the post-mortem of {incident.id}.", **known},
        {"title": "Rehearse it with the desk", "assignee": "bob", "due_on": "2027-01-15", "row": 3,
         "body": f"Action item 3 of the post-mortem of {incident.id}.", **known, "labels": [*known["labels"], "done"]},
    ]  # fmt: skip


def test_csv_has_the_same_columns_and_starts_no_formula(incident: Incident, tmp_path: Path) -> None:
    filled(incident, "| =1+1 | +alice | 2026-12-31 |  |", "| &#61;HYPERLINK() | \\-bob | 2026-12-31 |  |",
           "| two, \"quoted\" | @@sum | 2026-12-31 | |")  # fmt: skip
    output = tmp_path / "issues.csv"
    assert main(["actions", incident.id, "--format", "csv", "--output", str(output)]) == 0
    with output.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["title", "body", "assignee", "due_on", "labels", "incident", "row"]
    assert [(row[0], row[2]) for row in rows] == [
        ("'=1+1", "'+alice"), ("'=HYPERLINK()", "'-bob"), ('two, "quoted"', "'@sum"),
    ]  # fmt: skip
    assert {row[4] for row in rows} == {"post-mortem,exchange_outage,sev1"}
    assert output.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("| Fix it |  | 2026-12-31 |  |", "row 1 has no owner: write who sees to it into the column Owner"),
        ("| Fix it | alice |  |  |", "row 1 has no due date: write one into the column Due, such as 2026-12-31"),
        ("| Fix it | alice | next week |  |", "row 1 is due 'next week', which is no date: write it as 2026-12-31"),
        ("| Fix it | alice | 20261231 |  |", "row 1 is due '20261231'"),
        ("| Fix it | alice | 2026-02-30 |  |", "row 1 is due '2026-02-30'"),
        ("|  | alice | 2026-12-31 |  |", "row 1 says nothing to be done: write it into the column Action"),
        ("| Fix it |", "row 1 has no owner: write who sees to it into the column Owner; row 1 has no due date"),
    ],
)
def test_a_row_that_is_not_complete_is_named_with_the_mend_and_nothing_is_exported(
    incident: Incident, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, said: str
) -> None:
    filled(incident, row, "| This one is well | bob | 2026-12-31 |  |")
    output = tmp_path / "issues.json"
    assert main(["actions", incident.id, "--output", str(output)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert said in printed.err
    assert not output.exists()


def test_a_report_that_was_made_anew_points_to_what_was_kept(
    incident: Incident, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(incident, "| Fix it | alice | 2026-12-31 |  |")
    (kept,) = report.write(incident).kept
    assert main(["actions", incident.id]) == 2
    assert str(kept) in capsys.readouterr().err
    assert main(["actions", incident.id, "--from", str(kept), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["source"], told["output"], [item["title"] for item in told["items"]]) == (str(kept), None, ["Fix it"])


def test_an_empty_table_is_no_action_items(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", incident.id]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no report at"),
        ("# A page\n", "has no heading 'Action items'"),
        ("### Action items\n\nsoon\n", "lacks Action and Owner and Due"),
        ("### Action items\n\n| Action | Owner | Done |\n| --- | --- | --- |\n", "lacks Due"),
        ("### Action items\n\n## Journal\n\n| Action | Owner | Due |\n", "lacks Action and Owner and Due"),
        ("### Action items\n\n| Action | Owner | Due |\n\n| a | b | c |\n", "is not in one piece"),
    ],
)
def test_a_file_without_the_table_is_wrong_usage(
    incident: Incident, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    assert main(["actions", incident.id, "--from", str(page)]) == 2
    assert said in capsys.readouterr().err


def test_a_report_that_is_no_text_or_a_folder_is_told_in_plain_words(
    incident: Incident, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_bytes(b"\xff")
    for path, said in ((page, "is not text in UTF-8: name a report"), (tmp_path, "is a directory\n")):
        assert main(["actions", incident.id, "--from", str(path)]) == 2
        printed = capsys.readouterr().err
        assert said in printed
        assert "Errno" not in printed


def table(*rows: str) -> str:
    return "\n".join(
        ["### Action items", "", "| Action | Owner | Due | Done |", "| --- | --- | --- | --- |", *rows, ""]
    )


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: plain(text).strip()) | st.just(HOSTILE))
def test_whatever_was_escaped_for_markdown_is_itself_again(text: str) -> None:
    title = plain(text).strip()
    page = table(f"| {report.escape_markdown(title)} | {report.escape_markdown('a_b|c')} | 2026-12-31 |  |")
    (issue,) = action_items.issues_in(page, "inc-1", [], "page")
    assert (issue.title, issue.assignee) == (title, "a_b|c")


@settings(deadline=None)
@given(st.text(alphabet="|\\<>&#;-ab@=\n `*é\u2028", max_size=60))
def test_any_table_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):  # refused in words is as good as read
        for issue in action_items.issues_in(table(text), "inc-1", [], "page"):
            assert all((issue.title, issue.assignee, issue.due_on))
