"""What a model of the registry cannot have is said in a line before anything is built."""

import pytest
from composition import task

from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError
from brain_tumor.jobs.training_checks import check_model


def checked(command: str) -> object:
    return check_model(typed(TrainConfig, task(*command.split())))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("model=vit_ti16 model.head=evidence", r"evidence draws .* vit_ti16 has no such two: give model\.head=pooled"),
        ("model=cct_5 schedule=scratch model.head=evidence", "cct_5 has no such two"),
        ("model=effnet_lite0 explain.method=rollout", "rollout multiplies the attention of one transformer, and this"),
        ("model=hybrid_lite0 schedule=head_only", "no phase of this schedule trains it: give schedule=vit"),
        ("model=vit_ti16 data.image_size=100", r"image_size=100 .*: give 96 or 112"),
        (
            "model=vit_ti16",
            r"no digest is known .*: fetch https://huggingface\.co/timm/vit_tiny_patch16_224\S+model\.safetensors on "
            r"another machine and give model\.weights=PATH; .*model=hybrid_lite0",
        ),
        ("model=vit_ti16 model.weights=none", "schedule=scratch"),
    ],
)
def test_what_it_cannot_have_is_refused(command: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        checked(command)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        "model=hybrid_lite0 model.head=evidence",
        "model=hybrid_lite0 schedule=vit explain.method=rollout",
        "model=hybrid_lite0 schedule=fast",  # which trains the last blocks in its second phase
        "model=cct_5 schedule=scratch explain.method=rollout",
        "model=vit_s16 model.weights=none schedule=scratch data.image_size=160",
    ],
)
def test_what_it_can_have_is_taken(command: str) -> None:
    checked(command)
