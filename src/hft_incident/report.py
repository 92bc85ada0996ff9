# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident report`: the draft of a post-mortem that nobody has to type, as Markdown and as one HTML file.

Everything in it is from the journal, which it names line by line, or it is an empty place for people. The HTML needs
no network. What people wrote into an earlier report is kept beside it, never written over.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ansible_collections.hft.incident.plugins.module_utils.chain import Event, Verification
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.journal import make_private_directory, verify

from . import record, sentences
from .metrics import Metrics, measure
from .record import EvidenceFound
from .report_chart import Chart, chart
from .report_impact import series
from .report_notices import told
from .report_picture import Picture, picture
from .report_scale import LEFT, MARGIN, WIDTH
from .report_sections import sections
from .report_tables import Section, shown
from .review_invitation import invitation
from .whole_file import write_whole

#: A longer line is cut in the appendix, which says so; the journal has all of it.
LINE_LIMIT = 20_000
#: What people write: the agenda of the review (seed section 12), and what luck had to do with it.
QUESTIONS = ("Contributing factors", "What went well", "What did not go well", "Where we were lucky",
             "Documentation to update")  # fmt: skip
_ENDINGS = {"markdown": "md", "html": "html", "invitation": "ics"}
_SEAL = re.compile(rb"<!-- hft-incident report; sha256 ([0-9a-f]{64}) -->\n\Z")
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~#!]|(?<!\w)_|_(?!\w)")


class Banner(NamedTuple):
    tone: str
    text: str


class Line(NamedTuple):
    """One journal line in the appendix. ``anchor``: no line before it has the same number, so links lead here."""

    seq: int
    anchor: bool
    at: str
    actor: str
    kind: str
    text: str
    json: str


class Report(NamedTuple):
    """What both pages say."""

    id: str
    draft: bool
    banners: tuple[Banner, ...]
    picture: Picture | None
    chart: Chart | None
    sections: tuple[Section, ...]
    questions: tuple[str, ...]
    verification: Verification
    evidence: tuple[EvidenceFound, ...]
    lines: tuple[Line, ...]


class Written(NamedTuple):
    """What `report` did. ``invitation``: None where there is nothing to review yet; ``kept``: earlier reports that were
    changed by hand, by their new names."""

    id: str
    draft: bool
    outcome: str
    markdown: Path
    html: Path
    invitation: Path | None
    kept: tuple[Path, ...]
    metrics: Metrics
    verification: Verification

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]

    def to_json(self) -> dict[str, Any]:
        """`report --json`."""
        return {
            "id": self.id,
            "draft": self.draft,
            "files": {
                "markdown": str(self.markdown),
                "html": str(self.html),
                "invitation": None if self.invitation is None else str(self.invitation),
            },
            "kept": [str(path) for path in self.kept],
            "metrics": self.metrics.to_json(),
            "verification": self.verification._asdict(),
            "outcome": self.outcome,
        }

    def render(self) -> list[str]:
        """For people: where the pages are, then what to know about them."""
        lines = [str(path) for path in (self.markdown, self.html, self.invitation) if path]
        lines += [f"an earlier report had been changed by hand; it is kept as {path}" for path in self.kept]
        if self.outcome != "done":
            lines.append(f"the record does not prove itself: {self.verification.reason}; see `hft-incident verify`")
        return [sentences.plain(line) for line in lines]


def write(incident: Incident, output: Path | None = None) -> Written:
    """Makes the report of an incident as it stands now, into its own folder or ``output``.

    Raises IncidentError where there is no journal, or no place for the pages.
    """
    found = verify(incident.journal.path)
    events = incident.journal.events()
    if found.state != "altered":
        events = events[: found.events]  # what was written since is not verified
    evidence = record.evidence_found(incident)
    report = compose(incident.id, events, found, evidence)
    folder = output or incident.directory / "report"
    paths = {kind: folder / f"{incident.id}.{ending}" for kind, ending in _ENDINGS.items()}
    calendar = invitation(incident.id, events)
    try:
        make_private_directory(str(folder))
        kept = [_place(paths[kind], page(report)) for kind, page in (("markdown", markdown), ("html", html))]
        if calendar is None:
            paths["invitation"].unlink(missing_ok=True)  # it was closed once and is open again
        else:
            write_whole(paths["invitation"], calendar)
    except OSError as error:
        raise IncidentError(f"cannot write the report to {folder}: {error.strerror or error}") from error
    return Written(
        incident.id,
        report.draft,
        record.verify_outcome(found, evidence),
        paths["markdown"],
        paths["html"],
        paths["invitation"] if calendar else None,
        tuple(path for path in kept if path),
        measure(events),
        found,
    )


