"""Hooks of the documentation site (``mkdocs.yml``): what its pages take from the rest of the repository.

The pages link to cards, configurations, examples and modules that lie outside ``docs/``. A checkout shows those; the
site has them as pages of their own below ``repository/``, with the same links between them. Notebooks are pages, too.
And the reference of commands is made from the commands.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from command_reference import command_reference
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COMMANDS_HERE = "<!-- commands -->"
_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yml": "yaml", ".csv": "text", ".sh": "sh"}


def origin(uri: str) -> Path:
    """Return the file of the checkout that a page of the site is made from."""
    return (
        ROOT / uri.removeprefix("repository/").removesuffix(".view.md") if uri.startswith("repository/") else DOCS / uri
    )


def address(path: Path) -> str:
    """Return the page of the site that a file or directory of the checkout is shown on."""
    if path.is_relative_to(DOCS) and path.is_file():
        place = path.relative_to(DOCS)
        return (place.with_suffix(".md") if place.suffix == ".ipynb" else place).as_posix()
    if path.is_dir():
        inside = path / "README.md"
        return address(inside) if inside.exists() else f"repository/{path.relative_to(ROOT).as_posix()}.view.md"
    name = f"repository/{path.relative_to(ROOT).as_posix()}"
    return name if path.suffix == ".md" else f"{name}.view.md"


def _outside_fences(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the parts of a page, and whether each is a block of code."""
    for position, part in enumerate(_FENCE.split(text)):
        yield position % 2 == 1, part


def _target(link: str, page: Path) -> Path | None:
    """Return what a link of a page leads to in the checkout; None for the web and for the page itself."""
    if re.match(r"[a-z]+:|#", link):
        return None
    return Path(os.path.normpath(page.parent / link.partition("#")[0]))


def _targets(page: Path) -> Iterator[Path]:
    for is_code, part in _outside_fences(page.read_text()):
        for link in () if is_code else _LINK.findall(part):
            target = _target(link, page)
            if target is not None and target.exists():
                yield target


def _shown(path: Path) -> str:
    """Return a file, or what is in a directory, as a page."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        listed = subprocess.run(["git", "ls-files", name], cwd=ROOT, capture_output=True, text=True, check=False).stdout
        names = listed.splitlines() or sorted(one.relative_to(ROOT).as_posix() for one in path.iterdir())
        return f"# {name}/\n\nIn the repository:\n\n" + "".join(f"- `{one}`\n" for one in names)
    return f"# {name}\n\n````{_LANGUAGES.get(path.suffix, 'text')}\n{path.read_text()}\n````\n"


def _notebook(path: Path, config: Any) -> Iterator[File]:
    """Yield a notebook as a page, with the pictures in it."""
    text, resources = MarkdownExporter().from_filename(
        str(path), resources={"output_files_dir": f"{path.stem}_pictures", "unique_key": path.stem}
    )
    uri = path.relative_to(DOCS).with_suffix(".md").as_posix()
    text = text.replace("```bash\n%%bash\n", "```sh\n").replace("![png](", "![plot](")
    yield File.generated(config, uri, content=text)
    for name, picture in resources["outputs"].items():
        yield File.generated(config, (Path(uri).parent / name).as_posix(), content=picture)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages for what the pages link to outside ``docs/``, and for what those link to; and the notebooks."""
    seen: set[Path] = set()
    waiting = [DOCS / file.src_uri for file in files if file.src_uri.endswith(".md")]
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        for made in _notebook(DOCS / file.src_uri, config):
            files.append(made)
    while waiting:
        for target in _targets(waiting.pop()):
            uri = address(target)
            if target in seen or files.get_file_from_path(uri) is not None:
                continue
            seen.add(target)
            source = origin(uri)
            is_page = source.suffix == ".md"
            content = source.read_text() if is_page else _shown(source)
            files.append(File.generated(config, uri, content=content))
            if is_page:
                waiting.append(source)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where their targets are on the site; put in the reference of commands."""
    uri = page.file.src_uri
    source = origin(uri)

    def led(match: re.Match[str]) -> str:
        target = _target(match[1], source)
        if target is None or not target.exists():
            return match[0]
        _, hash_, anchor = match[1].partition("#")
        return f"]({os.path.relpath(address(target), Path(uri).parent)}{hash_}{anchor})"

    if not uri.endswith(".view.md"):
        parts = [part if is_code else _LINK.sub(led, part) for is_code, part in _outside_fences(markdown)]
        markdown = "".join(parts)
    return markdown.replace(COMMANDS_HERE, command_reference()) if COMMANDS_HERE in markdown else markdown
