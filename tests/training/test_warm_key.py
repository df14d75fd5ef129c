"""Which trials share their leading phases."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trials import configured, prepared


@pytest.fixture(scope="module")
def ready(images: Path) -> Any:
    return prepared(images)


@pytest.mark.parametrize(
    "override",
    [
        "data.workers=1",
        "hardware=mirrored",
        "data.cache=elsewhere",
        "schedule.all.epochs=5",
        "schedule.all.learning_rate=1",
        "tracking.experiment=x",
        "explain.method=gradcam",
        "bootstrap=200",
        "test=false",
    ],
)
def test_the_key_leaves_out_what_does_not_matter(override: str, ready: Any, images: Path) -> None:
    assert key_with(ready, images, override) == key(ready)


@pytest.mark.parametrize(
    "override",
    [
        "model.dropout=0.1",
        "augment=none",
        "schedule.head.learning_rate=1",
        "schedule.head.augment_strength=0.9",
        "seed=1",
        "monitor=val/loss",
        "distill.teacher=models:/t/1",
    ],
)
def test_the_key_holds_what_matters(override: str, ready: Any, images: Path) -> None:
    assert key_with(ready, images, override) != key(ready)


def key(ready: Any, weights: Path | None = None) -> str:
    from brain_tumor.training.warm_start import warm_key

    return warm_key(ready, ["head"], weights)


def key_with(ready: Any, images: Path, *overrides: str) -> str:
    """The key under a changed configuration, on the unchanged data and model."""
    return key(replace(ready, config=configured(images, *overrides)))


def test_the_key_holds_what_the_monitor_paints(ready: Any) -> None:
    painted = [replace(ready, painted=SimpleNamespace(digest=digest)) for digest in ("a", "a", "b")]
    keys = [key(each) for each in painted]
    assert (keys[0] == keys[1], len({*keys, key(ready)})) == (True, 3)


def test_the_key_holds_the_content_of_weights_and_the_split(ready: Any, images: Path, tmp_path: Path) -> None:
    from brain_tumor.data.split import Split

    keys = [key(ready)]
    for name, content in (("one", b"1"), ("same", b"1"), ("other", b"2")):
        (tmp_path / name).write_bytes(content)
        keys.append(key(ready, tmp_path / name))
    assert keys[1] == keys[2]
    table = ready.dataset.split.table
    for changed in (table.iloc[1:], table.iloc[::-1]):  # the order decides which image gets which augmentation
        split = Split(changed, root=images, source="folder", synthetic=False)
        keys.append(key(replace(ready, dataset=replace(ready.dataset, split=split))))
    assert len(set(keys)) == len(keys) - 1


@pytest.mark.parametrize(
    ("swept", "common"),
    [
        ([], ["a", "b"]),
        (["schedule.c.epochs", "data.subset"], ["a", "b"]),
        (["+schedule.b.dropout"], ["a"]),
        (["schedule.a.epochs", "schedule.c.epochs"], []),
        (["schedule.b"], ["a"]),
        (["schedule"], []),
        (["schedule.ab.epochs"], ["a", "b"]),
    ],
)
def test_leading_phases_are_shared_up_to_the_first_swept(swept: list[str], common: list[str], images: Path) -> None:
    from brain_tumor.training.warm_start import shared_phases

    phase = configured(images).schedule["head"]
    assert shared_phases({"a": phase, "b": phase, "c": phase}, swept) == common
    assert shared_phases({"a": phase}, swept) == []
