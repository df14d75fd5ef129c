"""Finished leading phases as artifacts of a study's parent run, so that other machines need not train them again.

The two functions made here are `warm_start`'s `fetch` and `publish`. Neither ever stops a trial: without the artifact
it trains the phases itself.
"""

import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import mlflow

FOLDER = "warm_start"  # among the parent run's artifacts: one KEY.tar an entry, whole or not there


def fetcher(run_id: str) -> Callable[[str, Path], bool]:
    """What fills a folder with the entry of a key from run `run_id`, and says whether there was one."""

    def fetch(key: str, target: Path) -> bool:
        try:
            if not _has(run_id, key):
                return False
            with tempfile.TemporaryDirectory() as folder:
                path = mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path=f"{FOLDER}/{key}.tar", dst_path=folder
                )
                with tarfile.open(path) as archive:
                    archive.extractall(target, filter="data")
        except Exception as error:  # each artifact store raises its own
            _say("fetched from", run_id, error)
            return False
        return True

    return fetch


def publisher(run_id: str) -> Callable[[str, Path], None]:
    """What uploads the folder of a key's entry to run `run_id`, unless another machine has done so."""

    def publish(key: str, entry: Path) -> None:
        try:
            if _has(run_id, key):
                return
            with tempfile.TemporaryDirectory() as folder:
                path = shutil.make_archive(str(Path(folder) / key), "tar", entry)
                mlflow.MlflowClient().log_artifact(run_id, path, FOLDER)
        except Exception as error:
            _say("published in", run_id, error)

    return publish


def _has(run_id: str, key: str) -> bool:
    return f"{FOLDER}/{key}.tar" in {file.path for file in mlflow.MlflowClient().list_artifacts(run_id, FOLDER)}


def _say(what: str, run_id: str, error: Exception) -> None:
    reason = " ".join(str(error).split())[:200]
    print(f"warm start: nothing could be {what} run {run_id} ({reason})", file=sys.stderr)
