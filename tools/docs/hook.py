# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Puts the generated pages into the site, where ``mkdocs build`` asks for it (mkdocs.yml, ``hooks``)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from tools.docs.generated import pages

PAGES = pages()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """In the navigation, what stands beside a generated index follows it."""
    config.nav = [_with_pages(entry) for entry in config.nav or ()]
    return config


def _with_pages(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {title: _with_pages(inside) for title, inside in entry.items()}
    if isinstance(entry, list):
        return [_with_pages(inside) for inside in entry]
    if entry in PAGES and entry.endswith("/index.md"):
        folder = PurePosixPath(entry).parent
        return [entry, *sorted(path for path in PAGES if PurePosixPath(path).parent == folder and path != entry)]
    return entry


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    for path, text in PAGES.items():
        files.append(File.generated(config, path, content=text))
    return files
