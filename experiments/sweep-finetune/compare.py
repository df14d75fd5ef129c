"""Compares studies: python experiments/sweep-finetune/compare.py FIGURE.png LABEL=STORAGE [LABEL=STORAGE …].

Prints one row per storage (its only study): trials by state, epochs trained in the head phase and after it, seconds
of training, best value; the costs also as shares of the last study's. The figure: the best value so far by epochs.
"""

import sys
from pathlib import Path

import matplotlib
import optuna

matplotlib.use("Agg")
from matplotlib import pyplot


def curve(study: optuna.Study) -> tuple[list[int], list[float]]:
    """Epochs trained, and the best complete value, after each trial."""
    epochs, best = [0], [float("nan")]
    for trial in study.trials:
        if trial.state not in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED):
            continue
        value = trial.value if trial.state == optuna.trial.TrialState.COMPLETE else float("nan")
        epochs.append(epochs[-1] + len(trial.intermediate_values))
        best.append(max([each for each in (best[-1], value) if each == each], default=float("nan")))
    return epochs, best


def main() -> None:
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    rows = []
    for argument in sys.argv[2:]:
        label, storage = argument.split("=", 1)
        [name] = optuna.get_all_study_names(storage)
        study = optuna.load_study(study_name=name, storage=storage)
        epochs, best = curve(study)
        states = [trial.state.name for trial in study.trials]
        seconds = sum(trial.user_attrs.get("seconds", 0) for trial in study.trials)
        once = int(study.user_attrs["fixed"]["schedule.head.epochs"])
        head = once if study.user_attrs["warm_start"] else once * (len(epochs) - 1)
        counts = states.count("COMPLETE"), states.count("PRUNED")
        rows.append((label, *counts, head, epochs[-1], seconds, study.best_value))
        axes.step(epochs, best, where="post", label=label, marker="o", markersize=3)
    *_, all_head, all_after, all_seconds, _ = rows[-1]
    for label, complete, pruned, head, after, seconds, value in rows:
        print(
            f"{label}: {complete} complete, {pruned} pruned; {head} head epochs ({head / all_head:.2f}), "
            f"{after} after ({after / all_after:.2f}), together {(head + after) / (all_head + all_after):.2f}; "
            f"{seconds / 60:.1f} min ({seconds / all_seconds:.2f}); best {value:.4f}"
        )
    axes.set(xlabel="epochs trained after the head phase, all trials together", ylabel="best val/macro_f1 so far")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(Path(sys.argv[1]), dpi=100)


if __name__ == "__main__":
    main()
