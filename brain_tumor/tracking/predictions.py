"""The predictions that a run has logged, read back."""

import tempfile
from pathlib import Path

import mlflow
import pandas as pd

from brain_tumor.evaluation.lesion_scores import NAMES
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.tracking.runs import download

# Tags of runs whose model has met twins of a part's images, or their patients, and the word that stands for each.
FLATTERING = {"test": {"leaking": "LEAKS", "contaminated": "CONTAMINATED"}, "val": {"leaking_val": "LEAKS"}}
# Columns of a run's tables that hold words, whatever these look like: a class may be called 0, True or NA.
WORDS = dict.fromkeys(("path", "label", "prediction", "class", "group", "twin", "sha256", "site", "patient"), str)


def read_predictions(run_id: str, part: str) -> Evaluation:
    """The evaluation of a part, from `tables/<part>_predictions.csv`.

    Raises InputError if the run has no such table.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(download(run_id, f"tables/{part}_predictions.csv", folder))
        table = pd.read_csv(path, keep_default_na=False, dtype=WORDS)
    columns = [name for name in table.columns if name.startswith("probability_")]
    probabilities = table[columns].to_numpy(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # as written, to the last digit but one
    rows = table.drop(columns=[*columns, "prediction", "correct"])
    lesions = [name for name in NAMES if name in rows]
    rows[lesions] = rows[lesions].apply(pd.to_numeric)  # empty where an image has no say
    tags = mlflow.get_run(run_id).data.tags
    data = f"{'SYNTHETIC ' if tags.get('data_kind') == 'synthetic' else ''}{tags.get('data')}"
    marks = [word for tag, word in FLATTERING[part].items() if tags.get(tag) == "true"]
    title = f"{part} part, {data}, {tags.get('protocol')}{''.join(f' ({mark})' for mark in marks)}"
    classes = tuple(name.removeprefix("probability_") for name in columns)
    return Evaluation(rows, probabilities, classes, title, mark=", ".join(marks))
