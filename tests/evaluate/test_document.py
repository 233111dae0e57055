import re
from pathlib import Path

from satcost_gnn.evaluate.document import Bullets, Document, Heading, Paragraph, Picture, Table

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def document() -> Document:
    found = Document("Costs & <more>")
    found.add(
        Heading("A table"),
        Paragraph("See `x < 1` and **this** [there](other.json)."),
        Paragraph("Mind.", warning=True),
        Table(["name", "value"], [["a|b", "1 < 2"], ["c", "3"]], strong=[1]),
        Bullets(["one", "two"]),
        Picture("curve", SVG, 'a "curve"'),
    )
    return found


def test_markdown() -> None:
    text = document().to_markdown()
    assert text.startswith("# Costs & <more>\n\n## A table\n")
    assert "| a\\|b | 1 < 2 |" in text and "| **c** | **3** |" in text
    assert '![a "curve"](figures/curve.svg)' in text and "> **Note.** Mind." in text


def test_html_is_self_contained_and_escaped() -> None:
    text = document().to_html()
    assert "<title>Costs &amp; &lt;more&gt;</title>" in text
    assert "<code>x &lt; 1</code>" in text and '<a href="other.json">there</a>' in text
    assert "<p class=warning>Mind.</p>" in text and "<tr class=strong>" in text
    assert 'alt="a &quot;curve&quot;"' in text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(where.startswith(("data:", "#", "other.json")) for where in loaded)
    assert "<script" not in text and "@import" not in text


def test_files(tmp_path: Path) -> None:
    markdown, html = document().write(tmp_path, "report")
    assert markdown.name == "report.md" and html.name == "report.html"
    assert (tmp_path / "figures" / "curve.svg").read_bytes() == SVG
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "report.html", "report.md"]