def compose(
    incident_id: str, events: Sequence[Event], found: Verification, evidence: Sequence[EvidenceFound] = ()
) -> Report:
    """The report of these events, whatever stands in them. Never raises."""
    metrics = measure(events)
    ends = [event.kind for event in events if event.kind in ("incident.closed", "incident.reopened")]
    draft = ends[-1:] != ["incident.closed"]
    banners = [Banner("bad", f"The record does not prove itself: {found.reason}.")] if found.state != "intact" else []
    banners += [
        Banner("bad", sentences.plain(f"Evidence of {row.host} in {row.folder}: {row.reason}."))
        for row in evidence
        if row.state == "altered"
    ]
    if draft:
        banners.append(Banner("hold", "DRAFT: the incident is still open."))
    if untold := _untold(events):
        banners.append(Banner("hold", untold))
    if metrics.nature != "real":
        banners.append(Banner("", f"This was no real incident: {metrics.nature}."))
    return Report(
        incident_id,
        draft,
        tuple(Banner(banner.tone, sentences.plain(banner.text)) for banner in banners),
        picture(events),
        chart(events, series(events)),
        tuple(sections(events, metrics)),
        QUESTIONS,
        found,
        tuple(evidence),
        tuple(_lines(events)),
    )


def html(report: Report) -> str:
    """One page that needs nothing else: no script, no link that leaves it."""
    return _PAGES.get_template("report.html.j2").render(report=report, phases=_phases_shown(report))


def markdown(report: Report) -> str:
    """The same in Markdown, to be put into a repository or a wiki and completed by people."""
    return _PAGES.get_template("report.md.j2").render(report=report)


def _untold(events: Sequence[Event]) -> str:
    """What a reader has to know first of the notices; "" where all were sent."""
    standings = {one.standing for one in told(events)}
    if not standings & {"failed", "not_sent", "silent"}:
        return ""
    if standings & {"sent", "late"}:
        return "Some notices that were due were not sent; the section on communication says which."
    return "NOBODY WAS TOLD: no notice that was due was sent; the section on communication says why."


def _phases_shown(report: Report) -> list[str]:
    """The phases that the picture shows, each once."""
    return list(dict.fromkeys(bar.phase for bar in report.picture.bars)) if report.picture else []


def _lines(events: Sequence[Event]) -> list[Line]:
    seen: set[int] = set()
    lines = []
    for event in events:
        text = json.dumps(event._asdict(), ensure_ascii=False, sort_keys=True, default=str)
        if len(text) > LINE_LIMIT:
            text = f"{text[:LINE_LIMIT]} … (cut; the journal has all of it)"
        at, actor, kind, said = map(shown, (event.at, event.actor, event.kind, sentences.sentence(event)))
        lines.append(Line(event.seq, event.seq not in seen, at, actor, kind, said, sentences.plain(text)))
        seen.add(event.seq)
    return lines


def _place(path: Path, text: str) -> Path | None:
    """Writes a page at once or not at all; one that people have changed since is renamed, and its new name returned."""
    body = text.encode("utf-8")
    body += b"<!-- hft-incident report; sha256 %s -->\n" % hashlib.sha256(body).hexdigest().encode()
    kept = None
    if path.exists() and not _is_ours(path.read_bytes()):
        kept = next(
            name for n in range(1, 10_000) if not (name := path.with_suffix(f".kept-{n}{path.suffix}")).exists()
        )
        os.rename(path, kept)
    write_whole(path, body)
    return kept


def _is_ours(content: bytes) -> bool:
    """Whether a page is as it was written."""
    found = _SEAL.search(content)
    return found is not None and hashlib.sha256(content[: found.start()]).hexdigest().encode() == found[1]


def escape_markdown(value: object) -> str:
    """Text that is only text in Markdown, in a table too: no markup, no HTML, no link that writes itself."""
    text = sentences.plain(str(value)).replace("&", "&amp;")
    text = _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)
    return text.replace("://", "&#58;//").replace("www.", "www&#46;")


#: What a backslash does not keep harmless everywhere.
_ENTITIES: Mapping[str, str] = {"<": "&lt;", ">": "&gt;", "|": "&#124;"}


def _environment() -> Environment:
    """HTML escapes every value by itself; Markdown knows no such thing, so its template passes each through `md`."""
    pages = Environment(
        loader=PackageLoader("hft_incident"),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["md"] = escape_markdown
    pages.globals |= {"left": LEFT, "right": WIDTH - MARGIN}
    return pages


_PAGES = _environment()
