"""A card as Markdown that GitHub and MLflow show alike."""

import re
from collections.abc import Sequence

from brain_tumor.layout.blocks import Alert, Block, Card, Code, Grid, Paragraph, Picture, Points, Section

# As entities, which every reader of Markdown knows, where not all take a backslash; a pipe would end a table's cell.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "~": "&#126;", "$": "&#36;", "@": "&#64;"}
_BACKSLASHED = re.compile(r"([\\`*_\[\]])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def render(card: Card) -> str:
    """The whole card."""
    parts = [f"# {escape(card.title)}", render_blocks(card.opening), *map(_section, card.sections)]
    return "\n\n".join(parts) + "\n"


def render_blocks(blocks: Sequence[Block]) -> str:
    """What stands in a text without a title of its own."""
    return "\n\n".join(_block(block) for block in blocks if block != Points(()))


def escape(text: str) -> str:
    """Text as one line that Markdown shows to the letter: no markup, no HTML, no link, no cell's end."""
    text = re.sub(r" +", " ", _CONTROL.sub(" ", text)).strip()
    text = "".join(_ENTITIES.get(character, character) for character in text)
    text = _BACKSLASHED.sub(r"\\\1", text)
    text = re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", r"\1&#8203;", text)  # a zero-width space: no address by itself
    return re.sub(r"^(#+|[+=-]+|\d+[.)])(?=\s|$)", _unlisted, text)


def _unlisted(found: "re.Match[str]") -> str:
    """The beginning of a line, which shall begin no heading and no list."""
    return f"{found[1][:-1]}\\{found[1][-1]}"


def _section(section: Section) -> str:
    note = [f"*{escape(section.note)}*"] if section.note else []
    return "\n\n".join([f"## {escape(section.title)}", *note, *map(_block, section.blocks)])


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return escape(text)
        case Alert(text):
            return f"> **{escape(text)}**"
        case Points(items):
            return "\n".join(f"- {escape(item)}" for item in items)
        case Grid(columns, rows, leading):
            marks = [":--" if index < leading else "--:" for index in range(len(columns))]
            return "\n".join([_row([escape(each) for each in columns]), _row(marks), *(_escaped(row) for row in rows)])
        case Code(text):
            longest = max((len(run) for run in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{text}\n{fence}"
        case Picture(_, caption):
            return escape(caption)


def _escaped(row: Sequence[str]) -> str:
    return _row([escape(cell) for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
