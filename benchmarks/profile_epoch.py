"""What of an epoch is the training step: python benchmarks/profile_epoch.py [--rounds 2].

Trains EfficientNet-Lite0 at 160 px on phantom images as `train` does, with each augmentation. Of the last of two
epochs, validation aside: the share of wall time inside the training step, from a batch's begin to its end less all time
in which the source of batches waited for one (an upper bound of the step's own wait, since TensorFlow reads ahead of
it), and the share of processor time that the making of batches took. Two threads, in turn, a process each.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from composed import measured, prepared, trained
from jobs import machine
from turns import median

VARIANTS = ("none", "notebook", "mri")
SUBJECTS, EPOCHS = 180, 2


def keys(cache: str, augment: str) -> list[str]:
    """The command line."""
    return [
        *("data=phantom", f"data.phantom.subjects={SUBJECTS}", "data.phantom.size=80", f"data.cache={cache}"),
        "data.image_size=160",
        *("model=effnet_lite0", f"augment={augment}", "~schedule.head", f"schedule.all.epochs={EPOCHS}"),
    ]


class Profile:
    """Seconds since the last epoch began."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.step = self.waited = self.making = self.began = 0.0
        self.processor = time.process_time()

    def waiting(self, stream: Iterator[Any]) -> Iterator[Any]:
        """The batches of `stream`, the time until each is there being counted."""
        while True:
            began = time.perf_counter()
            batch = next(stream)
            self.waited += time.perf_counter() - began
            yield batch

    def made(self, augment: Callable[..., Any]) -> Callable[..., Any]:
        """`augment`, its thread's processor time being counted."""

        def counted(*given: Any) -> Any:
            began = time.thread_time()
            sample = augment(*given)
            self.making += time.thread_time() - began
            return sample

        return counted


def measure(augment: str, cache: str) -> dict[str, float]:
    """Shares of the last epoch."""
    job = prepared(keys(cache, augment))
    import keras

    from brain_tumor.training import fit, stage

    profile, found = Profile(), {}

    class Steps(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            profile.reset()
            self.started = time.perf_counter()

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            profile.began = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            profile.step += time.perf_counter() - profile.began

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            wall, processor = time.perf_counter() - self.started, time.process_time() - profile.processor
            found.update(
                epoch=wall,
                inside=100 * (profile.step - profile.waited) / wall,
                waiting=100 * profile.waited / wall,
                making=100 * profile.making / processor,
            )

    batches, callbacks = stage.train_batches, fit._callbacks
    stage.train_batches = lambda *given, augment, **named: profile.waiting(
        batches(*given, augment=profile.made(augment), **named)
    )
    # First, so that validation comes after it.
    fit._callbacks = lambda *given, **named: [Steps(), *callbacks(*given, **named)]
    trained(job, lambda row: None)
    return {"images": len(job.training.rows), **found}


def main() -> None:
    """Run the augmentations in turn and print the table."""
    found = measured(__doc__, VARIANTS, 2, lambda cache: keys(cache, "none"), measure)
    count = int(found["none"][0]["images"])
    print(f"EfficientNet-Lite0, 160 px, batch 32, {count} SYNTHETIC images; {machine('albumentations')}")
    print("| augment | epoch, s | in the step | waiting | processor time that makes batches |\n|---|---|---|---|---|")
    for variant, rounds in found.items():
        shares = [f"{median(rounds, name):.1f} %" for name in ("inside", "waiting", "making")]
        print(f"| {variant} | {median(rounds, 'epoch'):.1f} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
