"""What models of whole volumes, and of slices, are not asked: known before anything is loaded."""

from types import SimpleNamespace
from typing import Any

import pytest

from brain_tumor.errors import InputError
from brain_tumor.jobs.volume_checks import check_other_data, check_same_kind

WHOLE = SimpleNamespace(uri="models:/volumes/1", whole=True, spacing=(5.0, 1.5, 1.5))
SLICES = SimpleNamespace(uri="models:/slices/1", whole=False, spacing=None)


@pytest.mark.parametrize(
    ("found", "shape", "spacing", "root", "said"),
    [
        (WHOLE, None, None, None, r"^models:/volumes/1 takes whole volumes, .*: give data=volumes data\.root=DIR$"),
        (SLICES, (8, 32, 32), None, None, r"^models:/slices/1 takes slices, .*: give data=folder data\.root=DIR$"),
        (WHOLE, (8, 32, 32), (5.0, 2.0, 2.0), None, r"^data\.spacing=\[5\.0, 2\.0, 2\.0\] is the model's own"),
        (WHOLE, (8, 32, 32), None, "home", r"^trained_root=home is not read for whole volumes"),
    ],
)
def test_other_data_that_a_model_does_not_take_are_refused(
    found: Any, shape: Any, spacing: Any, root: str | None, said: str
) -> None:
    data: Any = SimpleNamespace(volume_shape=shape, spacing=spacing)
    config: Any = SimpleNamespace(trained_root=root)
    with pytest.raises(InputError, match=said):
        check_other_data(found, config, data)


def test_a_model_of_volumes_is_asked_about_others() -> None:
    for spacing in (None, WHOLE.spacing):
        data: Any = SimpleNamespace(volume_shape=(8, 32, 32), spacing=spacing)
        config: Any = SimpleNamespace(trained_root=None)
        check_other_data(WHOLE, config, data)  # type: ignore[arg-type]


def test_the_page_takes_two_models_of_slices_or_two_of_volumes_and_none_of_each() -> None:
    check_same_kind([SLICES, SLICES])  # type: ignore[list-item]
    check_same_kind([WHOLE, WHOLE])  # type: ignore[list-item]
    for both in ([SLICES, WHOLE], [WHOLE, SLICES]):
        with pytest.raises(InputError, match=r"^models:/volumes/1 takes whole volumes, and models:/slices/1 slices"):
            check_same_kind(both)  # type: ignore[arg-type]
