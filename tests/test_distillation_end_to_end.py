"""`distill.teacher` as a user types it: what a run says of its teacher, and which teachers are refused."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image
from stores import Trained
from toy import TINY, call, client, draw_folders, run_id, runs_in, words

CHAMPION = "distill.teacher=models:/brain-tumor@champion"


def student(teacher: Trained, *arguments: str) -> "tuple[int, str, str]":
    done = call(teacher.place, "train", "data=folder", f"data.root={teacher.images}", *TINY, *arguments)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_student_says_who_taught_it_and_has_seen_what_its_teacher_has(trained_copy: Trained, tmp_path: Path) -> None:
    own = draw_folders(tmp_path / "own", seed=5)
    code, out, err = student(trained_copy, CHAMPION, "distill.weight=1", f"data.root={own}", "tracking.register=taught")
    assert code == 0, err
    work = trained_copy.work
    run = client(work).get_run(run_id(out))
    tags, params = run.data.tags, run.data.params
    assert (tags["teacher"], tags["teacher_run"]) == ("models:/brain-tumor/1", trained_copy.run)
    assert params["distill.teacher"] == "models:/brain-tumor/1"
    assert (params["distill.weight"], params["distill.temperature"]) == ("1.0", "3.0")
    assert client(work).get_model_version("taught", "1").tags["teacher"] == "models:/brain-tumor/1"
    said = "models:/brain-tumor/1 (temperature 3, weight 1)"
    assert said in words(out)
    assert said in words(tags["mlflow.note.content"])
    artifacts = work / "mlruns" / "artifacts" / run.info.run_id / "artifacts"
    assert any("models:/brain-tumor/1 (temperature 3.0, weight 1.0)" in each.read_text() for each in cards(artifacts))
    # Of the teacher's 120 images 24 were its test part, and the student itself has met none.
    typed = ("model_uri=models:/taught/1", "data=folder", f"data.root={trained_copy.images}", "bootstrap=100")
    done = call(trained_copy.place, "evaluate", *typed, "explain.views=1")
    assert done.returncode == 0, done.stderr
    assert "CONTAMINATED: 96 of 120 have a twin in training" in words(done.stdout)


def cards(artifacts: Path) -> list[Path]:
    return list(artifacts.rglob("*card*.md"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["distill.teacher=models:/brain-tumor/9"], "distill.teacher=models:/brain-tumor/9 cannot be loaded"),
        (
            ["data.classes=[glioma,meningioma]", "data.healthy=null"],
            r"knows glioma, meningioma, notumor, pituitary, and the images are of glioma, meningioma: give a teacher",
        ),
        (["data.split_seed=1"], r"distill.teacher=models:/brain-tumor/1 has seen \d+ of the \d+ val images"),
        (["data.split_seed=1", "seeds=[0,1]"], r"has seen \d+ of the \d+ val images"),
        # The first fold has the division of the teacher, the second has not.
        (["protocol.folds=5"], r"protocol.fold=1: distill.teacher=models:/brain-tumor/1 has seen \d+ of the \d+ "),
    ],
)
def test_a_teacher_that_does_not_fit_is_one_line_and_leaves_no_run(
    arguments: list[str], said: str, trained_copy: Trained
) -> None:
    before = len(runs_in(trained_copy.work))
    typed = arguments if any(each.startswith("distill.") for each in arguments) else [CHAMPION, *arguments]
    code, _, err = student(trained_copy, *typed)
    assert code == 2
    last = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(last) == 1
    assert re.search(said, last[0])
    assert "Traceback" not in err
    assert len(runs_in(trained_copy.work)) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data.classes=[glioma,meningioma]", "data.healthy=null"], "and the images are of glioma, meningioma"),
        (["data.split_seed=1"], "val images, or a twin or the patient of them, in its train part"),
    ],
)
def test_a_learning_rate_is_found_with_no_teacher_that_train_refuses(
    arguments: list[str], said: str, trained_copy: Trained
) -> None:
    typed = ("data=folder", f"data.root={trained_copy.images}", *TINY, CHAMPION, *arguments)
    done = call(trained_copy.place, "lr_find", *typed)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_a_run_whose_teacher_is_gone_says_so_before_it_goes_on(trained_copy: Trained) -> None:
    config = trained_copy.artifacts / "config" / "config.yaml"
    values = yaml.safe_load(config.read_text())
    values["distill"]["teacher"] = "models:/gone/1"
    config.write_text(yaml.safe_dump(values))
    client(trained_copy.work).set_terminated(trained_copy.run, "KILLED")
    done = call(trained_copy.place, "train", f"resume={trained_copy.run}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"resume={trained_copy.run}: distill.teacher=models:/gone/1 cannot be loaded" in done.stderr


@pytest.mark.slow
def test_a_teacher_of_other_images_is_compared_by_twins(trained: Trained, tmp_path: Path) -> None:
    """Of images that are the teacher's turned: only a look at them can tell."""
    taught_by = trained.copy(tmp_path / "copy")
    turned = tmp_path / "turned"
    for path in sorted(taught_by.images.rglob("*.png")):
        place = turned / path.relative_to(taught_by.images)
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(place)
    code, _, err = student(taught_by, CHAMPION, f"data.root={turned}")
    assert code == 2
    assert re.search(r"has seen \d+ of the \d+ (val|calibration|test) images, or a twin", err)
    shutil.rmtree(taught_by.images / "Training" / "glioma")
    code, _, err = student(taught_by, CHAMPION, f"data.root={turned}")
    assert code == 2
    assert "was trained on images that are not in" in err
