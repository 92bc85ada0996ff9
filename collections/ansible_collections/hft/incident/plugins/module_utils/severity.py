# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How severe an incident is: rules over facts, no input or output (runbook section 2; seed-faults E1-E5, E17).

The rules are data (``playbooks/vars/severity.yml`` explains them). All whose conditions hold fire, the worst decides. A
condition can only ask for a fact to be *so bad or worse*, there is no "and not": so a worse fact never makes a better
severity, whatever rules a site writes. What nobody knows (``unknown``) counts as the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple, Union

from .errors import UsageError

UNKNOWN, ALL = "unknown", "all"
WORST, BEST = 1, 4
FLOOR = "floor"  #: the name of the rule that every incident type has

Facts = Mapping[str, str]
#: A number (of a scale: the place on it), or the names; None: every name there could be.
Value = Union[Decimal, frozenset[str], None]
_MOST = Decimal("Infinity")


class Fact(NamedTuple):
    """Something that can be known. ``scale``: its words, from harmless to worst; ``unit``: of a number."""

    name: str
    kind: Literal["scale", "number", "names"]
    scale: tuple[str, ...]
    unit: str
    help: str
    silent_is_worst: bool

    @property
    def worst(self) -> Value:
        return None if self.kind == "names" else Decimal(len(self.scale) - 1) if self.kind == "scale" else _MOST


class Condition(NamedTuple):
    """``fact`` is ``value`` or worse; ``beyond``: worse."""

    fact: Fact
    value: Value
    beyond: bool
    text: str


class Rule(NamedTuple):
    """Fires where all of its conditions hold."""

    name: str
    severity: int
    conditions: tuple[Condition, ...]
    why: str


class Level(NamedTuple):
    """What a severity means. ``respond_within_s``: None for the next business day."""

    severity: int
    name: str
    definition: str
    impact: str
    respond_within_s: float | None
    escalation: str


class IncidentType(NamedTuple):
    """``floor``: never better than this; ``assume``: what counts until somebody knows better."""

    name: str
    floor: int
    assume: Facts
    respond_within_s: Mapping[int, float]


class Rules(NamedTuple):
    """``sources``: the files they come from, the later over the earlier."""

    levels: Mapping[int, Level]
    facts: Mapping[str, Fact]
    types: Mapping[str, IncidentType]
    rules: tuple[Rule, ...]
    sources: tuple[str, ...] = ()


class Fired(NamedTuple):
    """A rule that fires, and the facts that make it fire, in words."""

    rule: str
    severity: int
    why: str
    because: tuple[str, ...]

    @property
    def reason(self) -> str:
        return f"{self.why}: {', '.join(self.because)}" if self.because else self.why


class Verdict(NamedTuple):
    """``rule`` decided, ``fired`` are all that fire, the worst first; ``facts``: what counted; ``assumed``: of these,
    what nobody knows yet and the incident's type assumes."""

    severity: int
    rule: str
    reason: str
    fired: tuple[Fired, ...]
    facts: Facts
    assumed: tuple[str, ...]


def judge(rules: Rules, incident_type: str | None, facts: Facts) -> Verdict:
    """The severity of an incident of this type (None: of something that is none) with these facts.

    Total: facts that the rules do not have are passed over, a value that means nothing counts as unknown.
    """
    kind = rules.types.get(incident_type or "")
    assumed = {name: value for name, value in (kind.assume if kind else {}).items() if name not in facts}
    known = {name: str(value) for name, value in facts.items() if name in rules.facts}
    found = (_fire(rule, known, assumed) for rule in rules.rules)
    firing = [one for one in found if one is not None]
    fired = sorted([*firing, _floor(incident_type, kind)], key=lambda one: one.severity)
    first = fired[0]
    return Verdict(first.severity, first.rule, first.reason, tuple(fired), {**assumed, **known}, tuple(assumed))


