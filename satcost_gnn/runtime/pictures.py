"""Pictures: colours that can be told apart, names as text, files by their ending. matplotlib is loaded only to draw.

The colours begin with those of Okabe and Ito ("Color universal design", 2008). The five behind them were chosen so that
no two of the twelve come near each other, to an eye that sees all colours or one without red, green or blue cones.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.file_names import escaped, one_line
from satcost_gnn.runtime.output_files import picture_ending, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
    "#771100", "#333377", "#BBDDAA", "#775555", "#9966FF",
)  # fmt: skip
#: Panels of one picture at most: more can't be read.
MOST_PANELS = 24
_LINES = ("-", "--", ":", "-.")
_HATCHES = ("", "///", "...", "xxx")
_LONGEST_NAME = 44
# More decimals than an eye can tell, a point being a third of a millimetre; ids and packed pixels have no such numbers.
_DECIMALS = re.compile(r"(?<![\w.#])-?\d+\.\d{3,}(?!\w)")


@dataclass(frozen=True)
class Style:
    """How one of several things is drawn: colours come again after twelve, with another line and hatch."""

    colour: str
    line: str
    hatch: str


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Return a style for each name, in their order; no two have the same up to 48."""
    rounds = len(_LINES)
    found = {}
    for k, name in enumerate(dict.fromkeys(names)):
        turn = k // len(COLOURS) % rounds
        found[name] = Style(COLOURS[k % len(COLOURS)], _LINES[turn], _HATCHES[turn])
    return found


def check_panels(option: str, count: int) -> None:
    """Refuse a picture of more panels than can be read.

    Raises
    ------
    ConfigError
        If there are more than :data:`MOST_PANELS`.
    """
    if count > MOST_PANELS:
        raise ConfigError(
            f"{option}: found {count} files, expected at most {MOST_PANELS}, for a panel each; draw them in parts"
        )


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches; no window is opened."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain_axes(axes: Any) -> None:
    """Take away the frame's upper and right side, and make the ticks' letters small."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)


def name_text(name: str) -> str:
    """Return a name to be drawn: one line, its end if it is long, and no dollar sign taken for a formula's."""
    text = one_line(escaped(name))
    shown = text if len(text) <= _LONGEST_NAME else "…" + text[1 - _LONGEST_NAME :]
    return shown.replace("$", r"\$")


def svg(figure: Figure) -> bytes:
    """Return a figure as small SVG, the same bytes for the same figure: letters are text, places have two decimals."""
    from matplotlib import rc_context

    sink = io.BytesIO()
    fonts = ["DejaVu Sans", "Verdana", "sans-serif"]
    with rc_context({"svg.hashsalt": "satcost", "svg.fonttype": "none", "font.sans-serif": fonts}):
        figure.savefig(sink, format="svg", metadata={"Date": None}, dpi=100)
    text = re.sub(r"<!--.*?-->", "", sink.getvalue().decode(), flags=re.DOTALL)
    text = _DECIMALS.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), text)
    return re.sub(r"\n\s*", "\n", text).encode()


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, PNG or PDF, by the path's ending; a picture of that name is replaced.

    Raises
    ------
    OutputError
        If the ending is another one, or the file can't be written.
    """
    ending = picture_ending("picture", path)
    with replacing(path) as temporary:
        if ending == ".svg":
            temporary.write_bytes(svg(figure))
        else:
            figure.savefig(temporary, format=ending[1:], dpi=150)
