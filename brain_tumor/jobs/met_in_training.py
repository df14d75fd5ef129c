"""Which images a model has met: in its own training, or its members', or in that of a teacher."""

from functools import partial

from brain_tumor.data.contamination import Contamination, either, find_contamination
from brain_tumor.data.split import Split
from brain_tumor.paths import existing_path
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.tracking import lineage, runs


def met_in_training(
    registered: RegisteredModel,
    split: Split,
    trained_root: str | None,
    *,
    cache: str | None,
    workers: int,
    patients: str | None = None,
    whole: bool = False,
) -> Contamination:
    """The images of `split` that a model knows, see `find_contamination`.

    `trained_root` is where its training images are now; None: where they were. A teacher's are looked for there, too,
    where they are not in their own place any more.
    """
    root = existing_path(trained_root) if trained_root else registered.split.root
    compared = partial(find_contamination, split, cache=cache, workers=workers, patients=patients, whole=whole)
    known = compared(registered.split, root)
    for teacher in lineage.teachers(registered.run_id):
        theirs = runs.load_split(teacher)
        known = either(known, compared(theirs, theirs.root if theirs.root.is_dir() else root))
    return known
