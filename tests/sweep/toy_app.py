"""A Hydra program that the sweeper runs in tests: no model, a score that is known beforehand."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from brain_tumor.entry import guarded
from brain_tumor.sweep.signals import NUMBER


def score(config: DictConfig, epoch: int) -> float:
    """Best at x = 0.3; grows with the epochs."""
    luck = config.luck * config.seed if abs(config.x - 0.3) < 0.05 else 0
    return (1 - (config.x - 0.3) ** 2) * epoch / (epoch + 1) - luck


def once(mark: Path) -> None:
    """Kill this process, as the kernel does one that takes too much memory, if none has been killed yet."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def fail(config: DictConfig) -> None:
    """What `fail` says."""
    if config.fail.startswith("once:"):
        once(Path(config.fail.removeprefix("once:")))
    if config.fail == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.fail == "raise":
        raise RuntimeError("bad combination")
    if config.fail == "seed" and config.seed == 1:
        raise RuntimeError("bad seed")
    if config.fail == "memory" or (config.fail == "large" and config.size == 8):
        raise MemoryError("no memory")


def work(config: DictConfig, trial: Any) -> list[float]:
    if trial is not None:
        trial.note(process=os.getpid(), threads=int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)))
        if trial.may_shrink:
            trial.note(smaller={"size": str(config.size // 2)})
    print(f"point x={config.x!r} y={config.y!r} name={config.name!r} options={dict(config.options)!r}")
    for epoch in range(1, config.epochs + 1):
        time.sleep(config.pause)
        if epoch == config.epochs:
            fail(config)
        if trial is not None:
            trial.report(epoch, {"val/score": score(config, epoch)})
    return [score(config, config.epochs), float(config.y)][: len(trial.metrics) if trial else 1]


def task(config: DictConfig) -> Any:
    if NUMBER not in os.environ:
        return work(config, None)[0]
    from brain_tumor.sweep.job_side import conclude, current

    with guarded():
        trial = current(config.sweep.storage, Path(HydraConfig.get().runtime.cwd))
        return conclude(trial, lambda: work(config, trial))


def main() -> None:
    hydra.main(version_base="1.3", config_path=str(Path(__file__).parent / "toy_conf"), config_name="toy")(task)()


if __name__ == "__main__":
    main()
