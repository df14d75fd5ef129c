"""The learning-rate range test: a phase trained at a rate that rises from step to step (Smith 2015, arXiv:1506.01186).

It sees the training part alone: phases before the one that is tested end with their last epoch, as no val part says
which was the best.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.schedule import PhaseConfig, PlateauConfig
from brain_tumor.errors import InputError
from brain_tumor.models.hardware import Execution
from brain_tumor.progress import progress
from brain_tumor.training.callbacks import Progress, WarmUp
from brain_tumor.training.distribute import fed, predictor, synchronized
from brain_tumor.training.fit import executed, fit_stage
from brain_tumor.training.freezing import apply_phase, as_built
from brain_tumor.training.precision import compute_in
from brain_tumor.training.stage import Stage, TrainingSet, Turn, begin_bias, make_stage

SMOOTHING = 0.9  # of the loss: how much of what was before stays in the moving average
EXPLODED = 4.0  # times the lowest smoothed loss: higher rates would tell nothing more
SAFE = 10.0  # the suggestion is so many times lower than the rate of the lowest loss
FALLS = 0.98  # times the first loss, at least, that the lowest smoothed one is where it falls at all
RISES = 1.05  # times the lowest smoothed loss that the last one has where it has begun to rise


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The loss of each step beside its learning rate."""

    rates: NDArray[np.float64]  # (n,), rising
    losses: NDArray[np.float64]  # (n,), of the step's batch, before the step; the last may be NaN or infinite

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The losses (n,) as a moving average, free of the bias of its beginning (Kingma & Ba 2015, section 3)."""
        average, found = 0.0, []
        for step, loss in enumerate(self.losses, 1):
            average = SMOOTHING * average + (1 - SMOOTHING) * float(loss)
            found.append(average / (1 - SMOOTHING**step))
        return np.array(found)

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""
        return int(np.nanargmin(np.where(np.isfinite(self.smoothed), self.smoothed, np.nan)))

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the smoothed loss is lowest: still falling, and far from where it explodes.

        Raises:
            InputError: it does not fall between the lowest and the highest rate, or does not rise again.
        """
        smoothed, least = self.smoothed, self.lowest
        between = f"between lowest={self.rates[0]:g} and {self.rates[-1]:g}"
        if least < 2 or smoothed[least] > FALLS * smoothed[0]:
            raise InputError(
                f"the loss does not fall {between}: give a lower lowest=, more steps=, or look at the images"
            )
        if smoothed[-1] <= RISES * smoothed[least]:  # of NaN it is not: then the loss has exploded
            raise InputError(f"the loss does not rise again {between}: give a higher highest=, or more steps=")
        return float(self.rates[least]) / SAFE


def range_test(
    model: keras.Model,
    training: TrainingSet,
    schedule: Mapping[str, PhaseConfig],
    name: str,
    rates: NDArray[np.float64],
    *,
    seed: int,
    execution: Execution = Execution(),  # noqa: B008, it is frozen
) -> RangeTest:
    """Train the phases of `schedule` before `name`, and then a step of that one at each of the `rates`.

    The model is left with what became of it. Raises InputError as `fit` does.
    """
    training = replace(training, val_rows=training.rows[:1])  # what stands in for the val part, at which nobody looks
    built, alone, epoch = as_built(model), predictor(model), 0
    compute_in(model, execution.precision)
    for each, asked in schedule.items():
        phase = replace(asked, early_stopping=None)
        apply_phase(model, phase, each, built)
        if each == name:  # as it begins; its rate is set from step to step
            phase = replace(phase, decay="plateau", plateau=_NEVER, warmup_epochs=0, weight_averaging=None)
        stage = make_stage(Turn(model, alone, training, each, phase, seed, epoch, _unseen))
        if epoch == 0:
            begin_bias(model, stage.objective.mixture)
        stage = executed(stage, execution, done=0, epoch=epoch)
        if each == name:
            break
        _train(stage, epoch)
        epoch += phase.epochs
    with synchronized(stage.model), fed(stage.model, lambda: stage.stream(epoch)) as batches:
        return ramp(stage.model, batches, rates)


_NEVER = PlateauConfig(patience=1, factor=0.5, min_learning_rate=0)  # is asked for, and read by a callback alone


def ramp(model: keras.Model, batches: Any, rates: NDArray[np.float64]) -> RangeTest:
    """Take a step on one of the `batches` at each of the `rates`, until the loss explodes."""
    losses: list[float] = []

    class Ramp(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, step: int, logs: dict[str, Any] | None = None) -> None:
            self.model.reset_metrics()  # else the loss that Keras tells of is the mean of all steps so far
            self.model.optimizer.learning_rate = float(rates[step])

        def on_train_batch_end(self, step: int, logs: dict[str, Any] | None = None) -> None:
            losses.append(float((logs or {})["loss"]))
            bar.update(1, f"loss {losses[-1]:.3f}")
            smoothed = RangeTest(rates[: len(losses)], np.array(losses)).smoothed
            if not np.isfinite(losses[-1]) or smoothed[-1] > EXPLODED * smoothed.min():
                self.model.stop_training = True

    with progress(len(rates), "learning rates", "step") as bar:
        model.fit(batches, steps_per_epoch=len(rates), callbacks=[Ramp()], shuffle=False, verbose=0)
    return RangeTest(rates[: len(losses)], np.array(losses))


def _train(stage: Stage, epoch: int) -> None:
    phase = stage.phase
    callbacks: list[Any] = [Progress(stage.name, phase.epochs, stage.images, phase.batch_size)]
    if phase.decay == "plateau" and phase.warmup_epochs:
        callbacks.append(WarmUp(phase.learning_rate, round(phase.warmup_epochs * stage.steps)))
    if phase.weight_averaging is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    fit_stage(stage, done=0, epoch=epoch, callbacks=callbacks)


def _unseen(*_: object) -> dict[str, float]:
    raise AssertionError("nothing is validated in a range test")
