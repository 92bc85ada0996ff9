# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Completion for bash, zsh and fish: the shells ask this program, which asks the commands' own parsers, so that what is
offered is what the commands take; incidents, gates and venues come from the record and the inventory.

Nothing here is loaded unless somebody presses Tab.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    PHASES,
    find,
    home_directory,
    list_incidents,
    state_of,
)

from .catalog import CATALOG
from .command_list import COMMANDS
from .inventory import inventory_sources, known_venues
from .roles import ROLES

#: What a shell is told where a file's name is wanted: it knows files better than we do.
FILES = ":files"
#: Before each word that a shell hands over, so that none is taken for an option of ours.
MARK = "="
_FILE_NAMES = ("FILE", "DIR", "INVENTORY")


class Words(NamedTuple):
    """What has been typed after `hft-incident COMMAND`, and the word that is being typed."""

    before: tuple[str, ...]
    current: str


def answer(words: Sequence[str], parser_of: Callable[[str], argparse.ArgumentParser]) -> list[str]:
    """What could stand in place of the last of ``words``: all that follow `hft-incident`, each behind ``MARK``. Never
    raises: a shell that waits for an answer gets none rather than a complaint."""
    *before, current = [word.removeprefix(MARK) for word in words] or [""]
    if not before:
        return _matching([*COMMANDS, "--help", "--version"], current)
    if before[0] not in COMMANDS:
        return []
    with suppress(IncidentError, OSError, ImportError):  # a shell that waits gets no complaint
        return _matching(_candidates(parser_of(before[0]), Words(tuple(before[1:]), current)), current)
    return []


def _matching(candidates: Iterable[str], current: str) -> list[str]:
    return [word for word in dict.fromkeys(candidates) if word.startswith(current) or word == FILES]


def _candidates(parser: argparse.ArgumentParser, words: Words) -> Iterator[str]:
    """Values of the option before, else options, else the next positional's."""
    options = {flag: action for action in parser._actions for flag in action.option_strings}
    positionals = [action for action in parser._actions if not action.option_strings]
    last = words.before[-1] if words.before else ""
    if last in options and _takes_value(options[last]):
        yield from _values(options[last], words)
        return
    typed = list(_positionals(words.before, options))
    for place, action in enumerate(positionals):
        if isinstance(action, argparse._SubParsersAction) and place < len(typed):
            if inner := action.choices.get(typed[place]):
                at = words.before.index(typed[place])
                yield from _candidates(inner, Words(words.before[at + 1 :], words.current))
            return
    if words.current.startswith("-"):
        yield from options
    elif len(typed) < len(positionals):
        yield from _values(positionals[len(typed)], words)
    else:
        yield from options


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0


def _positionals(words: Sequence[str], options: Mapping[str, argparse.Action]) -> Iterator[str]:
    """What of the words is neither an option nor its value."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in options and _takes_value(options[word])
        else:
            yield word


def _values(action: argparse.Action, words: Words) -> Iterator[str]:
    """By its choices, else by what its help calls it."""
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    if action.choices is not None:
        yield from map(str, action.choices)
    elif name in _FILE_NAMES:
        yield FILES
    elif source := _SOURCES.get((name, action.dest)) or _SOURCES.get((name, "")):
        yield from source(words)


def _incidents(_words: Words) -> list[str]:
    """The newest first."""
    return [incident.id for incident in reversed(list_incidents())]


def _gates(words: Words) -> list[str]:
    """Those that hold the incident that was typed before."""
    return [gate for incident in words.before[:1] for gate in state_of(find(incident).journal.events()).gates]


def _venues(_words: Words) -> list[str]:
    return known_venues(inventory_sources(None, home_directory()))


def _faults(words: Words) -> list[str]:
    """Of the type that was typed; the drill needs the lab, which need not be installed."""
    faults = import_module("hft_incident.drill").FAULTS
    return [name for kind in words.before[:1] for name in faults.get(kind, ())]


def _types(_words: Words) -> list[str]:
    return [name for name, entry in CATALOG.items() if entry.is_ready]


def _inputs(words: Words) -> list[str]:
    """``name=`` of each input of the type that was typed, and the venues for the one that names a venue."""
    entry = CATALOG.get(next((word for word in words.before if word in CATALOG), ""))
    names = [f"{item.name}=" for item in entry.inputs] if entry else []
    if not words.current.startswith("exchange="):
        return names
    return [f"exchange={venue}" for venue in _venues(words)]


#: Where values come from, by what the help calls them and, where that says too little, by the option's own name.
_SOURCES: Mapping[tuple[str, str], Callable[[Words], list[str]]] = {
    ("INC", ""): _incidents,
    ("OTHER", ""): _incidents,
    ("INC|TYPE", ""): lambda words: [*_types(words), *_incidents(words)],
    ("TYPE", ""): _types,
    ("GATE", ""): _gates,
    ("ROLE", ""): lambda _words: list(ROLES),
    ("PHASE", ""): lambda _words: list(PHASES),
    ("NAME", "venue"): _venues,
    ("NAME", "fault"): _faults,
    ("NAME=VALUE", ""): _inputs,
}

# The shells' side -----------------------------------------------------------------------------------------------------

_BASH = f"""\
# hft-incident: completion for bash. Load it with: source <(hft-incident completion bash)
_hft_incident() {{
    local cur words cword IFS=$'\\n'
    # An equals sign is part of a word here (-e exchange=binance), which bash would split.
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n = cur words cword
    else
        local line=${{COMP_LINE:0:COMP_POINT}}
        IFS=' ' read -ra words <<<"$line"
        if [[ $line == *' ' ]]; then words+=(''); fi
        cword=$((${{#words[@]}} - 1)) cur=${{words[-1]}}
    fi
    words=("${{words[@]:1:cword}}")
    COMPREPLY=($(hft-incident completion words "${{words[@]/#/{MARK}}}" 2>/dev/null))
    if [[ ${{COMPREPLY[0]}} == {FILES} ]]; then
        COMPREPLY=($(compgen -f -- "$cur"))
        compopt -o filenames
    fi
    if [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *= ]]; then compopt -o nospace; fi
    # What stands before the equals sign is there already, where bash has split it off.
    if [[ $cur == *=* && $COMP_WORDBREAKS == *=* ]]; then COMPREPLY=("${{COMPREPLY[@]#"${{cur%%=*}}="}}"); fi
}}
complete -F _hft_incident hft-incident
"""
_ZSH = f"""\
#compdef hft-incident
# hft-incident: completion for zsh. Load it with: source <(hft-incident completion zsh)
_hft_incident() {{
    local -a found
    found=("${{(@f)$(hft-incident completion words "${{(@)words[2,CURRENT]/#/{MARK}}}" 2>/dev/null)}}")
    if [[ $found[1] == {FILES} ]]; then
        _files
    elif [[ $#found -eq 1 && $found[1] == *= ]]; then
        compadd -S '' -- $found
    else
        compadd -- $found
    fi
}}
if [[ $funcstack[1] == _hft_incident ]]; then _hft_incident; else compdef _hft_incident hft-incident; fi
"""
_FISH = f"""\
# hft-incident: completion for fish. Load it with: hft-incident completion fish | source
function __hft_incident
    set -l typed (commandline -opc) (commandline -ct)
    set -l found (hft-incident completion words {MARK}$typed[2..-1] 2>/dev/null)
    if test "$found[1]" = {FILES}
        __fish_complete_path (commandline -ct)
    else
        string join \\n -- $found
    end
end
complete -c hft-incident -f -a '(__hft_incident)'
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def write_script(shell: str) -> None:
    sys.stdout.write(SCRIPTS[shell])
