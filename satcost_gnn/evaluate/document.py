"""A document of headings, paragraphs, tables and pictures, written as Markdown and as one self-contained HTML file.

Texts may hold ``**bold**``, code between backticks and ``[links](where)``. In HTML pictures are data URIs: nothing is
loaded from anywhere.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from satcost_gnn.runtime.output_files import write_bytes, write_text


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a warning stands out."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; the first column is text, the others are set as numbers. Bold rows are numbered in ``strong``."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, with what it shows in words."""

    name: str
    svg: bytes
    text: str


Block: TypeAlias = Heading | Paragraph | Bullets | Table | Picture

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2rem auto; padding: 0 1.2rem;
  width: fit-content; min-width: min(72rem, 100% - 2.4rem); max-width: 100%; box-sizing: border-box; }
p, ul, figure { max-width: 72rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.4rem; border-bottom: 1px solid #d8dee6; }
h3 { font-size: 1.05rem; margin-top: 1.6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .6rem; text-align: right; border-bottom: 1px solid #e6eaf0; vertical-align: top; }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #9aa7b8; vertical-align: bottom; }
tr.strong td { font-weight: 650; background: #f2f6fc; }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .88rem; color: #4a5666; }
p.warning { background: #fff4e0; border-left: 4px solid #d98a00; padding: .5rem .8rem; }
code { background: #f1f3f6; padding: .05rem .3rem; border-radius: 3px; font-size: .9em; overflow-wrap: anywhere; }
nav { font-size: .9rem; } nav a { margin-right: 1rem; }
"""


@dataclass(frozen=True)
class Document:
    """Blocks under a title."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Append blocks."""
        self.blocks.extend(blocks)

    def to_markdown(self) -> str:
        """Return it as Markdown, with its pictures in ``figures/``."""
        lines = [f"# {self.title}", ""]
        for block in self.blocks:
            if isinstance(block, Heading):
                lines += [f"{'#' * block.level} {block.text}"]
            elif isinstance(block, Paragraph):
                lines += [f"> **Note.** {block.text}" if block.warning else block.text]
            elif isinstance(block, Bullets):
                lines += [f"- {item}" for item in block.items]
            elif isinstance(block, Table):
                lines += [_row(block.header), "|---|" + "---:|" * (len(block.header) - 1)]
                for number, row in enumerate(block.rows):
                    bold = number in block.strong
                    lines += [_row([f"**{cell}**" if bold and cell else cell for cell in row])]
            else:
                lines += [f"![{block.text}](figures/{block.name}.svg)", "", f"*{block.text}*"]
            lines += [""]
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return it as one HTML file that needs no other."""
        parts = [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{html.escape(self.title)}</h1>",
            "<nav>",
            *(
                f'<a href="#{_anchor(block.text)}">{html.escape(block.text)}</a>'
                for block in self.blocks
                if isinstance(block, Heading) and block.level == 2
            ),
            "</nav>",
        ]
        for block in self.blocks:
            if isinstance(block, Heading):
                parts.append(f'<h{block.level} id="{_anchor(block.text)}">{_inline(block.text)}</h{block.level}>')
            elif isinstance(block, Paragraph):
                parts.append(f"<p{' class=warning' if block.warning else ''}>{_inline(block.text)}</p>")
            elif isinstance(block, Bullets):
                parts.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in block.items) + "</ul>")
            elif isinstance(block, Table):
                head = "".join(f"<th>{_inline(cell)}</th>" for cell in block.header)
                body = "".join(
                    f"<tr{' class=strong' if number in block.strong else ''}>"
                    + "".join(f"<td>{_inline(cell)}</td>" for cell in row)
                    + "</tr>"
                    for number, row in enumerate(block.rows)
                )
                parts.append(
                    f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
                )
            else:
                data = base64.b64encode(block.svg).decode()
                text = html.escape(block.text, quote=True)
                parts.append(
                    f'<figure><img alt="{text}" src="data:image/svg+xml;base64,{data}">'
                    f"<figcaption>{_inline(block.text)}</figcaption></figure>"
                )
        return "\n".join([*parts, "</body></html>", ""])

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write ``NAME.md`` with its pictures in ``figures/``, and ``NAME.html``; return both paths.

        Raises
        ------
        DatasetError
            If a file can't be written.
        """
        for block in self.blocks:
            if isinstance(block, Picture):
                write_bytes(directory / "figures" / f"{block.name}.svg", block.svg)
        paths = directory / f"{name}.md", directory / f"{name}.html"
        for path, text in zip(paths, (self.to_markdown(), self.to_html()), strict=True):
            write_text(path, text)
        return paths


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _inline(text: str) -> str:
    found = html.escape(text)
    found = re.sub(r"`([^`]+)`", r"<code>\1</code>", found)
    found = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", found)
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', found)
