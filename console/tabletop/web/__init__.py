"""The exercise for a room: one server, a page per role, everything live."""

from .server import serve

__all__ = ["serve"]
