"""A card shows every text to the letter, as Markdown and as a page."""

from html.parser import HTMLParser

import pytest

from brain_tumor.layout import html, markdown
from brain_tumor.layout.blocks import Alert, Card, Code, Grid, Paragraph, Points, Section, pairs

HOSTILE = "a|b <script>alert('x')</script> *c* _d_ [e](http://evil.example) `f` ![g](h) \\ & \"i\" ~j~ $k$\n# l\x00"
SHOWN = "a|b <script>alert('x')</script> *c* _d_ [e](http://evil.example) `f` ![g](h) \\ & \"i\" ~j~ $k$"


class Read(HTMLParser):
    """The tags, the attributes and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def card() -> Card:
    grid = Grid((HOSTILE, "n"), ((HOSTILE, "1"), ("x", "0.1 to 0.2")))
    blocks = (Paragraph(HOSTILE), Alert(HOSTILE), Points((HOSTILE,)), grid, pairs([(HOSTILE, HOSTILE)]))
    return Card(HOSTILE, blocks, (Section(HOSTILE, (*blocks, Code("a ``` b <script>")), note=HOSTILE),))


def test_a_page_holds_no_markup_of_its_facts(card: Card) -> None:
    page = html.render(card)
    read = Read()
    read.feed(page)
    assert "script" not in read.tags
    assert not {"a", "img", "link", "iframe", "em"} & set(read.tags)
    assert not [name for name in read.attributes if name.startswith("on") or name in ("src", "href")]
    assert read.text.count(SHOWN) == 2 + 2 + 2 * 7  # the title, a section's title and note, and the blocks twice
    assert "\x00" not in page


def test_markdown_holds_no_markup_of_its_facts(card: Card) -> None:
    text = markdown.render(card)
    outside = text.split("````")[0]
    assert "<" not in outside
    assert "http:" not in outside
    assert "\x00" not in text
    for mark in ("*c*", "_d_", "[e]", "`f`", "~j~", "$k$"):
        assert mark not in outside
    for line in outside.splitlines():
        assert line.startswith(("# a", "## a", "> ", "- ", "|", "a&#124;", "*a&#124;")) or not line
        if line.startswith("|"):
            assert line.count("|") == 3  # two cells, whatever they hold
    assert text.endswith("````\na ``` b <script>\n````\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("# x", "\\# x"),
        ("- x", "\\- x"),
        ("1. x", "1\\. x"),
        ("0.1667", "0.1667"),
        ("-0.5", "-0.5"),
        ("val/macro_f1", "val/macro\\_f1"),
        ("---", "--\\-"),
        ("  a\n\tb ", "a b"),
    ],
)
def test_what_begins_a_line_begins_no_list(text: str, written: str) -> None:
    assert markdown.escape(text) == written
