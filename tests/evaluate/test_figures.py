"""Pictures of a report: small, the same bytes for the same figure, and readable as XML."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from matplotlib.figure import Figure

from satcost_gnn.evaluate.figures import svg

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
