# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The ecosystem's own gates, over what would be published. Exit 1 where one of them objects.

    python tools/gates.py [GATE ...]

Each gate has its own copy of what git would commit. So nothing that git ignores decides anything, nothing is skipped
because git ignores it, and the work tree stays as it is. What takes long to set up is kept beside the environment that
runs this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
#: The home folder of everything that runs here: ansible-test keeps its environments there, from one run to the next.
HOME = Path(sys.prefix) / "home"
NAME = "hft.incident"
COLLECTION = Path("collections/ansible_collections/hft/incident")
PYTHONS = tuple(f"python3.{minor}" for minor in range(8, 15))


class Copy(NamedTuple):
    """A copy of the project's files in ``root``, and an empty folder beside it. ``environ``: that of every command."""

    root: Path
    scratch: Path
    environ: dict[str, str]

    @property
    def collection(self) -> Path:
        return self.root / COLLECTION

    def run(self, *words: str | Path, within: Path | None = None) -> Answer:
        """A command of this environment; within the copy's root unless told otherwise."""
        done = subprocess.run(  # noqa: S603  # our own commands
            [BIN / words[0], *words[1:]],
            cwd=within or self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout)


class Answer(NamedTuple):
    """How a command ended, and everything that it printed."""

    code: int
    text: str

    @property
    def objection(self) -> str:
        """What it printed, where it did not pass; a silent failure is told as such."""
        return (self.text.strip() or f"exit code {self.code}") if self.code else ""


#: What is wrong with the copy, for people to read; empty where the gate lets it pass.
Gate = Callable[[Copy], str]


# The gates -----------------------------------------------------------------------------------------------------------


def sanity(copy: Copy) -> str:
    """``ansible-test sanity``, all of it, and nothing excused from it."""
    excuses = [str(path.relative_to(copy.root)) for path in copy.collection.glob("tests/sanity/ignore*")]
    if excuses:
        return f"nothing is excused from ansible-test: {', '.join(excuses)}"
    _provide_pip(copy)
    tested = copy.run("ansible-test", "sanity", "--color", "no", "--truncate", "0", within=copy.collection)
    found = [line for line in tested.text.splitlines() if line.startswith(("ERROR", "FATAL"))]
    return "\n".join(found) or tested.objection


def host_python(copy: Copy) -> str:
    """What is shipped to a host uses nothing that the oldest Python there does not have."""
    config = (copy.collection / "tests" / "config.yml").read_text(encoding="utf-8")
    (oldest,) = re.findall(r'^  python_requires: ">=([\d.]+)"$', config, re.MULTILINE)
    shipped = [COLLECTION / "plugins" / "modules", COLLECTION / "plugins" / "module_utils"]
    return copy.run(
        "mypy", "--no-incremental", "--ignore-missing-imports", "--python-version", oldest, *shipped
    ).objection


def plugins(copy: Copy) -> str:
    """``ansible-doc`` renders every module and callback with examples and, for modules, return values."""
    objections: list[str] = []
    for sort, wanted in {"module": {"doc", "examples", "return"}, "callback": {"doc"}}.items():
        folder = copy.collection / "plugins" / ("modules" if sort == "module" else sort)
        names = sorted(f"{NAME}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__")
        objections += _not_documented(copy, sort, names, wanted)
    return "\n".join(objections)


def roles(copy: Copy) -> str:
    """Every role says what it takes, and ``ansible-doc`` renders it."""
    names = sorted(f"{NAME}.{path.name}" for path in copy.collection.glob("roles/*") if path.is_dir())
    return "\n".join(_not_documented(copy, "role", names, {"entry_points"}))


def docs(copy: Copy) -> str:
    """``antsibull-docs``: what the documentation refers to exists, and all of it can be rendered."""
    return copy.run(
        "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--disallow-unknown-collection-refs", copy.collection
    ).objection


def changelog(copy: Copy) -> str:
    """``antsibull-changelog``: the fragments are well-formed, and the changelog that people read is made from them."""
    data = copy.collection / "changelogs" / "changelog.yaml"
    made = copy.scratch / "CHANGELOG.md"
    told = (
        copy.run("antsibull-changelog", "lint", within=copy.collection).objection
        or copy.run("antsibull-changelog", "lint-changelog-yaml", data, within=copy.collection).objection
        or copy.run("antsibull-changelog", "generate", "--output", made, within=copy.collection).objection
    )
    if told or made.read_bytes() == (copy.collection / "CHANGELOG.md").read_bytes():
        return told
    return "CHANGELOG.md is not what changelogs/changelog.yaml makes: antsibull-changelog generate"


