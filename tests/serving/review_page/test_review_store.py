"""Reviews are kept for their own session, for a while, and within bounds."""

from brain_tumor.serving.review_page.review import Opened, Review
from brain_tumor.serving.review_page.review_store import Kept


def sized(size: int) -> Review:
    return Review((Opened("a", None, {}, (), None, size),))


def test_a_session_has_its_newest_review_and_no_other() -> None:
    kept, old, new = Kept(), sized(1), sized(1)
    kept.put("a", old)
    kept.put("a", new)
    assert (kept.get("a"), kept.get("b")) == (new, None)
    kept.forget("a")
    assert kept.get("a") is None
    kept.forget("a")


def test_what_is_made_for_a_session_that_has_left_is_not_kept() -> None:
    now = [0.0]
    kept = Kept(seconds=10, clock=lambda: now[0])
    begun, now[0] = kept.clock(), 1
    kept.leave("a")
    kept.put("a", sized(1), begun)
    kept.put("b", sized(1), begun)
    assert (kept.get("a"), kept.get("b") is None) == (None, False)
    now[0] = 2
    kept.put("a", sized(1), kept.clock())  # it is back
    assert kept.get("a") is not None
    now[0] = 20
    kept.sweep()
    assert (kept._held, kept._left) == ({}, {})


def test_what_is_not_looked_at_is_let_go() -> None:
    now = [0.0]
    kept = Kept(seconds=10, clock=lambda: now[0])
    kept.put("a", sized(1))
    kept.put("b", sized(1))
    now[0] = 9
    assert kept.get("a") is not None
    now[0] = 15
    assert kept.get("b") is None
    assert kept.get("a") is not None
    now[0] = 26
    kept.sweep()
    assert kept._held == {}


def test_too_many_or_too_large_ones_push_the_oldest_out() -> None:
    kept = Kept(count=2, size=10)
    for name, size in (("a", 1), ("b", 2), ("c", 3)):
        kept.put(name, sized(size))
    assert [kept.get(name) is not None for name in "abc"] == [False, True, True]
    kept.put("d", sized(8))
    assert [kept.get(name) is not None for name in "bcd"] == [False, False, True]
    kept.put("e", sized(11))  # alone, however large
    assert kept.get("e") is not None
