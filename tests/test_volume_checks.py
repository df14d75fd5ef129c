"""What models of whole volumes cannot have is refused before anything starts."""

import pytest

from brain_tumor.errors import InputError
from brain_tumor.jobs.volume_checks import check_same_kind
from brain_tumor.tracking.model_address import Found


class _Slices(Found):
    whole = False


class _Whole(Found):
    whole = True


def test_the_page_takes_two_models_of_slices_or_two_of_volumes_and_none_of_each() -> None:
    slices, whole = (each(f"models:/{each.__name__}/1", "run", ()) for each in (_Slices, _Whole))  # type: ignore[arg-type]
    check_same_kind([slices, slices])
    check_same_kind([whole, whole])
    for both in ([slices, whole], [whole, slices]):
        with pytest.raises(
            InputError, match="models:/_Whole/1 takes whole volumes, and models:/_Slices/1 slices: show"
        ):
            check_same_kind(both)
