import os

import pytest

from satcost_gnn.runtime.file_names import escaped, one_line, unescaped


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain.cnf", "plain.cnf"),
        ("é/日本.cnf".encode(), "é/日本.cnf"),
        (b"m\xe9.cnf", "m\\xe9.cnf"),
        (b"a\nb\tc", "a\\x0ab\\x09c"),
        (b"back\\slash\\", "back\\slash\\"),
        (b"C:\\xylophone\\x4", "C:\\xylophone\\x4"),
        (b"\\xe9", "\\x5cxe9"),
        (b"\\\xe9\\x5c", "\\\\xe9\\x5cx5c"),
        (b"\\x5c\\xe9", "\\x5cx5c\\x5cxe9"),
        (b"\xff" * 3, "\\xff\\xff\\xff"),
    ],
)
def test_names_are_escaped_and_found_again(name, text):
    assert escaped(os.fsdecode(name)) == text
    assert os.fsencode(unescaped(text)) == name


def test_every_two_bytes_around_a_backslash_come_back():
    for byte in range(1, 256):
        for name in (bytes([byte]), b"\\" + bytes([byte]), bytes([byte]) + b"\\xe9", b"\\x" + bytes([byte]) + b"f"):
            text = escaped(os.fsdecode(name))
            assert os.fsencode(unescaped(text)) == name
            text.encode("utf-8")
            assert text.isprintable() or byte >= 128


def test_messages_are_one_line_of_text():
    assert one_line("a\nb\r\nc") == "a b c"
    assert one_line(f"x {os.fsdecode(bytes([233]))}\x00\ud800") == "x \\xe9\\x00\\xed\\xa0\\x80"
    assert one_line("unchanged \\xe9 é") == "unchanged \\xe9 é"
