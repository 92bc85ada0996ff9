# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident actions`: the action items that people wrote into a report, as issues for a tracker (JSON or CSV).

Read from the table under "Action items" in the report's Markdown. A row without an owner or a due date is no action
item yet, so nothing is exported until it is mended (seed section 12: "action item list with owners"; seed-faults E9).
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, state_of

from .metrics import nature
from .sentences import plain
from .whole_file import write_whole

HEADING = "Action items"
#: By these names, in whatever order; people may add columns of their own.
ACTION, OWNER, DUE, DONE = "action", "owner", "due", "done"
_HEADING = re.compile(rf"#+\s*{HEADING}\s*#*\s*")
_RULE = re.compile(r"[\s|:]*-[-\s|:]*")
#: Up to the next bar that is none of the text.
_CELL = re.compile(r"((?:\\.|[^|])*)(?:\||$)")
_MARKUP = re.compile(
    r"\\([!-/:-@\[-`{-~])|(&(?:#\d+|#x[0-9a-f]+|[a-z]\w*);)|(<br\s*/?>)|<([^<>\s]+[@:][^<>\s]+)>", re.I
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
#: A cell that begins so is a formula to a spreadsheet, the wide forms to some.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001  # they are meant


class Issue(NamedTuple):
    """One action item as trackers know it. ``due_on``: ISO date; ``row``: of the table, from 1."""

    title: str
    body: str
    assignee: str
    due_on: str
    labels: tuple[str, ...]
    incident: str
    row: int


class Exported(NamedTuple):
    """What `actions` found in ``source``; ``output``: where it was written, None where it was to be printed."""

    incident: str
    source: Path
    issues: tuple[Issue, ...]
    text: str
    output: Path | None

    def to_json(self) -> dict[str, Any]:
        """`actions --json`."""
        return {
            "incident": self.incident,
            "source": str(self.source),
            "output": None if self.output is None else str(self.output),
            "items": [issue._asdict() for issue in self.issues],
        }

    def lines(self) -> list[str]:
        return [plain(f"{len(self.issues)} action items written to {self.output}")]


def export(incident: Incident, source: Path | None, form: str, output: Path | None) -> Exported:
    """The action items in ``source``, by default the report in the incident's own folder, as ``form``, one of EXPORTS.

    Raises UsageError where there is no such table or a row of it is no action item yet, IncidentError where ``output``
    cannot be written.
    """
    path = source or incident.directory / "report" / f"{incident.id}.md"
    issues = tuple(issues_in(_read(path, incident), incident.id, incident.journal.events(), str(path)))
    if not issues and source is None:
        _refuse_blank(path)
    text = EXPORTS[form](issues)
    if output is not None:
        try:
            write_whole(output, text.encode("utf-8"))
        except OSError as error:
            raise IncidentError(f"cannot write {output}: {error.strerror or error}") from error
    return Exported(incident.id, path, issues, text, output)


def issues_in(page: str, incident: str, events: Sequence[Event], where: str) -> Iterator[Issue]:
    """The rows of the table in a report's Markdown; empty ones are passed over.

    Raises UsageError naming every row that is not complete, and what is to be written there.
    """
    found = [(number, row) for number, row in enumerate(_rows(page, where), 1) if any(row.values())]
    faults = [f"row {number} {fault}" for number, row in found for fault in _faults(row)]
    if faults:
        raise UsageError(plain(f"{where}, {HEADING.lower()}: {'; '.join(faults)}"))
    labels = _labels(events)
    for number, row in found:
        title, _, more = row[ACTION].partition("\n")
        body = f"{more.strip()}\n\n".lstrip() + f"Action item {number} of the post-mortem of {incident}."
        done = (DONE,) if row.get(DONE) else ()
        yield Issue(
            title.strip(), body, plain(row[OWNER]).removeprefix("@"), row[DUE], (*labels, *done), incident, number
        )


def _faults(row: Mapping[str, str]) -> Iterator[str]:
    if not row[ACTION]:
        yield "says nothing to be done: write it into the column Action, or empty the row"
    if not row[OWNER]:
        yield "has no owner: write who sees to it into the column Owner"
    if not row[DUE]:
        yield "has no due date: write one into the column Due, such as 2026-12-31"
    elif not _is_date(row[DUE]):
        yield f"is due {row[DUE][:40]!r}, which is no date: write it as 2026-12-31"


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _labels(events: Sequence[Event]) -> tuple[str, ...]:
    state = state_of(events)
    told = ("post-mortem", state.type, f"sev{state.severity}" if state.severity else None,
            "drill" if nature(events) == "drill" else None)  # fmt: skip
    return tuple(label for label in told if label)


def _rows(page: str, where: str) -> Iterator[dict[str, str]]:
    """The table's rows by the names of its columns, which are in small letters."""
    lines = iter(page.split("\n"))
    if not any(_HEADING.fullmatch(line.strip()) for line in lines):
        raise UsageError(f"{where} has no heading {HEADING!r}: name a report in Markdown with --from FILE")
    head = next((line for line in lines if line.lstrip().startswith(("|", "#"))), "")  # not in a later section
    rule = next(lines, "")
    columns = [cell.lower() for cell in _cells(head)]
    missing = [name.capitalize() for name in (ACTION, OWNER, DUE) if name not in columns]
    if missing or not _RULE.fullmatch(rule):
        fault = f"lacks {' and '.join(missing)}" if missing else "is not in one piece"
        raise UsageError(f"{where}: the table under {HEADING!r} {fault}; its head is | Action | Owner | Due | Done |")
    for line in lines:
        if not line.strip().startswith("|"):
            return
        cells = _cells(line)
        yield dict(zip(columns, [*cells, *[""] * len(columns)], strict=False))


def _cells(line: str) -> list[str]:
    """The cells of a row as text: what Markdown escapes is itself again."""
    found = _CELL.findall(line.strip().removeprefix("|"))[:-1]
    return [_plain(_MARKUP.sub(_said, cell.strip())).strip() for cell in found]


def _plain(text: str) -> str:
    """Its lines without control characters, an escaped one included."""
    return "\n".join(map(plain, text.split("\n")))


def _said(found: re.Match[str]) -> str:
    escaped, entity, newline, link = found.groups()
    return escaped or link or ("\n" if newline else html.unescape(entity))


def _read(path: Path, incident: Incident) -> str:
    try:
        return _plain(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        mend = f"make one with `hft-incident report {incident.id}`, or name yours with --from FILE"
        raise UsageError(f"there is no report at {path}: {mend}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8: name a report in Markdown with --from FILE") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def _refuse_blank(path: Path) -> None:
    """A report that was made again since people filled it in: what they wrote is in the copy that was kept."""
    kept = sorted(path.parent.glob(f"{path.stem}.kept-*{path.suffix}"))
    if kept:
        named = ", ".join(str(one) for one in kept)
        raise UsageError(
            f"{path} has no action items; it was made anew since: name one that was kept with --from: {named}"
        )


# What trackers read ---------------------------------------------------------------------------------------------------


def _as_json(issues: Sequence[Issue]) -> str:
    return json.dumps([issue._asdict() for issue in issues], ensure_ascii=False, indent=2) + "\n"


def _as_csv(issues: Sequence[Issue]) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(Issue._fields)
    for issue in issues:
        cells = {**issue._asdict(), "labels": ",".join(issue.labels)}
        table.writerow(_harmless(str(cell)) for cell in cells.values())
    return text.getvalue()


def _harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell


EXPORTS: Mapping[str, Callable[[Sequence[Issue]], str]] = {"json": _as_json, "csv": _as_csv}
