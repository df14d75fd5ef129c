"""What a run says of itself in one line of MLflow's page: its score with the interval, and whether its split leaks."""

from typing import Any

import pandas as pd

from brain_tumor.data.protocol import leak
from brain_tumor.data.split import Split

ACCURACY, LEAK = "test accuracy", "leak"  # tags
WHAT = ("model", "schedule", "protocol", "data", LEAK)  # tags that say what was run, and on what


def leak_tag(split: Split) -> dict[str, str]:
    """The tag `leak`: none, or how many images of the test part (failing that, of val) training has met."""
    found = leak(split) or leak(split, "val")
    return {LEAK: "none" if found is None else found.removeprefix("LEAKS: ")}


def accuracy_tag(table: pd.DataFrame) -> dict[str, str]:
    """The tag `test accuracy` of a table of metrics: value, interval where there is one, deviation over runs if any.

    Columns: metric, value, low, high, and of several runs sd.
    """
    row: dict[Any, Any] = table.set_index("metric").loc["accuracy"].to_dict()
    text = f"{row['value']:.3f}"
    if pd.notna(row["low"]):
        text += f" [{row['low']:.3f}, {row['high']:.3f}]"
    if pd.notna(row.get("sd")):
        text += f" sd {row['sd']:.3f}"
    return {ACCURACY: text}
