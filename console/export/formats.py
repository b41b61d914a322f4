"""The registry of formats that `turncoat export` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..past_run import PastRun
from .attire import attire
from .junit import junit
from .navigator import navigator
from .ocsf import ocsf

Format = Callable[[PastRun, Sequence[str], str], str]
"""(run, variants, principal) -> text of the file, ASCII only, ending in a line break unless it is empty."""

FORMATS: Mapping[str, Format] = {"navigator": navigator, "attire": attire, "junit": junit, "ocsf": ocsf}