def importer(copy: Copy) -> str:
    """galaxy-importer takes the built tarball, without a warning. Of its steps only the one in a container is left out:
    it runs ansible-test, and that is a gate of its own here."""
    built = copy.run("ansible-galaxy", "collection", "build", COLLECTION, "--output-path", copy.scratch)
    if built.code:
        return built.objection
    (tarball,) = copy.scratch.glob("*.tar.gz")
    imported = copy.run("python", "-m", "galaxy_importer.main", tarball, within=copy.scratch)
    found = [line for line in imported.text.splitlines() if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    return "\n".join(found) or imported.objection


def licenses(copy: Copy) -> str:
    """REUSE: every file says under which license it is."""
    return copy.run("reuse", "lint", "--lines").objection


def environment(copy: Copy) -> str:
    """``ansible-builder`` makes the build context of the execution environment, with the wheel in it."""
    built = copy.run(
        "python", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
        "--no-build-isolation", "--wheel-dir", "dist", ".",
    )  # fmt: skip
    if built.code:
        return built.objection
    created = copy.run("ansible-builder", "create", "--context", copy.scratch)
    if created.code:
        return created.objection
    return "" if any(copy.scratch.glob("_build/wheels/*.whl")) else "the build context has no wheel"


#: The longest first, so that the others are done beside it.
GATES: dict[str, Gate] = {
    gate.__name__: gate
    for gate in (sanity, importer, docs, host_python, environment, changelog, plugins, roles, licenses)
}


# What they need ------------------------------------------------------------------------------------------------------


def _not_documented(copy: Copy, sort: str, names: Sequence[str], wanted: set[str]) -> Iterator[str]:
    if not names:
        return
    rendered = copy.run("ansible-doc", "--type", sort, *names)
    if rendered.code or "[WARNING]" in rendered.text or "[ERROR]" in rendered.text:
        yield rendered.text.strip()
        return
    found = json.loads(copy.run("ansible-doc", "--type", sort, "--json", *names).text)
    for name in names:
        missing = sorted(part for part in wanted if not found.get(name, {}).get(part))
        if missing:
            yield f"{name}: no {', '.join(missing)}"


def _provide_pip(copy: Copy) -> None:
    """ansible-test sets its environments up with a script that installs pip, and looks for it here before it downloads
    one. This script takes pip from where all packages come from."""
    source = Path(sysconfig.get_path("purelib")) / "ansible_test" / "_internal" / "python_requirements.py"
    (version,) = re.findall(r"pip='([\d.]+)'", source.read_text(encoding="utf-8"))
    folder = HOME / ".ansible" / "test" / "cache"
    script = folder / f"get_pip_{version.replace('.', '_')}.py"
    if script.exists():
        return
    with tempfile.TemporaryDirectory() as fresh:
        fetched = copy.run(
            "python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", fresh, f"pip=={version}"
        )
        if fetched.code:
            raise SystemExit(fetched.objection)
        (wheel,) = Path(fresh).glob("pip-*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, folder)
    ours = script.with_suffix(f".{os.getpid()}")
    ours.write_text(GET_PIP.format(wheel=str(folder / wheel.name)), encoding="utf-8")
    ours.replace(script)


GET_PIP = """\
import sys

sys.path.insert(0, {wheel!r})
from pip._internal.cli.main import main

sys.exit(main(["install", *(word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel"))]))
"""


@cache
def interpreters() -> tuple[Path, ...]:
    """Every Python of this machine that ansible-test knows, the real ones behind a version manager's stand-ins too.
    What it does not find it does not test with, so the static gate ``host_python`` looks after the oldest."""
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(name) for name in PYTHONS]
    found += [str(path) for name in PYTHONS for path in sorted(managed.glob(f"*/bin/{name}"))]
    return tuple(Path(path) for path in found if path and _answers(path))


def _answers(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0  # noqa: S603  # as found


def published() -> Iterator[Path]:
    """What git would commit, by its path in the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # whichever git there is
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = {Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name}
    return (name for name in sorted(names) if os.path.lexists(ROOT / name))


@contextmanager
def copied() -> Iterator[Copy]:
    """A fresh copy, gone afterwards."""
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hft-gate-") as folder:
        root, scratch = Path(folder) / "project", Path(folder) / "scratch"
        scratch.mkdir()
        for name in published():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
        places = [str(BIN), *dict.fromkeys(str(python.parent) for python in interpreters()), os.defpath]
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))},
            "ANSIBLE_COLLECTIONS_PATH": str(root / "collections"),
            "HOME": str(HOME),
            "PATH": os.pathsep.join(places),
            "NO_COLOR": "1",
        }
        yield Copy(root, scratch, environ)


def passed(name: str) -> bool:
    """One gate over a copy of its own; says how it went."""
    started = time.monotonic()
    with copied() as copy:
        objection = GATES[name](copy)
    word = "NO" if objection else "ok"
    lines = [f"{word}  {name}  {time.monotonic() - started:.1f} s", *(f"    {line}" for line in objection.splitlines())]
    print("\n".join(lines), flush=True)
    return not objection


def main(names: Sequence[str]) -> int:
    if unknown := [name for name in names if name not in GATES]:
        print(f"no such gate: {', '.join(unknown)}; there are {', '.join(GATES)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        went = list(pool.map(passed, names or GATES))
    print(f"gates: {len(went)} asked, {went.count(False)} objected")
    return 0 if all(went) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
