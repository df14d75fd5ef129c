"""What a command prints: no wider than a page, nothing broken that is to be copied, no colour in a file."""

import sys

import pytest

from brain_tumor.layout import terminal
from brain_tumor.layout.blocks import Alert, Code, Finding, Grid, Paragraph, Points, Summary, figures, pairs, verdicts
from brain_tumor.layout.terminal import show, show_blocks

Out = pytest.CaptureFixture[str]


def test_blocks_stand_as_they_are_written(capsys: Out) -> None:
    show_blocks(
        Paragraph("8 images, [bold]4 of them[/bold] :smile:"),
        Alert("LEAKS: 3 of 8"),
        Grid(("metric", "value", "95 % interval"), (("accuracy", "0.9", "0.8 to 1.0"), ("log loss", "10.5", ""))),
        pairs([("model", "models:/m/1"), ("a run", "http://h/1")]),
    )
    assert capsys.readouterr().out == (
        "\n8 images, [bold]4 of them[/bold] :smile:\n"
        "\nLEAKS: 3 of 8\n"
        "\n  metric    value  95 % interval\n  accuracy    0.9     0.8 to 1.0\n  log loss   10.5\n"
        "\n  model  models:/m/1\n  a run  http://h/1\n"
    )


def test_sentences_are_broken_at_spaces_and_what_is_to_be_copied_is_not(capsys: Out) -> None:
    path, command = "/a-b" * 40, "python -m brain_tumor.train " + "x" * 120
    show_blocks(Points(("word " * 40 + path,)), pairs([("report", path)]), Code(command))
    lines = capsys.readouterr().out.splitlines()
    assert f"  {command}" in lines
    assert f"  report  {path}" in lines or lines[lines.index("  report") + 1].strip() == path
    sentences = [line for line in lines if "word" in line]
    assert len(sentences) > 1
    assert all(len(line) <= 100 for line in sentences)
    assert sentences[1].startswith("    word")
    assert any(line.strip() == path for line in lines)


def test_an_address_stays_whole_and_a_sentence_that_has_one_is_broken_around_it(capsys: Out) -> None:
    address = "http://host/" + "a" * 60
    show_blocks(pairs([("page", f"{address} {'word ' * 10}"), ("data", f"{'word ' * 10}{address} {'word ' * 20}")]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"  page  {address} word")
    assert len(lines[1]) > 100
    assert all(len(line) <= 100 for line in lines[2:])
    assert sum(address in line for line in lines[2:]) == 1


def test_a_terminal_gets_colour_and_its_own_width(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_blocks(Paragraph("word " * 20), Alert("LEAKS"))
    out = capsys.readouterr().out
    assert "\x1b[1;31mLEAKS" in out
    assert max(map(len, out.split("\x1b")[0].splitlines())) <= 40
    assert terminal.width() == 40


def test_details_are_for_those_who_ask(capsys: Out) -> None:
    found = [Finding("It is right.", "It is right in 3 of 4."), Finding("", "Scaled by 2.")]
    summary = Summary((verdicts(found),), (figures(found),))
    assert verdicts(found) == Points(("It is right.",))
    show(summary)
    assert capsys.readouterr().out == "\n  - It is right.\n"
    terminal.ask_for_details(True)
    try:
        show(summary)
    finally:
        terminal.ask_for_details(False)
    assert capsys.readouterr().out.endswith("\n\n  - It is right in 3 of 4.\n  - Scaled by 2.\n")
