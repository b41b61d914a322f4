"""Which labelled alerts must not be split between training and test: those of one rule, and of rules that hold the same event."""

from __future__ import annotations

from collections.abc import Sequence

from .records import LabelledAlert

_TELLING_FIELDS = 2
"""A single field that is the same does not make two events the same."""


def rule_of(item: LabelledAlert) -> str:
    """The reader's group, or the rule's title where it gives none."""
    return item.group or item.alert.title


def linked_groups(items: Sequence[LabelledAlert]) -> list[str]:
    """A group for each alert: its rule, joined with every rule that holds an event of the same fields.

    Rules of one vendor often come with copies of one event as their tests; to hold out the rule alone would leave the event
    in training.

    Args:
        items: Length N.

    Returns:
        Length N: of each group the first of its rules by name. Alerts of fewer than two raw fields link nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rules = sorted({rule_of(item) for item in items})
    number = {rule: at for at, rule in enumerate(rules)}
    holder: dict[tuple[tuple[str, str], ...], int] = {}
    links = [(0, 0)]
    for item in items:
        fields = tuple(sorted(item.alert.raw.items()))
        if len(fields) >= _TELLING_FIELDS:
            links.append((holder.setdefault(fields, number[rule_of(item)]), number[rule_of(item)]))
    rows, columns = zip(*links, strict=True)
    graph = coo_array(([True] * len(links), (rows, columns)), shape=(len(rules), len(rules)))
    _, parts = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for rule, part in zip(rules, parts.tolist(), strict=True):
        first.setdefault(part, rule)
    return [first[int(parts[number[rule_of(item)]])] for item in items]
