"""The smallest campaigns that say something: Alice takes a file, in her name and in that of a twin."""

from __future__ import annotations

from textwrap import indent

TWIN = "{name: Nora Keller, login: nora}"

READ = """\
- id: read
  title: Reads the share
  technique: T1039
  at: D1 11:00
  alert: {family: share-bulk-read, severity: high}
  expect: {truth: malicious, escalate: true}
"""


def small_campaign(*steps: str, id: str = "small-theft", per_day: int = 2, twins: str = TWIN) -> str:
    """A campaign of one phase, as YAML. `steps` are list items of YAML;"""
    return f"""\
schema: 1
attack_version: "18.1"
id: {id}
title: A small theft
summary: Somebody takes a file.
seed: 5
clock: {{start: 2026-03-02, days: 2}}
actor: {{name: Alice Smith, login: alice, department: Finance, role: analyst}}
objectives: [Take a file.]
noise: {{per_day: {per_day}, lookalikes: 0.5}}
phases:
  - id: taking
    title: Taking
    steps:
{indent("".join(steps), " " * 6)}\
counterfactuals:
  twins: [{twins}]
"""
