from __future__ import annotations

import time

import pytest

from xtc_study.report.pages.sanitise import aligned, safe_html, safe_svg

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<img src="http://example.org/a.png">',
        '<img src="data:image/svg+xml;base64,AAAA">',
        '<a href="javascript:alert(1)">x</a>',
        '<a href=" data:text/html;base64,AAAA">x</a>',
        "<iframe src='http://example.org'></iframe>",
        "<form action='http://example.org'><input></form>",
        "<style>@import 'http://example.org/a.css'</style>",
        "<div style='background: url(http://example.org)'>x</div>",
        "<object data='x'></object><embed src='x'><link rel=stylesheet href='http://example.org'>",
        "<base href='http://example.org'><meta http-equiv=refresh content='0;url=http://example.org'>",
    ],
)
def test_html_that_acts_or_loads_is_removed(hostile: str) -> None:
    clean = safe_html(f"<p>kept</p>{hostile}")
    assert clean.startswith("<p>kept</p>")
    for word in ("script", "onerror", "example.org", "iframe", "form", "style", "object", "data:", "img"):
        assert word not in clean, clean


def test_formatting_is_kept() -> None:
    kept = '<table><tbody><tr><th scope="row">a</th><td colspan="2">1 &lt; 2</td></tr></tbody></table>'
    assert safe_html(kept) == kept
    image = '<img src="data:image/png;base64,AAAA" alt="x">'
    assert safe_html(image) == image
    assert 'href="https://arxiv.org/abs/1"' in safe_html('<a href="https://arxiv.org/abs/1">paper</a>')


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<foreignObject><body/></foreignObject>",
        '<rect onclick="alert(1)"/>',
        '<use href="http://example.org/a.svg#x"/>',
        '<use xlink:href="data:image/svg+xml;base64,AAAA#x"/>',
        '<image href="http://example.org/a.png"/>',
        '<rect style="fill: url(http://example.org)"/>',
        "<style>@import 'a.css'</style>",
        "<style>rect { fill: url(a) }</style>",
        '<animate attributeName="href" values="javascript:alert(1)"/>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        "<unclosed>",
        '<script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script>',
        '<g xmlns:xlink="urn:x"><use xlink:href="http://example.org/a.svg#x"/></g>',
        "<title><style/></title>",
        "<![CDATA[<meta>]]>",
        "<?x <meta> ?>",
        "<!<!-- -->-- <meta> -->",
    ],
)
def test_an_svg_that_does_more_than_draw_is_refused(inside: str) -> None:
    assert safe_svg(SVG.format(inside)) is None


def test_an_svg_that_draws_is_kept() -> None:
    drawn = SVG.format('<defs><path id="a" d="M 0 0"/></defs><g clip-path="url(#a)"><use href="#a"/></g>')
    assert safe_svg('<?xml version="1.0"?>\n<!DOCTYPE svg>\n' + drawn) == drawn
    assert safe_svg("no picture") is None and safe_svg("<svg><!ENTITY a 'b'></svg>") is None


@pytest.mark.parametrize("comment", ["<!-- x -->", "<!--><meta>-->", "<!---><meta>-->", "<!--\n<meta> --!><p>-->"])
def test_comments_are_removed(comment: str) -> None:
    hidden = comment.replace("<meta>", '<meta http-equiv="refresh" content="0;url=http://example.org"/>')
    assert safe_svg(SVG.format(f"<g>{hidden}</g>")) in (SVG.format("<g></g>"), None)


def test_a_long_cell_is_read_in_linear_time() -> None:
    digits = "1" * 50_000
    start = time.process_time()
    assert "data-number" not in aligned(f"<table><tbody><tr><td>{digits}x</td></tr></tbody></table>")
    assert time.process_time() - start < 1


def test_number_columns_are_marked() -> None:
    head = "<thead><tr><th></th><th></th><th>text</th><th>value</th></tr></thead>"
    rows = "<tr><th>a</th><th>b</th><td>x 1</td><td>1.5</td></tr><tr><th>c</th><td>2</td><td>-3e-05</td></tr>"
    text = aligned(f"<table>{head}<tbody>{rows}</tbody></table>")
    assert text.count("data-number") == 3 and "<th data-number>value</th>" in text and "<td>x 1</td>" in text
    assert "<td data-number>-3e-05</td>" in text and text.endswith("</tbody></table>")
    assert aligned("<p>1</p>") == "<p>1</p>"
