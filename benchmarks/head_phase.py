"""An epoch of the head, from stored features and through the backbone: python benchmarks/head_phase.py [--rounds 3].

Trains the head of EfficientNet-Lite0 at 160 px on phantoms (drawn at 80 px) with `schedule.head.feature_views=1` and
without, as `train` does. An epoch is one after the first and holds its validation; each round has a seed of its own,
and a score's last column is the mean over the rounds of features less backbone, with the standard error of that mean.
Two threads, in turn, a process each.
"""

import os
from typing import Any

import numpy as np
from composed import measured, prepared, trained
from jobs import machine
from turns import Clock, median, times

VARIANTS = ("backbone", "features")
SUBJECTS, EPOCHS = 400, 5


def keys(cache: str, seed: str, views: str) -> list[str]:
    """The command line."""
    return [
        *("data=phantom", f"data.phantom.subjects={SUBJECTS}", "data.phantom.size=80", f"data.cache={cache}"),
        *("data.image_size=160", "data.val_fraction=0.4", "data.calibration_fraction=null"),  # many to be scored on
        *("model=effnet_lite0", "schedule=head_only", f"schedule.head.epochs={EPOCHS}", f"seed={seed}"),
        f"schedule.head.feature_views={views}",
    ]


def measure(variant: str, cache: str) -> dict[str, float]:
    """Seconds of storing and of an epoch, and the best epoch's validation metrics."""
    job = prepared(keys(cache, os.environ["ROUND"], "1" if variant == "features" else "null"))
    from brain_tumor.training import stage

    spent: dict[str, float] = {}
    make = stage._features

    def stored(*given: Any) -> Any:
        clock = Clock()
        features = make(*given)
        spent["storing wall"], spent["storing processor"] = clock.spent()
        return features

    stage._features = stored
    clocks: list[Clock] = []  # from the end of the first epoch to that of the last

    def on_epoch(row: dict[str, Any]) -> None:
        if row["step"] == 1:
            clocks.append(Clock())
        elif row["step"] == EPOCHS:
            spent["epoch wall"], spent["epoch processor"] = clocks[0].spent(EPOCHS - 1)

    run = trained(job, on_epoch)
    best = run.history[run.best_step - 1]
    images = {"images": len(job.training.rows), "validated": len(job.training.val_rows)}
    return {**spent, **images, **{name: best[name] for name in ("val/macro_f1", "val/loss")}}


def main() -> None:
    """Run the variants in turn and print the table."""
    found = measured(__doc__, VARIANTS, 3, lambda cache: keys(cache, "0", "null"), measure)
    backbone, features = (found[variant] for variant in VARIANTS)
    counts = [int(backbone[0][name]) for name in ("images", "validated")]
    print(f"Lite0's head, 160 px, {counts[0]} SYNTHETIC images, {counts[1]} validated; {machine()}")
    print("| | backbone, s | features, s | times as long | storing, s; difference |\n|---|---|---|---|---|")
    for kind in ("processor", "wall"):
        cells = [f"{median(rounds, f'epoch {kind}'):.3g}" for rounds in (backbone, features)]
        cells += [times(backbone, features, f"epoch {kind}"), f"{median(features, f'storing {kind}'):.3g}"]
        print(f"| {kind} time of an epoch | {' | '.join(cells)} |")
    for name in ("val/macro_f1", "val/loss"):
        cells = [listed(backbone, name), listed(features, name), "", difference(backbone, features, name)]
        print(f"| {name}, by seed | {' | '.join(cells)} |")


def difference(backbone: list[dict[str, float]], features: list[dict[str, float]], name: str) -> str:
    """The mean over the rounds of features less backbone, and its standard error where there are several."""
    each = np.array([one[name] - other[name] for one, other in zip(features, backbone, strict=True)])
    error = f" ± {each.std(ddof=1) / np.sqrt(len(each)):.3f}" if len(each) > 1 else ""
    return f"{each.mean():+.3f}{error}"


def listed(rounds: list[dict[str, float]], name: str) -> str:
    """A metric of each round."""
    return ", ".join(f"{each[name]:.3f}" for each in rounds)


if __name__ == "__main__":
    main()
