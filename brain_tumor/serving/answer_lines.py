"""What a person at the terminal reads of answers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from brain_tumor import NOTICE
from brain_tumor.data.scans.stacks import Stack
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty, warnings
from brain_tumor.layout.blocks import Block, Grid, Paragraph, Points, pairs
from brain_tumor.paths import printable
from brain_tumor.serving.files import Read
from brain_tumor.serving.inputs import Files
from brain_tumor.serving.predictor import UNFITTED, Prediction, Predictor, ScanPrediction, VolumeCounts
from brain_tumor.serving.wording import counted, said, share

WIDTH = 36  # of the column of names
LISTED = 20  # refused files that are named at the end
_UNANSWERED = "not a brain MRI"
PER_SLICE = "per slice"  # in the place of a class, of volumes


class Tally:
    """Counts answers by class, and keeps why files were refused."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()  # on files, see `Scan.remarks`
        self.refused: list[tuple[str, str]] = []
        self.refusals = self.volumes = self.unfitted = 0
        self.unmarked = 0  # in which a map that is drawn marks nothing
        self.painted = self.changed = 0  # answered again without what the map marks; of these, otherwise

    @property
    def files(self) -> int:
        """All that were added."""
        return sum(self.classes.values()) + self.refusals

    def add(self, file: Read, found: ScanPrediction | None) -> None:
        if found is None:
            self.refusals += 1
            if len(self.refused) < LISTED:
                self.refused.append((file.name, file.error))
            return
        self.classes[found.slices[0].label if found.volume is None else _class_of(found.volume)] += 1
        self.remarks.update(_remarks(found))
        self.notes.update(file.remarks)
        self.volumes += found.volume is not None
        self.unfitted += found.volume is not None and found.volume.silence == UNFITTED
        drawn = [each.lesion for each in found.slices if each.lesion]
        self.unmarked += bool(drawn) and not any(lesion.area for lesion in drawn)
        if (bare := found.slices[0].without) and found.volume is None:
            self.painted += 1
            self.changed += bare.label != found.slices[0].label

    def blocks(self) -> Iterator[Block]:
        """The counts, what is said of volumes where there were any, and the files without an answer."""
        answered = sum(self.classes.values())
        counts = [*sorted(self.classes.items()), ("answered", answered)]
        counts += [(f"of these {name}", count) for name, count in sorted(self.remarks.items())]
        if self.unmarked:
            counts.append(("of these in which the map marks nothing", self.unmarked))
        if self.painted:
            counts += [("of these asked again without what the map marks", self.painted)]
            counts += [("of these answered otherwise", self.changed)]
        if self.refusals:
            counts.append(("refused", self.refusals))
        yield Grid(("answer", "scans"), tuple((name, f"{count:,}") for name, count in counts))
        if self.unfitted:
            yield Paragraph(f"Volumes: {UNFITTED}.")
        if self.notes:
            yield Points(tuple(f"{_scans(count)}: {note}." for note, count in self.notes.most_common()))
        if self.refusals:
            yield Paragraph("Refused:")
            yield pairs([(printable(name), error) for name, error in self.refused])
            if self.refusals > len(self.refused):
                yield Paragraph(f"And {self.refusals - len(self.refused)} more.")


def opening(
    predictor: Predictor, trained_on: str, runtime: str, files: Files, found: Sequence[Stack], before: int, views: str
) -> Iterator[Block]:
    """Who answers, what it cannot say, and which files, of which some were `found` to be volumes together.

    `before` of what was found has been answered earlier. `views` says what answers by several are; "": they are by the
    images alone.
    """
    there = f"{len(files.names)} in {files.base}"
    if volumes := [len(each.files) for each in found if len(each.files) > 1]:
        there += f", {sum(volumes)} of them slices of {len(volumes)} DICOM volume{'' if len(volumes) == 1 else 's'}"
    there += f", {before} of {len(found)} answered before" if before and volumes else ""
    there += f", {before} of them answered before" if before and not volumes else ""
    if files.skipped:
        there += f"; {_left_out(files)}"
    yield Paragraph(NOTICE)
    yield pairs([("model", f"{predictor.uri}, trained on {trained_on}; {runtime}"), ("files", there)])
    if views:
        yield Paragraph(f"Views: {views}.")
    if predictor.uncertainty is not None and (told := warnings(predictor.uncertainty)):
        yield Points(tuple(f"Warning: {line}." for line in told))


