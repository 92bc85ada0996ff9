# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Innocuous names for incidents that are spoken of with care (seed-faults A10): they say neither what it is nor when.

Which incident has which stands in its record alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

#: 64 of each, so that two incidents hardly ever share one of the 262,144.
WORDS: tuple[tuple[str, ...], ...] = (
    ("amber", "ashen", "azure", "birch", "bronze", "calm", "cedar", "chalk", "clear", "cobalt", "copper", "coral",
     "cream", "crimson", "crystal", "dusky", "early", "ebony", "elm", "fair", "fawn", "flint", "frosty", "gentle",
     "gilded", "glass", "golden", "granite", "green", "hazel", "indigo", "iron", "ivory", "jade", "khaki", "late",
     "lemon", "lilac", "linen", "marble", "maroon", "mellow", "mild", "misty", "mossy", "navy", "oaken", "ochre",
     "olive", "opal", "pale", "pearl", "pine", "plain", "plum", "quiet", "rosy", "russet", "sandy", "silver", "slate",
     "sunny", "tawny", "velvet"),
    ("badger", "bittern", "bunting", "chough", "crane", "curlew", "dipper", "dove", "dunlin", "egret", "eider",
     "falcon", "finch", "fox", "gannet", "goose", "grebe", "grouse", "hare", "harrier", "heron", "hobby", "ibis",
     "jackdaw", "kestrel", "kite", "lark", "lapwing", "linnet", "magpie", "martin", "marten", "merlin", "moth", "newt",
     "osprey", "otter", "ouzel", "owl", "petrel", "pipit", "plover", "puffin", "quail", "raven", "robin", "rook",
     "ruff", "shrike", "siskin", "skua", "snipe", "sparrow", "starling", "stork", "swallow", "swan", "swift", "teal",
     "tern", "thrush", "vole", "wagtail", "wren"),
    ("arch", "bank", "bay", "beach", "bend", "bluff", "bridge", "brook", "canyon", "cape", "cliff", "coast", "cove",
     "creek", "dale", "dell", "dune", "falls", "fen", "field", "fjord", "ford", "forest", "gable", "garden", "glen",
     "grove", "gulf", "harbor", "heath", "hedge", "hill", "hollow", "inlet", "island", "knoll", "lagoon", "lake",
     "lane", "marsh", "meadow", "mesa", "mill", "moor", "orchard", "pass", "path", "peak", "pond", "port", "quay",
     "reef", "ridge", "river", "shoal", "shore", "spring", "stream", "summit", "tarn", "valley", "wharf", "willow",
     "wood"),
)  # fmt: skip
PATTERN = re.compile(r"[a-z]+-[a-z]+-[a-z]+")


def code_name(incident: str, events: Sequence[Event]) -> str:
    """The name of this incident. The salt is the hash of its first line, which only its record tells: whoever guesses
    the id, by its time, cannot tell the name from it."""
    salt = events[0].hash if events else ""
    number = int.from_bytes(hashlib.sha256(f"{salt}/{incident}".encode()).digest()[:8], "big")
    chosen = []
    for words in WORDS:
        number, place = divmod(number, len(words))
        chosen.append(words[place])
    return "-".join(chosen)