def respond_within_s(rules: Rules, incident_type: str | None, severity: int) -> float | None:
    """Within how many seconds somebody answers: the stricter of the severity's and the type's own time (E4)."""
    kind = rules.types.get(incident_type or "")
    times = [rules.levels[severity].respond_within_s, kind.respond_within_s.get(severity) if kind else None]
    return min((time for time in times if time is not None), default=None)


def worse_of(rules: Rules, one: Facts, other: Facts) -> dict[str, str]:
    """Both together; where they differ, the worse of the two."""
    both = {**one, **other}
    for name in one.keys() & other.keys() & rules.facts.keys():
        fact = rules.facts[name]
        first, second = _counts_as(fact, one[name]), _counts_as(fact, other[name])
        if _reaches(first, Condition(fact, second, False, "")):
            both[name] = one[name]
        if fact.kind == "names" and first is not None and second is not None:
            both[name] = ", ".join(dict.fromkeys([one[name], other[name]]))
    return both


def checked_facts(rules: Rules, facts: Mapping[str, Any]) -> dict[str, str]:
    """``facts`` as people and alerts give them; raises UsageError for a name or a value that no rule could know."""
    for name, value in facts.items():
        fact = rules.facts.get(name)
        if fact is None:
            raise UsageError(f"no fact is called {name!r}; there are: {', '.join(rules.facts)}")
        try:
            value_of(fact, value)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    return {name: str(value) for name, value in facts.items()}


def value_of(fact: Fact, given: Any) -> Value:
    """What ``given`` is worth; raises ValueError that says what it could be."""
    text = " ".join(str(given).split())
    if text == UNKNOWN:
        return fact.worst
    if fact.kind == "names":
        names = frozenset(filter(None, map(plain_name, text.split(","))))
        if not names:
            raise ValueError("give names, with commas between them")
        return names
    if fact.kind == "scale":
        if text not in fact.scale:
            raise ValueError(f"{text!r} is none of {', '.join(fact.scale)}, {UNKNOWN}")
        return Decimal(fact.scale.index(text))
    if text == ALL:
        return _MOST
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(given, bool) or not number.is_finite():
        raise ValueError(f"{text!r} is no number of {fact.unit}, nor {ALL} or {UNKNOWN}")
    return number


