"""What every figure needs on its way to a file: text that stays text, the same bytes each time, words for a reader."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from ..terminal import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg_of(figure: Figure, title: str, description: str) -> str:
    """A figure as SVG, with a title and a description in words for whoever cannot see it."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "turncoat", "text.parse_math": False}):
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "turncoat"})
    words = f'<title id="t">{_said(title)}</title><desc id="d">{_said(description)}</desc>'
    return re.sub(
        r"(<svg\b[^>]*)>", lambda tag: f'{tag[1]} role="img" aria-labelledby="t d">{words}', drawn.getvalue(), count=1
    )


def _said(words: str) -> str:
    return html.escape(clean(words, 4_000))
