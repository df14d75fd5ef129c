"""A card as one HTML page that opens offline."""

import re
from collections.abc import Sequence
from html import escape

from brain_tumor.layout.blocks import Alert, Block, Card, Code, Grid, Paragraph, Picture, Points
from brain_tumor.layout.html_page import document, grid, section

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def render(card: Card) -> str:
    """The whole card."""
    sections = [section(each.title, *map(_block, each.blocks), note=each.note) for each in card.sections]
    return _CONTROL.sub("", document(card.title, *map(_block, card.opening), *sections))


def render_blocks(blocks: Sequence[Block]) -> str:
    """What stands in a page without a title of its own."""
    return _CONTROL.sub("", "\n".join(map(_block, blocks)))


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Alert(text):
            return f'<p class="notice"><strong>{escape(text)}</strong></p>'
        case Points(items):
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        case Grid(columns, rows, leading):
            return grid(columns, rows, [index < leading for index in range(len(columns))])
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Picture(address, caption):
            shown = f'<img src="{escape(address)}" alt="{escape(caption)}">'
            return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"
