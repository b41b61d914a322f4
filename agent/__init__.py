"""The LangGraph investigation loop: escalation, guards, replay, scoring and comparison."""
