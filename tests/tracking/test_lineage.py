"""Which trainings a model came from."""

from types import SimpleNamespace

import pytest

from brain_tumor.tracking import lineage

TAGS = {
    "student": {"teacher_run": "both"},
    "both": {"member_runs": "a, b"},
    "a": {"teacher_run": "first"},
    "b": {"teacher_run": "first"},
    "first": {"job": "train"},
}


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    get_run = SimpleNamespace(get_run=lambda run_id: SimpleNamespace(data=SimpleNamespace(tags=TAGS[run_id])))
    monkeypatch.setattr(lineage, "mlflow", get_run)


def test_an_ensemble_has_the_networks_of_its_members() -> None:
    assert lineage.networks("both") == ["a", "b"]
    assert lineage.networks("student") == ["student"]


def test_the_teachers_of_teachers_and_of_members_count() -> None:
    assert lineage.teachers("student") == ["a", "b", "first"]
    assert lineage.teachers("both") == ["first"]
    assert lineage.teachers("first") == []
