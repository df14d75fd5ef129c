"""A card from its facts, and the few lines of it that a registry takes."""

from brain_tumor import NOTICE
from brain_tumor.card.claim import claim
from brain_tumor.card.data import data, protocol
from brain_tumor.card.facts import NOTHING, Facts
from brain_tumor.card.further import elsewhere, explanations, robustness
from brain_tumor.card.machine import cost, environment, source
from brain_tumor.card.opening import SYNTHETIC, headline, leaks, model, opening, rests_on, use
from brain_tumor.card.scores import certainty, performance
from brain_tumor.card.tripod import tripod
from brain_tumor.layout import markdown
from brain_tumor.layout.blocks import Card

MAKERS = (use, model, data, protocol, performance, certainty, explanations, robustness, elsewhere, environment, cost)


def build(facts: Facts) -> Card:
    """The whole card; the same facts give the same card."""
    sections = [make(facts) for make in (*MAKERS, claim, tripod, source)]
    return Card(f"Model card: {facts.run.name}", opening(facts), tuple(sections))


def card_summary(facts: Facts, where: str, limit: int) -> str:
    """What a model's registry says of it, as Markdown of at most `limit` characters that opens with NOTICE.

    `where` says where the whole card is.
    """
    tags = facts.run.tags
    lines = [
        f"Data: {facts.run.data}, digest {tags.get('data_digest', NOTHING)}.",
        f"Protocol: {tags.get('protocol', NOTHING)}.",
        headline(facts.run),
        *(block.text for block in rests_on(facts)),
        *(leaks(facts) or ["No known leak between the parts of its split."]),
    ]
    first = [NOTICE, *([f"**{markdown.escape(SYNTHETIC)}**"] if facts.synthetic else [])]
    last = f"Run {facts.run.run_id}. The whole card: {where}"
    kept = [markdown.escape(line) for line in lines]
    room = limit - len(markdown.escape(last)) - sum(len(line) + 2 for line in first) - 2 * len(kept)
    each = room // len(kept)
    kept = [line if len(line) <= each else f"{line[: each - 1]}…" for line in kept]
    return "\n\n".join([*first, *kept, markdown.escape(last)])
