"""What README, docs/ and the notebook say: commands compose, keys are known, links lead on, figures have sources.

That the site builds, with its own anchors, `mkdocs build --strict` checks; see .ci/run.
"""

import importlib.util
import json
import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from composition import composed, task
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from brain_tumor.__main__ import COMMANDS
from brain_tumor.command_line import literal, named_runs
from brain_tumor.config.commands import (
    AdoptConfig,
    AppConfig,
    AuditConfig,
    CompareConfig,
    EnsembleConfig,
    EvaluateConfig,
    ExportConfig,
    LrFindConfig,
    PoolConfig,
    PredictConfig,
    StudyConfig,
)
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.entry import conf_dir
from brain_tumor.sweep.search_request import read
from brain_tumor.sweep.space import overrides

ROOT = Path(__file__).parents[1]
GUIDE = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOK = ROOT / "experiments" / "quickstart.ipynb"
STUDIES = [*sorted((ROOT / "experiments").glob("*/README.md")), ROOT / "benchmarks" / "README.md"]
LINKING = [*GUIDE, *STUDIES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
TYPES = {
    "adopt": AdoptConfig,
    "app": AppConfig,
    "audit": AuditConfig,
    "compare": CompareConfig,
    "ensemble": EnsembleConfig,
    "evaluate": EvaluateConfig,
    "export": ExportConfig,
    "pool": PoolConfig,
    "predict": PredictConfig,
    "study": StudyConfig,
}
FENCE = re.compile(r"^(```|~~~)[^\n]*\n(.*?)^\1[^\n]*$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:python -m |brain-tumor )(.*)")
FIGURE = re.compile(r"\d+\.\d+(?: %)?|\d+ %")
SOURCE = re.compile(r"\]\(((?:[\w./-]*/)?(?:experiments/[\w-]+|benchmarks)/README\.md)(?:#[\w-]+)?\)")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code(text: str) -> Iterator[str]:
    """Every line of a page's fenced and indented blocks, continued ones joined, and every piece of code in its text."""
    text = COMMENT.sub("", text)
    for block in FENCE.finditer(text):
        yield from block[2].replace("\\\n", " ").splitlines()
    rest = FENCE.sub("", text)
    yield from re.findall(r"^(?: {4}|\t)(.+)$", rest.replace("\\\n", " "), re.MULTILINE)
    yield from (found.strip().replace("\\|", "|") for found in INLINE.findall(rest))


def notebook_code() -> Iterator[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            yield from (found[1] for found in re.finditer(r"""["'](python -m .+)["']\)""", text))
        else:
            yield from code(text)


def lines_of(pages: list[Path]) -> Iterator[tuple[str, str]]:
    for page in pages:
        yield from ((named(page), line) for line in code(page.read_text(encoding="utf-8")))
    yield from ((named(NOTEBOOK), line) for line in notebook_code())


def commands() -> dict[tuple[str, ...], str]:
    """Every command of the package that is written somewhere, as its module and arguments, and one page that has it."""
    found: dict[tuple[str, ...], str] = {}
    for page, line in lines_of([*GUIDE, ROOT / "CONTRIBUTING.md"]):
        for part in re.split(r" && | \| ", line):
            match = COMMAND.search(part)
            if match is None or "…" in match[1]:
                continue
            words = shlex.split(match[1], comments=True)
            module = words[0].removeprefix("brain_tumor.")
            if (match[0].startswith("brain-tumor") or words[0].startswith("brain_tumor")) and module[0].isalpha():
                found.setdefault((module, *words[1:]), page)
    return found


WRITTEN = commands()
MISTAKES = {("train", "augmnt=none")}  # that a page makes on purpose


def without_options(arguments: tuple[str, ...]) -> list[str]:
    """The overrides alone: without options, and without what belongs to launchers that need not be installed here."""
    kept = []
    for before, word in zip(("", *arguments), arguments, strict=False):
        if not word.startswith("-") and before != "--cfg" and not re.match(r"\+*hydra[./]", word):
            kept.append(word)
    return kept


def test_many_commands_are_found() -> None:
    assert {words[0] for words in WRITTEN} >= set(COMMANDS)
    assert len(WRITTEN) > 60
    assert {"README.md", "docs/tutorial.md", "docs/sweeps.md", named(NOTEBOOK)} <= {
        page for page, line in lines_of(GUIDE) if "python -m brain_tumor." in line
    }


@pytest.mark.parametrize("words", WRITTEN, ids=lambda words: " ".join(words))
def test_a_written_command_composes_and_is_typed(words: tuple[str, ...]) -> None:
    name, arguments = words[0], words[1:]
    if name not in COMMANDS:
        assert importlib.util.find_spec(f"brain_tumor.{name}.__main__"), WRITTEN[words]
        return
    if words in MISTAKES:
        with pytest.raises(ConfigCompositionException):
            composed(name, *arguments)
        return
    multirun = "-m" in arguments
    given = named_runs(without_options(arguments)) if name == "compare" else without_options(arguments)
    given = [literal(each, multirun) for each in given]
    needed = {"evaluate": ["model_uri"], "predict": ["model_uri", "input"], "export": ["model_uri", "out"]}
    if "--help" in arguments or "--cfg" in arguments:
        given += [f"{key}=x" for key in needed.get(name, []) if not any(each.startswith(f"{key}=") for each in given)]
    if name in TYPES:
        typed(TYPES[name], composed(name, *given))
    elif not multirun:
        values = plain(composed(name, *given))
        typed(SweepConfig, values.pop("sweep"), "sweep.")
        if name == "lr_find":
            typed(LrFindConfig, {field.name: values.pop(field.name) for field in fields(LrFindConfig)})
        typed(TrainConfig, values)
    else:
        chosen = ("sweep", "experiment", "schedule=", "debug=")
        searches = [each for each in given if each.lstrip("+").startswith(chosen)]
        request = read(given, typed(SweepConfig, plain(composed(name, *searches).sweep), "sweep."))
        corners = request.space.corners()  # of spaces in conf/, test_config.py tries all of them
        points = [*request.queue[:1], *(islice(corners, 1) if len(request.space.texts) > 4 else corners)]
        for point in points or [{}]:
            typed(TrainConfig, task(*request.shared, *overrides(point)))


@cache
def known_keys() -> frozenset[str]:
    """Every key and group of every command, with those of all schedules, data sets and augmentations."""
    keys = {"hydra.sweeper.workers"}
    for name in COMMANDS:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = compose(name, return_hydra_config=True)
            keys |= set(config.hydra.runtime.choices)
        variants = [config]
        if name == "train":
            choices = [
                path for group in ("schedule", "data", "augment") for path in (conf_dir() / group).glob("*.yaml")
            ]
            variants += [composed(name, f"{each.parent.name}={each.stem}") for each in choices]
        for each in variants:
            keys |= set(flat(OmegaConf.to_container(each, resolve=False)))
    return frozenset(keys)


def flat(node: object, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from flat(value, f"{prefix}{key}.")


def test_every_key_in_the_text_is_known() -> None:
    """`key=value` in code, and `group.key`."""
    rooms = {key.partition(".")[0] for key in known_keys() if "." in key} - {"hydra"}
    pages = [page for page in GUIDE if "reference" not in page.parts]
    unknown, count = [], 0
    for page in pages:
        text = FENCE.sub("", COMMENT.sub("", page.read_text(encoding="utf-8")))
        for piece in INLINE.findall(text):
            words = piece.strip("'").split() if not re.search(r"[({]", piece) else [piece]
            overriding = all(re.match(r"'?\+*[a-z][\w./@]*=", word) for word in words if word != "-m")
            named_key = re.fullmatch(r"[a-z_]+(?:\.[a-z_]+)+", piece) and piece.partition(".")[0] in rooms
            if not overriding and not named_key:
                continue
            for word in words:
                key = word.strip("'").lstrip("+").partition("=")[0]
                if key in ("-m", "key") or key.startswith("hydra/") or key.endswith((".", ".onnx", ".tflite", ".json")):
                    continue
                count += 1
                if key not in known_keys():
                    unknown.append(f"{named(page)}: {key}")
    assert not unknown
    assert count > 80


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings, as they are made of their words everywhere."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=named)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", COMMENT.sub("", page.read_text(encoding="utf-8")))
    text = INLINE.sub("", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = Path(posixpath.normpath(page.parent / path)) if path else page
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        if anchor:
            assert anchor in slugs(place.read_text(encoding="utf-8")), target


def sections(text: str) -> Iterator[str]:
    """A page's pieces from heading to heading, as they are read: without code and comments."""
    text = INLINE.sub("", FENCE.sub("", COMMENT.sub("", text)))
    yield from re.split(r"^#+ .*$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("page", GUIDE, ids=named)
def test_figures_of_a_table_stand_in_the_study_that_the_section_names(page: Path) -> None:
    for section in sections(page.read_text(encoding="utf-8")):
        rows = [line for line in section.splitlines() if line.startswith("|")]
        sources = {Path(posixpath.normpath(page.parent / found)) for found in SOURCE.findall(section)}
        studies = "\n".join(path.read_text(encoding="utf-8") for path in sources)
        for row in rows:
            said = re.sub(r"\]\([^)]*\)", "]", row).replace("95 % interval", "")
            missing = [figure for figure in FIGURE.findall(said) if figure not in studies]
            assert not missing, f"{row}: no study that is linked here has {missing}"


@pytest.mark.parametrize("page", GUIDE, ids=named)
def test_a_score_in_the_text_stands_in_a_study_that_the_section_names(page: Path) -> None:
    for section in sections(page.read_text(encoding="utf-8")):
        sources = {Path(posixpath.normpath(page.parent / found)) for found in SOURCE.findall(section)}
        studies = "\n".join(path.read_text(encoding="utf-8") for path in sources)
        scores = re.findall(r"\b0\.\d{3}\b", section)
        assert not [score for score in scores if score not in studies], section


def test_the_readme_is_short_and_its_two_commands_are_one_line_each() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    install = "python3.11 -m venv .venv && .venv/bin/pip install -c constraints.txt -e"
    for name, line in {
        "run": f"{install} . && .venv/bin/python -m brain_tumor.train",
        "test": f'{install} ".[dev]" && .venv/bin/pytest -n 2 --dist loadfile',
    }.items():
        assert f"<!-- command: {name} -->\n```bash\n{line}\n```\n" in text


def test_code_stands_on_one_line_where_it_is_looked_for() -> None:
    for page in GUIDE:
        text = FENCE.sub("", COMMENT.sub("", page.read_text(encoding="utf-8")))
        odd = [line for line in text.splitlines() if not line.startswith("    ") and line.count("`") % 2]
        assert not odd, page


def test_every_question_is_answered_by_a_link_to_the_place() -> None:
    text = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    answers = re.split(r"^## .+\?$", text, flags=re.MULTILINE)[1:]
    assert len(answers) >= 10
    assert all(re.search(r"\]\([\w./-]+\.(?:md|cff)(?:#[\w-]+)?\)", answer) for answer in answers)


def test_every_page_is_found_from_the_first_page_and_from_the_readme() -> None:
    for start in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        text = start.read_text(encoding="utf-8")
        missing = [
            named(page)
            for page in (ROOT / "docs").glob("*.md")
            if page.name != "index.md" and f"{page.name})" not in text
        ]
        assert not missing, start


def test_every_room_and_every_study_has_its_page() -> None:
    rooms = {path.parent.name for path in (ROOT / "brain_tumor").glob("*/__init__.py")}
    assert {path.stem for path in (ROOT / "docs" / "reference").glob("*.md")} == rooms | {"index"}
    for room in rooms:
        assert f"\n::: brain_tumor.{room}\n" in (ROOT / "docs" / "reference" / f"{room}.md").read_text(encoding="utf-8")
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for study in STUDIES[:-1]:
        assert f"](../{named(study)})" in results
        assert named(study) in site
