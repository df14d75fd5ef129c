"""A signal in the middle of a database's statement waits for its end."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stores
from toy import hear_ctrl_c

# The signal comes after the statement is run and before its first row is read.
WRITE = """
import signal, sys, time
import mlflow, sqlalchemy.orm.loading as loading
from brain_tumor import interrupts
from brain_tumor.tracking.runs import started

real, armed = loading._instance_processor, []
def read(*args, **kwargs):
    if armed:
        signal.raise_signal(armed.pop())
        time.sleep(5 * interrupts.AGAIN)
    return real(*args, **kwargs)
loading._instance_processor = read
interrupts.listen()
mlflow.set_tracking_uri(sys.argv[1])
store = mlflow.set_experiment("interrupted")
try:
    with started(store, system_metrics=False) as run_id:
        armed.append(int(sys.argv[2]))
        mlflow.log_metric("loss", 1.0)
        for _ in range(1000):  # one sleep would not be ended: Python itself puts the signal off
            time.sleep(0.01)
except KeyboardInterrupt:
    run = mlflow.MlflowClient().get_run(run_id)
    print(run.info.status, run.data.metrics)
    sys.exit(interrupts.exit_code())
"""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_the_end_of_a_statement(
    how: signal.Signals, code: int, shared: Path, tmp_path: Path
) -> None:
    shutil.copy(stores.empty(shared), tmp_path / "mlflow.db")
    arguments = [sys.executable, "-c", WRITE, f"sqlite:///{tmp_path}/mlflow.db", str(int(how))]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False, preexec_fn=hear_ctrl_c)
    assert (done.returncode, done.stdout.strip()) == (code, "KILLED {'loss': 1.0}"), done.stderr
