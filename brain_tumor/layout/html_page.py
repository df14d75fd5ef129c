"""What every HTML page of the package shares: one file that opens offline, without scripts, on a phone and on paper."""

import re
from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.4rem; border-bottom: 1px solid #ddd; }
.verdict { background: #f4f6f8; border-left: 4px solid #0072B2; padding: .6rem 1rem; }
.verdict p { margin: .3rem 0; } .verdict p:first-child { font-size: 1.15rem; font-weight: 600; }
.notice { color: #b3003c; } .note { color: #666; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #eee; vertical-align: top;
  overflow-wrap: break-word; }
th { border-bottom: 1px solid #999; font-weight: 600; overflow-wrap: normal; vertical-align: bottom; }
.text { text-align: left; }
img { max-width: 100%; }
figure { display: inline-block; margin: .4rem 1rem .4rem 0; width: 20rem; max-width: 100%;
  vertical-align: top; }
figure img { width: 100%; } figcaption { color: #666; }
pre { background: #f4f6f8; padding: .6rem 1rem; white-space: pre-wrap; }
@media (max-width: 40rem) { body { margin: 1rem auto; } th, td { padding: .15rem .4rem; }
  .prose thead { display: none; } .prose tr { display: block; padding: .4rem 0; border-bottom: 1px solid #ddd; }
  .prose td { display: block; border: 0; padding: 0; } .prose td:nth-child(3) { color: #666; }
  .prose td:nth-child(-n + 2) { display: inline; font-weight: 600; }
  .prose td:first-child { margin-right: .6rem; } }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } h2 { break-after: avoid; }
  table { font-size: 8pt; }
  tr, figure { break-inside: avoid; } figure { width: 7cm; }
  thead { display: table-header-group; } .wide { overflow: visible; } }
"""


def document(title: str, *body: str) -> str:
    """A whole page: `title` is text, `body` is HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>'
        f"<h1>{escape(title)}</h1>{''.join(body)}</body></html>\n"
    )


def section(title: str, *content: str, note: str = "") -> str:
    """A heading, what is to be known of it, and its content: `title` and `note` are text, `content` is HTML."""
    about = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h2>{escape(title)}</h2>{about}{''.join(content)}\n"


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[bool]) -> str:
    """A table of texts, `rows` as long as `columns`; `text` says of each column whether it is set from the left."""
    kinds = [' class="text"' if each else "" for each in text]

    def line(cells: Sequence[str], tag: str) -> str:
        shown = [
            _breakable(cell) if word else escape(cell).replace(" to ", "&nbsp;to&nbsp;")
            for cell, word in zip(cells, text, strict=True)
        ]
        inner = "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(shown, kinds, strict=True))
        return f"<tr>{inner}</tr>"

    body = "".join(line(row, "td") for row in rows)
    head = f"<thead>{line(columns, 'th')}</thead>" if any(columns) else ""
    prose = ' class="prose"' if all(text) and len(text) > 2 else ""  # on a phone a paragraph a row, not columns
    return f'<div class="wide"><table{prose}>{head}<tbody>{body}</tbody></table></div>'


def _breakable(text: str) -> str:
    """Escaped, so that a line may break within what is long and has no space; else a digest makes its column wide."""
    parts = re.split(r"(\S{25,})", text)  # every second one is such a word
    for index in range(1, len(parts), 2):
        parts[index] = "\0".join(parts[index][start : start + 16] for start in range(0, len(parts[index]), 16))
    return escape("".join(parts)).replace("\0", "<wbr>")
