"""Typed questions of the tools, checked before a tool sees them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_LENGTH = 256


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UserQuestion(_Question):
    """About an account."""

    user: str = Field(max_length=_LENGTH, description="login, such as alice")


class HostQuestion(_Question):
    """About a machine."""

    host: str = Field(max_length=_LENGTH, description="host name, such as WS-ALICE")


class IndicatorQuestion(_Question):
    """About something outside."""

    indicator: str = Field(max_length=_LENGTH, description="domain or IP address")


class PeerQuestion(_Question):
    """About traffic with something outside."""

    peer: str = Field(max_length=_LENGTH, description="domain or IP address")


class ScopeQuestion(_Question):
    """About changes of something of ours."""

    scope: str = Field(max_length=_LENGTH, description="host or resource")