def plain_name(text: str) -> str:
    """An alert's name however it is written: ``High Latency``, ``HighLatency`` and ``high_latency`` are one."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _counts_as(fact: Fact, given: Any) -> Value:
    try:
        return value_of(fact, given)
    except ValueError:  # of a record that was written under other rules
        return fact.worst


def _floor(incident_type: str | None, kind: IncidentType | None) -> Fired:
    if kind is None:
        return Fired(FLOOR, BEST, f"nothing that is known of {incident_type or 'it'} speaks for more", ())
    return Fired(FLOOR, kind.floor, f"{kind.name} is never better than {kind.floor}", ())


def _fire(rule: Rule, known: Facts, assumed: Facts) -> Fired | None:
    because = []
    for condition in rule.conditions:
        fact = condition.fact
        notes = [condition.text] if condition.text else []
        if fact.name in known:
            given = known[fact.name]
        elif fact.name in assumed:
            given = assumed[fact.name]
            notes.insert(0, "assumed")
        elif fact.silent_is_worst:
            given = UNKNOWN
            notes.insert(0, "nobody said")
        else:
            return None
        if not _reaches(_counts_as(fact, given), condition):
            return None
        said = f" ({', '.join(notes)})" if notes else ""
        because.append(f"{fact.name} {given}{said}")
    return Fired(rule.name, rule.severity, rule.why, tuple(because))


def _reaches(value: Value, condition: Condition) -> bool:
    """Whether a value is as bad as the condition asks, or worse."""
    if value is None:
        return True
    if condition.value is None:
        return False
    if isinstance(value, Decimal) and isinstance(condition.value, Decimal):
        return value > condition.value if condition.beyond else value >= condition.value
    return isinstance(value, frozenset) and isinstance(condition.value, frozenset) and bool(value & condition.value)


# Reading the data ---------------------------------------------------------------------------------------------------


class BadRulesError(ValueError):
    """One line: where in the data, and what is wrong there."""


def parse(data: Any, sources: Sequence[str] = ()) -> Rules:
    """Rules out of plain data (the value of ``hft_severity_rules``); raises BadRulesError."""
    _fields("", data, {"levels", "facts", "types", "rules"})
    facts = _each("facts", data, _fact)
    levels = {level.severity: level for level in _each("levels", data, _level).values()}
    if set(levels) != {1, 2, 3, 4}:
        raise BadRulesError(f"levels: there are 1 to 4, not {', '.join(map(str, sorted(levels)))}")
    types = _each("types", data, lambda where, name, given: _type(where, name, given, facts))
    rules = _each("rules", data, lambda where, name, given: _rule(where, name, given, facts))
    return Rules(levels, facts, types, tuple(rules.values()), tuple(sources))


def merged(base: Mapping[str, Any], site: Any) -> dict[str, Any]:
    """``base`` with what a site changes: rules and facts as a whole, levels and types field by field; None takes a rule
    away. Raises BadRulesError."""
    result = {section: dict(given) for section, given in base.items()}
    _fields("", site, set(result))
    for section, changes in site.items():
        if not isinstance(changes, Mapping):
            raise BadRulesError(f"{section}: give names with what each is, not {_shown(changes)}")
        for name, change in changes.items():
            before = result[section].get(name)
            if change is None and section == "rules":
                result[section].pop(name, None)
            elif isinstance(before, Mapping) and isinstance(change, Mapping) and section in ("levels", "types"):
                result[section][name] = {**before, **change}
            else:
                result[section][name] = change
    return result


def _each(section: str, data: Mapping[str, Any], read: Callable[[str, Any, Any], Any]) -> dict[str, Any]:
    given = data.get(section)
    if not isinstance(given, Mapping) or not given:
        raise BadRulesError(f"{section}: give names with what each is, not {_shown(given)}")
    return {str(name): read(f"{section}: {str(name)!r}", name, value) for name, value in given.items()}


def _fields(where: str, given: Any, known: Iterable[str], required: Iterable[str] = ()) -> None:
    prefix = f"{where}: " if where else ""
    names = sorted(known)
    if not isinstance(given, Mapping):
        raise BadRulesError(f"{prefix}give {', '.join(names)}, not {_shown(given)}")
    for name in given:
        if name not in names:
            raise BadRulesError(f"{prefix}knows no {name!r}, only {', '.join(names)}")
    for name in required:
        if name not in given:
            raise BadRulesError(f"{prefix}{name} is missing")


def _fact(where: str, name: Any, given: Any) -> Fact:
    _fields(where, given, {"scale", "number", "names", "help", "if_silent"}, ("help",))
    kinds = [kind for kind in ("scale", "number", "names") if kind in given]
    if len(kinds) != 1:
        raise BadRulesError(f"{where}: is either a scale, a number or names")
    scale = given.get("scale", ())
    words = isinstance(scale, (list, tuple)) and all(isinstance(word, str) for word in scale)
    if "scale" in given and not (words and len(set(scale)) == len(scale) >= 2 and UNKNOWN not in scale):
        raise BadRulesError(f"{where}: a scale has two different words or more, from harmless to worst")
    if given.get("if_silent", "worst") != "worst":
        raise BadRulesError(f"{where}: if_silent can only be worst")
    kind: Literal["scale", "number", "names"] = kinds[0]  # type: ignore[assignment]  # one of the three above
    return Fact(str(name), kind, tuple(scale), str(given.get("number", "")), str(given["help"]), "if_silent" in given)


def _level(where: str, name: Any, given: Any) -> Level:
    fields = ("name", "definition", "impact", "respond_within_s", "escalation")
    _fields(where, given, fields, fields)
    within = given["respond_within_s"]
    return Level(
        _severity(where, name),
        str(given["name"]),
        str(given["definition"]),
        str(given["impact"]),
        None if within is None else _seconds(where, within),
        str(given["escalation"]),
    )


def _type(where: str, name: Any, given: Any, facts: Mapping[str, Fact]) -> IncidentType:
    _fields(where, given, {"floor", "assume", "respond_within_s"}, ("floor",))
    assume = given.get("assume") or {}
    if not isinstance(assume, Mapping):
        raise BadRulesError(f"{where}: assume gives facts with their values, not {_shown(assume)}")
    for fact, value in assume.items():
        _value(f"{where}: assume", _known(f"{where}: assume", facts, fact), value)
    times = given.get("respond_within_s") or {}
    if not isinstance(times, Mapping):
        raise BadRulesError(f"{where}: respond_within_s gives severities with their seconds, not {_shown(times)}")
    within = {_severity(where, level): _seconds(where, time) for level, time in times.items()}
    floor = _severity(f"{where}: floor", given["floor"])
    return IncidentType(str(name), floor, {str(fact): str(value) for fact, value in assume.items()}, within)


def _rule(where: str, name: Any, given: Any, facts: Mapping[str, Fact]) -> Rule:
    _fields(where, given, {"severity", "if", "why"}, ("severity", "if", "why"))
    if name == FLOOR:
        raise BadRulesError(f"{where}: that name is taken, by the floors of the types")
    asked = given["if"]
    if not isinstance(asked, Mapping) or not asked:
        raise BadRulesError(f"{where}: if needs facts with what they have to be, not {_shown(asked)}")
    conditions = tuple(_condition(where, _known(where, facts, fact), value) for fact, value in asked.items())
    if all(condition.fact.silent_is_worst for condition in conditions):
        raise BadRulesError(f"{where}: would fire where nobody said anything")
    return Rule(str(name), _severity(where, given["severity"]), conditions, str(given["why"]))


def _condition(where: str, fact: Fact, asked: Any) -> Condition:
    if fact.kind == "number":
        limits = {"above": True, "at_least": False}
        if not isinstance(asked, Mapping) or len(asked) != 1 or next(iter(asked)) not in limits:
            raise BadRulesError(f"{where}: {fact.name} needs one of above and at_least, not {_shown(asked)}")
        ((word, limit),) = asked.items()
        if str(limit) == UNKNOWN:
            raise BadRulesError(f"{where}: {fact.name}: a limit is known")
        return Condition(fact, _value(where, fact, limit), limits[word], f"{word.replace('_', ' ')} {limit}")
    words = ", ".join(map(str, asked)) if fact.kind == "names" and isinstance(asked, (list, tuple)) else asked
    if not isinstance(words, str) or words == UNKNOWN:
        raise BadRulesError(f"{where}: {fact.name} needs {'names' if fact.kind == 'names' else 'a word of its scale'}")
    value = _value(where, fact, words)
    if fact.kind == "scale" and value == 0:
        raise BadRulesError(f"{where}: {fact.name} is {words} or worse at all times")
    return Condition(fact, value, False, f"{words} or worse" if fact.kind == "scale" and value != fact.worst else "")


def _known(where: str, facts: Mapping[str, Fact], name: Any) -> Fact:
    if name not in facts:
        raise BadRulesError(f"{where}: no fact is called {name!r}")
    return facts[name]


def _value(where: str, fact: Fact, given: Any) -> Value:
    try:
        return value_of(fact, given)
    except ValueError as error:
        raise BadRulesError(f"{where}: {fact.name}: {error}") from None


def _severity(where: str, given: Any) -> int:
    if isinstance(given, bool) or given not in (1, 2, 3, 4):
        raise BadRulesError(f"{where}: a severity is 1 (worst) to 4, not {_shown(given)}")
    return int(given)


def _seconds(where: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < float("inf"):
        raise BadRulesError(f"{where}: respond_within_s is a number of seconds, not {_shown(given)}")
    return float(given)


def _shown(given: Any) -> str:
    return repr(given)[:60]
