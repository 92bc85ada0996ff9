# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The severity tables, from the rules as they are shipped."""

from __future__ import annotations

from ansible_collections.hft.incident.plugins.module_utils.severity import Fact, Rule, respond_within_s
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load

from .text import Pages, code, codes, page, plain, span, table, words


def pages() -> Pages:
    rules = load()
    levels = [
        [f"**SEV{number}** {level.name}", plain(level.definition), plain(level.impact),
         "next business day" if level.respond_within_s is None else span(level.respond_within_s),
         plain(level.escalation)]
        for number, level in rules.levels.items()
    ]  # fmt: skip
    types = [
        [words(name), f"SEV{kind.floor}",
         ", ".join(f"{code(fact)} is {code(value)}" for fact, value in kind.assume.items()),
         ", ".join(f"SEV{severity}: {span(respond_within_s(rules, name, severity))}" for severity in (1, 2, 3))]
        for name, kind in rules.types.items()
    ]  # fmt: skip
    deciding = [
        [f"SEV{rule.severity}", code(rule.name), _conditions(rule), plain(rule.why)]
        for rule in sorted(rules.rules, key=lambda rule: rule.severity)
    ]
    facts = [[code(fact.name), _scale(fact), plain(fact.help)] for fact in rules.facts.values()]
    return {
        "severity.md": page(
            "Severity",
            "A severity stands before anybody has looked: the rules give one at once, raise it as facts come in, and "
            "never lower it. Only a person does, with a reason that goes on record:",
            "```\nhft-incident severity explain INC                     # which rule decided, and why\n"
            "hft-incident severity set INC 2 --reason 'one venue, hedged'\n```",
            "Every rule whose conditions all hold counts; the worst one decides. What was asked for and nobody knows "
            "counts as the worst. The figures belong to the firm: write yours into `group_vars/all/severity.yml` of "
            "the inventory, under `hft_severity_rules`. What is named there replaces what is named here, `null` takes "
            "it away, all else stays.",
            "## What each means",
            table(["Severity", "Definition", "Impact", "Somebody answers within", "Escalation"], levels),
            "## By type of incident",
            "Never better than the floor; what is assumed counts until somebody knows. Times are the stricter of the "
            "severity's and the type's own. What can be done without people is done at once, whatever the severity.",
            table(["Type", "Floor", "Assumed at first", "Somebody answers within"], types),
            "## The rules",
            table(["Severity", "Rule", "Where", "Because"], deciding),
            "## The facts",
            "Responses find out what they can; the rest comes from alerts and people: "
            "`hft-incident run … -e hft_fact_loss_usd=250000`.",
            table(["Fact", "From harmless to worst", "Means"], facts),
        )
    }


def _conditions(rule: Rule) -> str:
    return " and ".join(code(f"{one.fact.name}: {one.text}") for one in rule.conditions)


def _scale(fact: Fact) -> str:
    shown = {"scale": codes(fact.scale), "number": f"a number ({plain(fact.unit)})", "names": "names"}[fact.kind]
    return f"{shown}; not told counts as the worst" if fact.silent_is_worst else shown
