"""A CSV of whatever spreadsheet is understood, and what is none is refused in a line that says where."""

from pathlib import Path

import pytest

from brain_tumor.data.csv_table import read_columns
from brain_tumor.errors import InputError

ROWS = [["a b.png", "P1"], ["c.png", ""]]


def found(place: Path, content: bytes) -> list[list[str]]:
    (place / "p.csv").write_bytes(content)
    table = read_columns("data.patients", str(place / "p.csv"), ("path", "patient"))
    assert list(table.columns) == ["path", "patient"]
    return table.to_numpy().tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"path,patient\na b.png,P1\nc.png,\n",
        b"path;patient\na b.png;P1\nc.png;",
        b"path\tpatient\r\na b.png\tP1\r\nc.png\t\r\n",
        b"sep=;\r\npath;patient\r\na b.png;P1\r\nc.png;\r\n",
        b"\xef\xbb\xbfpath;patient\r\na b.png;P1\r\nc.png;\r\n",
        b"\xef\xbb\xbfsep=,\npath,patient\na b.png,P1\nc.png,\n",
        b"sep=|\npath|patient\na b.png|P1\nc.png|\n",
        "path\tpatient\r\na b.png\tP1\r\nc.png\t\r\n".encode("utf-16"),
        b" Path ; PATIENT \n a b.png ; P1 \n c.png ; \n",
        b"path,patient\ra b.png,P1\rc.png,\r",
        b'"path","patient"\n"a b.png", "P1"\n"c.png",""\n',
        b"path,patient\na b.png,P1,\nc.png,,\n",  # a comma at the end of each row alone
        b"path,patient\n\na b.png,P1\n,,\nc.png\n\n",  # empty rows and short ones
        b"age;patient;path\n7;P1;a b.png\n9,5;;c.png\n",  # commas within numbers, as where semicolons part them
    ],
)
def test_every_spelling_of_a_table_is_the_same_table(content: bytes, tmp_path: Path) -> None:
    assert found(tmp_path, content) == ROWS


def test_a_value_in_quotes_may_hold_the_separator_and_text_stays_text(tmp_path: Path) -> None:
    content = 'path;patient\n"a;b.png";007\nü.png;"say ""x"""\n'.encode()
    assert found(tmp_path, content) == [["a;b.png", "007"], ["ü.png", 'say "x"']]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "lacks the column(s) path, patient: its first line has nothing"),
        (
            b"file,patient_id\n",
            "lacks the column(s) path, patient: its first line has 'file', 'patient_id'; rename patient_id to patient",
        ),
        (b"path|patient\n", "lacks the column(s) path, patient: its first line has 'path|patient'"),
        (b"sep=;\npath,patient\n", "lacks the column(s) path, patient: its first line has 'path,patient'"),
        (b"x" * 200_000, "lacks the column(s) path, patient: its first line has nothing"),
        (b"path,patient,Path\n", "has the column path twice"),
        (
            b"path,patient\na.png,P\nb.png,P,Q\n",
            "line 3: 3 fields for 2 columns: put a value that holds the separator in double quotes",
        ),
        (b"sep=,\npath,patient\nb.png,P,Q\n", "line 3: 3 fields for 2 columns"),
        (b'path,patient\n"a.png,P\n', "line 2: cannot be read as CSV: unexpected end of data"),
        (b"path,patient\na.png,M\xfcller\n", "line 2: is not UTF-8: save it as CSV (UTF-8)"),
        (b"PK\x03\x04\x14\0", "is a workbook, not CSV: save it as CSV (UTF-8)"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_line(content: bytes, line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        found(tmp_path, content)
    text = str(caught.value)
    assert text.startswith(f"data.patients={tmp_path / 'p.csv'}")
    assert line in text
    assert "\n" not in text
