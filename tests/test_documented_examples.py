"""The commands and the Python of the pages that people follow are run as they stand there, in order, page by page."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    "docs/quick_start.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/how_to").glob("*.md")),
]
# A block that is not run has the reason in a comment on the line before it.
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>sh|python)\n(?P<code>.*?)^```", re.M | re.S
)
# Every page has at most this many that are not run.
MOST_NOT_RUN = 2


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    reason: str


def blocks(page: str) -> list[Block]:
    found = BLOCK.finditer((ROOT / page).read_text())
    return [Block(one["language"], one["code"], one["reason"] or "") for one in found]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the pages say that their reader has: instances, and the configuration to start from."""
    directory = tmp_path_factory.mktemp("prepared")
    samples = ROOT / "datasets" / "samples"
    (directory / "datasets" / "samples").mkdir(parents=True)
    (directory / "cnf").mkdir()
    (directory / "configs").mkdir()
    for name in ("factoring-12.cnf", "random3-120.cnf"):
        shutil.copy(samples / name, directory / "datasets" / "samples" / name)
        shutil.copy(samples / name, directory / "cnf" / name)
    shutil.copy(samples / "random3-120.cnf", directory / "instance.cnf")
    shutil.copy(samples / "random3-120.cnf", directory / "hard.cnf")
    (directory / "many").mkdir()
    for n in range(3, 15):
        (directory / "many" / f"{n}.cnf").write_text(
            f"p cnf {n} {n}\n" + "".join(f"{-k} {k % n + 1} 0\n" for k in range(1, n + 1))
        )
    config = (ROOT / "configs" / "small.toml").read_text()
    # The same with less to do: what is tested is that the settings are taken, not what comes of them.
    for name, value in (("epochs", 1), ("encoder_epochs", 1), ("width", 8), ("heads", 2), ("rounds", 1)):
        config, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", config, flags=re.M)
        assert count == 1, name
    (directory / "configs" / "small.toml").write_text(config)
    return directory


def run_sh(code: str, directory: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Sizes that only cost time are those of a test.
    code = code.replace("180 200 220", "150 170 190")
    code = code.replace("satcost config --example", "cat configs/small.toml")
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", code],
        cwd=directory,
        env=dict(os.environ, PATH=path, OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "reader"
    shutil.copytree(prepared, directory)
    monkeypatch.chdir(directory)
    known: dict[str, object] = {"__name__": "__page__"}
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "sh":
            run_sh(block.code, directory)
        else:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.code, page, "exec"), known)


@pytest.mark.parametrize("page", PAGES)
def test_most_blocks_run(page: str) -> None:
    found = blocks(page)
    assert found
    assert sum(bool(block.reason) for block in found) <= MOST_NOT_RUN


def test_every_fence_is_a_block_or_of_another_language() -> None:
    for page in PAGES:
        opened = re.findall(r"^```(sh|python)$", (ROOT / page).read_text(), re.M)
        assert len(opened) == len(blocks(page)), page
