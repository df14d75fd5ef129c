"""What a model has seen by its teachers."""

from types import SimpleNamespace

import pytest

from brain_tumor.tracking import lineage


def test_a_model_has_seen_what_the_teachers_of_its_teacher_have(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"student": {"teacher_run": "teacher"}, "teacher": {"teacher_run": "first"}, "first": {}}
    monkeypatch.setattr(lineage, "load_split", lambda run_id: f"split of {run_id}")
    get_run = SimpleNamespace(get_run=lambda run_id: SimpleNamespace(data=SimpleNamespace(tags=tags[run_id])))
    monkeypatch.setattr(lineage, "mlflow", get_run)
    assert lineage.splits_seen("student") == ["split of student", "split of teacher", "split of first"]
