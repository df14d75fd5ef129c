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
        ("model=resnet10_3d schedule=scratch", "takes whole volumes: give data=volumes or data=phantom_volumes"),
        ("data=phantom_volumes", r"effnet_lite0 takes slices, .*: give one of model=slices_lite0, cnn3d_baseline, "),
        ("model=effnet_lite0 model.head=attention", "weighs the slices of a volume"),
        ("data=phantom_volumes model=slices_lite0 model.head=evidence", "draws its map of slices"),
        ("data=phantom_volumes data.image_size=96", "image_size=96 is of slices"),
        (
            "data=phantom_volumes data.phantom.slices_per_subject=2",
            "volume_shape needs phantom.slices_per_subject=null",
        ),
        ("data=phantom_volumes augment=counterfactual", "counterfactual paints in slices"),
        ("data=kaggle data.volume_shape=[32,64,64]", "the Kaggle set has slices alone"),
        ("data.spacing=[3,3,3]", "give data=volumes"),
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
        "data=phantom_volumes model=slices_lite0 schedule=fast",
        "data=phantom_volumes model=resnet18_3d schedule=scratch monitor=val/trust explain.method=gradcam",
        "model=hybrid_lite0 schedule=vit explain.method=rollout",
        "model=hybrid_lite0 schedule=fast",  # which trains the last blocks in its second phase
        "model=cct_5 schedule=scratch explain.method=rollout",
        "model=vit_s16 model.weights=none schedule=scratch data.image_size=160",
    ],
)
def test_what_it_can_have_is_taken(command: str) -> None:
    checked(command)
