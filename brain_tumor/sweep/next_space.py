"""What of a key's values the next sweep shall try: its interval narrowed or widened, its choices thinned out."""

import math
from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from brain_tumor.config.limits import limits
from brain_tumor.sweep.space import Value, text_of

EDGE = 0.05  # of an interval's width (its logarithm's, where it is searched so) from an end: the best lies at the edge
WIDER = 0.25  # of the width, by which that end is then moved
GAIN = 0.9  # an interval that would keep more of its width is left as it is


def next_text(key: str, allowed: BaseDistribution, good: Sequence[Value], best: Value) -> str | None:
    """A key's new values in Hydra's sweep syntax, one value alone as it is; None where they shall stay.

    `good`: the values of the trials that are as good as the `best`. The ends of their range are estimated as those of a
    uniform distribution are, without bias: the range of m values, widened on both sides by itself divided by m - 1.
    """
    if isinstance(allowed, CategoricalDistribution):
        kept = [choice for choice in allowed.choices if choice in good]
        if len(good) == 1 or len(kept) == len(allowed.choices):
            return None
        return ",".join(map(text_of, kept))  # choice(…) takes no null
    assert isinstance(allowed, IntDistribution | FloatDistribution)
    if (allowed.step or 1) != 1 or (isinstance(allowed, FloatDistribution) and allowed.step):
        return None  # a range(…) of few values
    low, high = _bounds(key, allowed, [float(each) for each in good if isinstance(each, int | float)], best)
    return None if (low, high) == (allowed.low, allowed.high) else _interval(allowed, low, high)


def _bounds(
    key: str, allowed: IntDistribution | FloatDistribution, good: Sequence[float], best: Value
) -> tuple[float, float]:
    there, back = (math.log10, _power) if allowed.log else (float, float)
    start, end = there(allowed.low), there(allowed.high)
    width, place = end - start, there(float(best))  # type: ignore[arg-type]
    low, high = start, end
    if len(good) > 1:
        values = sorted(map(there, good))
        pad = (values[-1] - values[0]) / (len(values) - 1)
        low, high = max(start, values[0] - pad), min(end, values[-1] + pad)
    if high - low > GAIN * width or high == low:
        low, high = start, end
    close = 1e-9 * width  # for what arithmetic leaves of 0
    low, high = start if low < start + close else low, end if high > end - close else high
    lowest, reaches_low, highest, reaches_high = limits(key)
    found = [allowed.low if low == start else back(low), allowed.high if high == end else back(high)]
    if place < start + EDGE * width:
        found[0] = _moved(allowed.low, back(start - WIDER * width), lowest, reaches_low)
    if place > end - EDGE * width:
        found[1] = _moved(allowed.high, back(end + WIDER * width), highest, reaches_high)
    if isinstance(allowed, IntDistribution):
        found = [math.floor(found[0] + 1e-9), math.ceil(found[1] - 1e-9)]
        if lowest == found[0] and not reaches_low:
            found[0] += 1
    return found[0], found[1]


def _moved(end: float, wanted: float, limit: float, reached: bool) -> float:
    """An end of an interval that is moved to what is wanted, as far as the key's limit lets it."""
    beyond = wanted < limit if wanted < end else wanted > limit
    if beyond or (wanted == limit and not reached):
        return limit if reached else (end + limit) / 2
    return wanted


def _interval(allowed: IntDistribution | FloatDistribution, low: float, high: float) -> str:
    if isinstance(allowed, IntDistribution):
        text = f"int(interval({low:.0f},{high:.0f}))"
    else:
        text = f"interval({_rounded(low, allowed.low)},{_rounded(high, allowed.high)})"
    return f"tag(log,{text})" if allowed.log else text


def _rounded(value: float, old: float) -> str:
    """Two digits, which are enough for an interval's end; one that stays keeps all that it had."""
    return repr(old) if value == old else repr(float(f"{value:.2g}"))


def _power(exponent: float) -> float:
    return float(10**exponent)
