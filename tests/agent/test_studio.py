from __future__ import annotations

import json
from pathlib import Path

import pytest

from turncoat.agent.state import start
from turncoat.agent.studio import demo_stream, make_graph


def test_the_demonstration_takes_each_of_the_three_ways() -> None:
    graph = make_graph()
    ends = [graph.invoke(start(alert.uid, "demo"))["decision"]["action"] for alert in demo_stream().alerts]
    assert ends == ["review", "dismiss", "escalate"]


def test_studio_finds_the_graph_where_its_file_says() -> None:
    file = Path(__file__).parents[2] / "langgraph.json"
    if not file.exists():
        pytest.skip("langgraph.json is not there: not a checkout")
    assert any("studio" in str(graph) for graph in json.loads(file.read_text())["graphs"].values())
