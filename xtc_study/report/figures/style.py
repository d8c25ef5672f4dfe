"""The look of every figure, and how a figure gets into a page, a file or a notebook."""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

STYLE = Path(__file__).with_name("xtc.mplstyle")
INK, MUTED, RULE, PAPER = "#1b1f24", "#5b626b", "#c9ccd1", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colour-blind palette (2008), without its yellow, which is too light on white."""
MARKERS = "osD^vPX*"
_VARIABLES = {
    **{INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"},
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}
"""Each colour becomes a CSS variable with itself as the fallback, so that a dark page shows dark figures."""
_DARK = {
    **{"--ink": "#e8eaed", "--muted": "#a3abb5", "--rule": "#41474f", "--paper": "#14171b", "--series-1": "#4fa8e0"},
    **{"--series-2": "#f0803c", "--series-3": "#2cc79b", "--series-4": "#e29cc4", "--series-5": "#f0b53c"},
    "--series-6": "#9ad4f5",
}
"""The same variables on a dark ground, as in page.css."""
PANEL_WIDTH, PANEL_HEIGHT, _PAGE_WIDTH = 3.1, 2.7, 10.0
_ROUNDING = 1e-9
"""Of 100 times a metric that is 1 or 0."""
_LETTERS_AN_INCH = 11
"""Of a bold 11-point title; an average letter is a little over half as wide as it is high."""


@dataclass(frozen=True)
class Mark:
    """A point of a figure that can be pointed at: by its ``gid`` in the figure, its text and where it leads."""

    text: str
    href: str


@dataclass(frozen=True)
class Drawing:
    """A figure of a page. ``inline`` and ``file`` are SVG that only ``drawing`` may make; the rest is plain text."""

    name: str
    """Of the SVG file, without its ending."""
    heading: str
    caption: str
    """The finding, and how to read the figure."""
    alt: str
    inline: str
    """To stand inside a page: its colours are the page's, so it follows dark and print."""
    file: str
    """To stand alone."""
    missing: str = ""
    """What is missing, in a sentence, where there was nothing to draw; then the figure says this and no more."""
    hint: str = ""
    """How to read more of it on a page."""
    figure: Figure | None = field(default=None, repr=False, compare=False)
    """What both were drawn from; a notebook needs it for a PNG."""

    def _repr_mimebundle_(self, **only: object) -> tuple[dict[str, object], dict[str, dict[str, str]]]:
        """For a notebook: SVG, PNG for viewers that show no SVG, and the description as plain text."""
        if self.figure is not None:
            return mime_bundle(self.figure, self.alt, self.caption)
        return {"image/svg+xml": standing_alone(self.inline), "text/plain": self.alt}, {
            "image/svg+xml": {"alt": self.alt, "caption": self.caption}
        }

    def __post_init__(self) -> None:
        if not (self.inline.startswith("<svg ") and self.file.startswith("<svg ")):
            raise ValueError(f"{self.name}: the figure must be an SVG element made by figure_svg")


def drawing(
    figure: Figure, name: str, heading: str, alt: str, caption: str, marks: Mapping[str, Mark] | None = None
) -> Drawing:
    """The figure, once as a part of a page and once as a file. One that says what is missing needs no caption."""
    missing = str(figure.get_label())
    alt, caption = missing or alt, "" if missing else caption
    inline, file = figure_svg(figure, alt, marks=marks), figure_svg(figure, alt, themed=False)
    hint = "Hover over a mark, or tab to it, to read it." if marks else ""
    return Drawing(name, heading, caption, alt, inline, file, missing, hint, figure)


def figure_svg(figure: Figure, alt: str, *, themed: bool = True, marks: Mapping[str, Mark] | None = None) -> str:
    """The figure as an SVG element to stand inside a page: the same bytes for the same figure, no date, no script.

    Its ids are unique to its content, so that several figures can share a page. ``alt`` is its title and its
    accessible name. Text in the figure is escaped by matplotlib; ``alt`` is escaped here.

    Args:
        alt: what a reader who cannot see the figure is given.
        themed: colours are CSS variables of the page.
        marks: artists, by gid, that become links which show their text when pointed at or focused; the figure is
            then a group and not one image, so that they can be reached.
    """
    buffer = io.StringIO()
    with mpl.rc_context(fname=STYLE):
        _settle(figure)
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=no_metadata, bbox_inches="tight")
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    prefix = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8] + "-"
    svg = re.sub(r'(\sid="|href="#|url\(#)', lambda found: found[1] + prefix, svg)
    for colour, variable in _VARIABLES.items() if themed else ():
        svg = svg.replace(f": {colour}", f": var({variable}, {colour})")
    name, role = escape(alt), "group" if marks else "img"
    opening = f'<svg role="{role}" aria-label="{name}" '
    svg = re.sub(r"<svg ([^>]*)>", lambda found: f"{opening}{found[1]}>\n <title>{name}</title>", svg, count=1)
    return _linked(svg, prefix, marks) if marks else svg


