"""Make HTML and SVG from a notebook's outputs safe to embed in a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import nh3

_TAGS = nh3.ALLOWED_TAGS - {"area", "map"}
_ATTRIBUTES = {
    "a": {"href", "title", "id"},
    "img": {"src", "alt", "width", "height"},
    "th": {"scope", "colspan", "rowspan"},
    "td": {"colspan", "rowspan"},
    "*": {"class", "id", "lang"},
}
_IMAGE_WITHOUT_SOURCE = re.compile(r"<img(?![^>]*\ssrc=)[^>]*>")
_TABLE = re.compile(r"(<table[^>]*>(?:(?!<tbody|</table).)*)(<tbody(?:(?!</table).)*)</table>", re.DOTALL)
_ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<t[hd](?=[ >])[^>]*>((?:(?!</t[hd]>).)*)</t[hd]>", re.DOTALL)
_NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?(\d[\d,]*(\.\d+)?|\.\d+)(e[-+]?\d+)?%?|NaN|None|", re.IGNORECASE)
_SVG = "{http://www.w3.org/2000/svg}"
_SVG_TAGS = frozenset(
    [
        *("svg", "g", "defs", "path", "use", "text", "tspan", "title", "desc", "style"),
        *("rect", "circle", "ellipse", "line", "polyline", "polygon", "clipPath"),
    ]
)
_TEXT_ONLY = frozenset(_SVG + tag for tag in ("title", "desc", "style"))
"""SVG elements that may contain only text: HTML parses the content of the first two as HTML, not as SVG."""
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def safe_html(html: str) -> str:
    """Return the HTML with formatting only: no script, style, form, frame or event, and only inline images."""
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        clean_content_tags={"script", "style"},
    )
    return _IMAGE_WITHOUT_SOURCE.sub("", clean)


def aligned(html: str) -> str:
    """Mark the cells and heads of number columns with ``data-number``, in every table of sanitised HTML.

    Columns are counted from the right, because the labels of a multi-index would shift a count from the left.
    """
    return _TABLE.sub(_align_one, html)


def _align_one(table: re.Match[str]) -> str:
    head, body = table[1], table[2]
    rows = [[cell[1] for cell in _CELL.finditer(row) if cell[0].startswith("<td")][::-1] for row in _ROW.findall(body)]
    width = max((len(row) for row in rows), default=0)
    numeric = [all(_NUMBER.fullmatch(row[at].strip()) for row in rows if at < len(row)) for at in range(width)]

    def mark(row: re.Match[str], kind: str) -> str:
        cells = [cell for cell in _CELL.finditer(row[0]) if cell[0].startswith(kind)]
        text = row[0]
        for at, cell in enumerate(reversed(cells)):  # from the right, so that earlier places stay valid
            if at < width and numeric[at]:
                start = cell.start() + len(kind)
                text = f"{text[:start]} data-number{text[start:]}"
        return text

    return f"{_ROW.sub(lambda row: mark(row, '<th'), head)}{_ROW.sub(lambda row: mark(row, '<td'), body)}</table>"


def safe_svg(svg: str) -> str | None:
    """Return the SVG element if it only draws, else None.

    A refused SVG can still be shown as an image, which runs and loads nothing. Anything before the element (XML
    declaration, doctype) is dropped, and so are comments, because HTML ends some of them earlier than XML does.
    """
    start = svg.find("<svg")
    if start < 0:
        return None
    element = _COMMENT.sub("", svg[start:]).strip()
    if "<!" in element or "<?" in element:
        return None
    try:
        root = ET.fromstring(element)
    except ET.ParseError:
        return None
    return element if all(_only_draws(node) for node in root.iter()) else None


def _attribute(tag: str, name: str, value: str) -> str | None:
    scheme = re.match(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*):", value)
    if name == "src":
        return value if re.match(r"data:image/(png|jpeg|gif|webp);base64,", value) else None
    if name == "href" and scheme and scheme[1].lower() == "data":
        return None
    return value


def _only_draws(node: ET.Element) -> bool:
    if not node.tag.startswith(_SVG) or node.tag.removeprefix(_SVG) not in _SVG_TAGS:
        return False
    if node.tag in _TEXT_ONLY and len(node):
        return False
    if node.tag == _SVG + "style" and re.search(r"url\(|@import|\\|expression", node.text or ""):
        return False
    for name, value in node.attrib.items():
        if name.lower().startswith("on"):
            return False
        # In any namespace: HTML treats xlink:href as a link even if the prefix is bound to another namespace.
        if name.rpartition("}")[2] == "href" and not value.startswith("#"):
            return False
        if re.search(r"url\(\s*(?!#)", value):
            return False
    return True
