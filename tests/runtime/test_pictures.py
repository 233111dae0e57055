"""Pictures: small, the same bytes for the same figure, readable as XML, in colours that can be told apart."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from satcost_gnn.errors import ConfigError, OutputError
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.runtime.pictures import (
    COLOURS,
    MOST_PANELS,
    check_panels,
    name_text,
    new_figure,
    styles,
    svg,
    write_picture,
)

NAME = 'a name with <, & and "--"'


def drawn() -> bytes:
    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    places = np.linspace(0.001234567, 1, 57)
    axes.plot(places, np.sqrt(places), label=NAME)
    axes.plot(places, places, "o", rasterized=True)
    axes.legend()
    return svg(figure)


def test_letters_are_text_and_places_are_short() -> None:
    text = drawn().decode()
    assert [one.text for one in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")].count(NAME) == 1
    without_pixels = re.sub(r'base64,[^"]*', "", text)
    assert re.findall(r"\d+\.\d{3,}", without_pixels) == []
    assert re.search(r"\d\.\d\d\b", without_pixels)
    assert "<!--" not in text and "glyph" not in text.lower()


def test_same_figure_same_bytes() -> None:
    assert drawn() == drawn()


# What an eye without cones of one kind sees of a colour, for linear RGB: Machado, Oliveira and Fernandes, "A
# physiologically-based model for simulation of color vision deficiency" (2009), severity 1.
EYES = {
    "all cones": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(colour: str, eye: str) -> np.ndarray:
    """Return a colour in Ottosson's perceptual space (2020), in which 0.02 is about the least that can be seen."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eye]) @ linear, 0, 1)
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ seen)


@pytest.mark.parametrize("eye", EYES)
def test_no_two_colours_look_alike(eye: str) -> None:
    seen = {colour: oklab(colour, eye) for colour in COLOURS}
    for one, other in itertools.combinations(COLOURS, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 0.07, (one, other)
    # All of them can be seen on white.
    assert all(np.linalg.norm(lab - oklab("#FFFFFF", eye)) > 0.1 for lab in seen.values())


def test_no_two_of_many_are_drawn_alike() -> None:
    found = styles([f"solver{k}" for k in range(40)])
    assert len({one.colour for one in itertools.islice(found.values(), 12)}) == 12
    assert len({(one.colour, one.line) for one in found.values()}) == 40
    assert len({(one.colour, one.hatch) for one in found.values()}) == 40
    assert styles(["a", "b", "a"]) == styles(["a", "b"])


@pytest.mark.parametrize(
    ("ending", "beginning"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"), (".SVG", b"<?xml")]
)
def test_format_goes_by_the_ending(tmp_path: Path, ending: str, beginning: bytes) -> None:
    path = tmp_path / f"picture{ending}"
    write_picture(new_figure(3, 2), path)
    assert path.read_bytes().startswith(beginning)


@pytest.mark.parametrize("name", ["picture", "picture.gif", "picture.svg.gz", ".svg", "runs.parquet"])
def test_other_endings_are_refused_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"--plot: found .*; expected a name that ends in \.svg, \.png or \.pdf"):
        check_outputs({}, pictures={"--plot": tmp_path / name})
    with pytest.raises(OutputError, match="expected a name that ends in"):
        write_picture(new_figure(3, 2), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_an_output_like_others(tmp_path: Path) -> None:
    (tmp_path / "d.svg").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        check_outputs({}, pictures={"--plot": tmp_path / "d.svg"})
    with pytest.raises(OutputError, match="is what -o names"):
        check_outputs({"-o": tmp_path / "x.svg"}, pictures={"--plot": tmp_path / "x.svg"})
    (tmp_path / "in.svg").touch()
    with pytest.raises(OutputError, match="is the input"):
        check_outputs({}, [str(tmp_path / "in.svg")], pictures={"--plot": tmp_path / "in.svg"})


def test_any_file_name_can_be_drawn() -> None:
    for name in ("a$b$c.cnf", "\udcff.cnf", "two\nlines\x1b[31m.cnf", "x" * 300, "$\\frac{1$", "<&>"):
        figure = new_figure(3, 2)
        figure.subplots().set_title(name_text(name))
        (drawn,) = [
            one.text
            for one in ElementTree.fromstring(svg(figure)).iter("{http://www.w3.org/2000/svg}text")
            if one.text and not re.fullmatch(r"[\d.]+", one.text)
        ]
        assert len(drawn) < 50 and "\n" not in drawn
        if name in ("a$b$c.cnf", "<&>"):
            assert drawn == name


def test_more_panels_than_can_be_read_are_refused() -> None:
    check_panels("--plot", MOST_PANELS)
    with pytest.raises(ConfigError, match=f"--plot: found {MOST_PANELS + 1} files, expected at most {MOST_PANELS}"):
        check_panels("--plot", MOST_PANELS + 1)