def _linked(svg: str, prefix: str, marks: Mapping[str, Mark]) -> str:
    """Each marked group inside a link; groups do not nest, so a group ends at its first closing tag after the next."""
    for gid, mark in marks.items():
        text, href = escape(mark.text), escape(mark.href)
        link = f'<a class="mark" href="{href}" aria-label="{text}"><title>{text}</title>'
        group = re.compile(rf'<g id="{re.escape(prefix + gid)}">.*?</g>\s*</g>', re.DOTALL)
        svg = group.sub(lambda found, link=link: f"{link}{found[0]}</a>", svg, count=1)  # type: ignore[misc]
    return svg


def standing_alone(svg: str) -> str:
    """A themed SVG that is dark where it is shown as an image on a dark ground; inside a page, the page decides."""
    colours = "; ".join(f"{name}: {colour}" for name, colour in _DARK.items())
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg:root {{ {colours} }} }}</style>"
    return svg.replace("</title>", f"</title>\n {style}", 1)


def show(figure: Figure, alt: str, caption: str = "") -> None:
    """Display the figure in a notebook as SVG and PNG, with ``alt`` in the output's metadata and as its plain text.

    Args:
        caption: what the figure shows, in a sentence; run pages print it below the figure.
    """
    from IPython.display import display  # only a notebook needs it

    bundle, metadata = mime_bundle(figure, alt, caption)
    display(bundle, raw=True, metadata=metadata)


def mime_bundle(figure: Figure, alt: str, caption: str = "") -> tuple[dict[str, object], dict[str, dict[str, str]]]:
    """The figure as SVG and PNG, and ``alt`` as plain text; then ``alt`` and ``caption`` as the pictures' metadata."""
    alt = str(figure.get_label()) or alt  # what is missing, where nothing could be drawn (``in_words``)

    buffer = io.BytesIO()
    with mpl.rc_context(fname=STYLE):
        _settle(figure)
        figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    bundle: dict[str, object] = {
        "image/svg+xml": standing_alone(figure_svg(figure, alt)),
        "image/png": buffer.getvalue(),
        "text/plain": alt,
    }
    words = {"alt": alt, **({"caption": caption} if caption else {})}
    return bundle, dict.fromkeys(("image/svg+xml", "image/png"), words)


def _settle(figure: Figure) -> None:
    """Lay out once: a constrained layout starts from the last one, so drawing twice would move things a little."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def beside(panel: Axes, height: float, text: str, scale: str, anchor: str) -> None:
    """A note right of the panel, where it covers no dot."""
    panel.annotate(
        text, (1, height), xycoords=("axes fraction", scale), xytext=(4, 0), textcoords="offset points", va=anchor,
        color=MUTED, fontsize=8, annotation_clip=False,
    )  # fmt: skip


def within_scores(panel: Axes) -> None:
    """Ends an axis of scores, in points, where scores end: at 100, and at 0, or at -100 where one is negative.

    An end that the data pass stays as it is. To be called last. A mark on an end is drawn whole.
    """
    low, high = panel.get_ylim()
    least, most = panel.dataLim.intervaly
    floor = 0.0 if least >= -_ROUNDING else -100.0
    panel.set_ylim(
        max(low, floor) if least >= floor - _ROUNDING else low, min(high, 100.0) if most <= 100 + _ROUNDING else high
    )
    for line in panel.lines:
        drawn = np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()
        if drawn and line.get_marker() not in ("None", "none", "", " ", None):  # an unclipped empty line has no extent
            line.set_clip_on(False)


def fitting(width: float, panels: int) -> float:
    """Return the inches of a row of panels, each as wide as given or narrower, so that a notebook's cell holds it."""
    return min(width * panels, _PAGE_WIDTH)


def in_words(missing: str, title: str) -> Figure:
    """A figure that names what is missing where there is nothing to draw yet, so that a notebook runs to its end.

    Its text is its label too, which ``show`` and ``drawing`` give as its description.
    """
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(7.0, 0.9))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.text(0.01, 0.25, textwrap.fill(missing, 84), fontsize=9, color=MUTED)
    figure.set_label(missing)
    return figure


def grid(
    panels: int, title: str, width: float = PANEL_WIDTH, height: float = PANEL_HEIGHT
) -> tuple[Figure, list[Axes]]:
    """A figure of panels, as many a row as a page is wide, below a wrapped title. Sizes are of a panel, in inches.

    Without a panel the figure names what is missing: a run that is done.
    """
    if not panels:
        return in_words("No run is done yet, so there is nothing to draw.", title), []
    columns = min(panels, max(1, int(_PAGE_WIDTH / width)))
    rows = -(-panels // columns)
    padded = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches
    figure = Figure(figsize=(width * columns, height * rows + 0.4), layout=padded)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[panels:]:
        unused.remove()
    for panel in axes[:panels]:
        panel.yaxis.set_major_locator(MaxNLocator(5))
    letters = int(_LETTERS_AN_INCH * width * columns)
    figure.suptitle(textwrap.fill(title, letters), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure, axes[:panels]