def closing(files: Files) -> Iterator[Block]:
    """What was left out, said again where it is not scrolled away."""
    if files.skipped:
        yield Paragraph(f"Warning: {_left_out(files)}.")


def _left_out(files: Files) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in files.skipped.most_common())
    return f"{files.skipped.total()} left out: {kinds}"


def header(classes: Iterable[str], uncertainty: Uncertainty | None) -> str:
    """The names of the columns of `row`."""
    level = f"{min(uncertainty.sets.levels):.0%} set" if uncertainty is not None and uncertainty.sets.levels else ""
    return f"{'file':<{WIDTH}} {'class':<{_width(classes)}} {'probability':>11}  {level}".rstrip()


def row(file: Read, found: ScanPrediction | None) -> str:
    """A file in a line: what it most probably is, the smallest prediction set, and what else is said."""
    name = printable(file.name)
    name = name if len(name) <= WIDTH else "…" + name[1 - WIDTH :]
    if found is None:
        return f"{name:<{WIDTH}} refused: {file.error}"
    remarks = [*_remarks(found), *_marks(found), *file.remarks]
    if found.volume is not None:
        remarks = [counted(found.volume), *remarks, *([file.plane] if file.plane else [])]
    answer = found.slices[0] if found.volume is None else found.volume.answer
    if answer is None:
        width = _width(found.slices[0].probabilities)
        return f"{name:<{WIDTH}} {PER_SLICE:<{width}} {'':>11}  {'; '.join(remarks)}"
    smallest = next((", ".join(names) for _, names in sorted(answer.sets.items())), "")
    probability = answer.probabilities[answer.label]
    answered = f"{answer.label:<{_width(answer.probabilities)}} {probability:>11.4f}"
    return f"{name:<{WIDTH}} {answered}  {smallest:<24} {'; '.join(remarks)}".rstrip()


def _class_of(volume: VolumeCounts) -> str:
    return volume.answer.label if volume.answer else PER_SLICE


def _width(classes: Iterable[str]) -> int:
    """Of the column of the classes."""
    return max(11, *map(len, classes))


def _scans(count: int) -> str:
    return f"{count:,} scan{'' if count == 1 else 's'}"


def _marks(found: ScanPrediction) -> Iterator[str]:
    drawn = [(each.lesion, index) for index, each in enumerate(found.slices) if each.lesion is not None]
    if drawn:
        lesion, index = max(drawn, key=lambda each: (each[0].area, each[0].peak))
        count = sum(each.area > 0 for each, _ in drawn)
        several = count and len(found.slices) > 1
        where = f"{count} of {len(found.slices)} slices, most in slice {index}: " if several else ""
        yield f"its map marks {where}{lesion}"
    if found.volume is not None:
        if counts := found.volume.without:
            shares = ", ".join(f"{name} {share(value)}" for name, value in said(counts.shares))
            whole = f"{_probable(counts.answer)}, of its slices " if counts.answer else ""
            yield f"without what it marks: {whole}{shares or _UNANSWERED}"
    elif bare := found.slices[0].without:
        yield f"without what it marks: {_probable(bare)}"


def _probable(answer: Prediction) -> str:
    return f"{answer.label} {answer.probabilities[answer.label]:.4f}"


def _remarks(found: ScanPrediction) -> Iterator[str]:
    if found.volume is not None:
        if found.volume.not_brain_mri:
            yield f"mostly {_UNANSWERED}"
        elif found.volume.answer and found.volume.answer.not_sure:
            yield "not sure"
    elif found.slices[0].not_brain_mri:
        yield _UNANSWERED
    elif found.slices[0].not_sure:
        yield "not sure"
