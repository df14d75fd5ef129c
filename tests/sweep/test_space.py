import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from brain_tumor.errors import InputError
from brain_tumor.sweep.space import Space, distribution, overrides, text_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1, 6)", FloatDistribution(1, 6)),
        ("int(interval(1, 6))", IntDistribution(1, 6)),
        ("tag(log, interval(1e-5, 1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("tag(log, int(interval(8, 64)))", IntDistribution(8, 64, log=True)),
        ("range(1, 8, 3)", IntDistribution(1, 7, step=3)),
        ("range(8, 1, -3)", IntDistribution(2, 8, step=3)),
        ("range(0, 1, 0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("choice(16, 32)", CategoricalDistribution((16, 32))),
        ("null,0.9", CategoricalDistribution((None, 0.9))),
        ("choice(adam, 'a, b', true)", CategoricalDistribution(("adam", "a, b", True))),
        ("{a:1},[1,2]", CategoricalDistribution(("{a:1}", "[1,2]"))),
    ],
)
def test_hydras_syntax_is_read_as_a_distribution(text, expected):
    assert distribution("key", text) == expected


@pytest.mark.parametrize(
    "text", ["5", "interval(3, 1)", "tag(log, interval(0, 1))", "tag(log, choice(1, 2))", "choice(1"]
)
def test_what_is_no_space_is_refused_in_one_line(text):
    with pytest.raises(InputError) as caught:
        distribution("key", text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["adam", "a, b", "1", "1.0", "true", "null", "x=y", "it's", "", "a b", "{odd", "${oc.env:HOME}", "back\\"]
)
def test_a_string_is_read_back_as_the_same_string(value):
    [text] = overrides({"key": value})
    assert OverridesParser.create().parse_override(text).value() in (value, _quoted(value))


def _quoted(value):
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text=value, quote=Quote.single)


@pytest.mark.parametrize("value", [1, 1.0, 1e-05, True, False, None, 0.1 + 0.2])
def test_other_values_are_read_back_with_their_type(value):
    found = OverridesParser.create().parse_override(f"key={text_of(value)}").value()
    assert found == value
    assert type(found) is type(value)


def test_a_grid_is_every_combination_once_and_leaves_out_what_does_not_exist_there():
    space = Space({"a": "x,y", "b": "range(2)", "c": "1,2"}, {"b": "a=y"})
    assert space.grid() == [
        {"a": "x", "c": 1},
        {"a": "x", "c": 2},
        {"a": "y", "b": 0, "c": 1},
        {"a": "y", "b": 0, "c": 2},
        {"a": "y", "b": 1, "c": 1},
        {"a": "y", "b": 1, "c": 2},
    ]


def test_a_grid_of_an_interval_is_refused():
    with pytest.raises(InputError, match="continuous"):
        Space({"a": "interval(0, 1)"}, {}).grid()


def test_corners_hold_every_choice_and_both_ends():
    space = Space({"a": "x,y", "b": "interval(0, 1)", "c": "int(interval(3, 7))"}, {"b": "a=y"})
    points = list(space.corners())
    assert {point["a"] for point in points} == {"x", "y"}
    assert {point["b"] for point in points if "b" in point} == {0, 1}
    assert {point["c"] for point in points} == {3, 7}
    assert all(("b" in point) == (point["a"] == "y") for point in points)


def test_a_condition_may_be_on_a_number_within_a_range():
    space = Space({"a": "int(interval(1, 4))", "b": "interval(0, 1)"}, {"b": "a=2,3"})
    assert {point["a"] for point in space.corners() if "b" in point} == {2}
    assert space.active("b", {"a": 3})
    assert not space.active("b", {"a": 4})
    with pytest.raises(InputError, match="a=7 is not of the space"):
        Space({"a": "int(interval(1, 4))", "b": "1,2"}, {"b": "a=7"})


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ({"a": "b=1", "b": "a=1"}, "circle"),
        ({"a": "c=1"}, "OTHER"),
        ({"c": "a=1"}, "OTHER"),
        ({"a": "b"}, "OTHER"),
        ({"a": "b=7"}, "never"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(when, reason):
    with pytest.raises(InputError, match=reason):
        Space({"a": "1,2", "b": "1,2"}, when)


def test_a_point_must_be_of_the_space():
    space = Space({"a": "interval(0, 1)", "b": "null,0.9", "c": "range(0, 9, 3)"}, {})
    assert space.point({"a": 1, "b": None, "c": 6}) == {"a": 1.0, "b": None, "c": 6}
    for wrong in ({"a": 2}, {"b": 0.5}, {"c": 4}, {"d": 1}, {"a": "0.5"}):
        with pytest.raises(InputError, match=r"sweep\.enqueue"):
            space.point(wrong)
