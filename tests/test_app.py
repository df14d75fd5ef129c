"""What `python -m brain_tumor.app` refuses before it loads anything."""

import importlib.util
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from composition import composed

from brain_tumor.app import app
from brain_tumor.command_line import literal
from brain_tumor.config.commands import PASSWORD, AppConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError
from brain_tumor.jobs.app import _load
from brain_tumor.serving.review_page import address


def test_the_page_is_this_machines_own_unless_told_otherwise() -> None:
    config = typed(AppConfig, composed("app", "model_uri=models:/m/1"))
    assert (config.host, config.port, config.user, config.model_b) == ("127.0.0.1", 7860, None, None)


@pytest.mark.parametrize("override", ["port=70000", "files=0", "megabytes=0", "waiting=0", "views=0", "user='a:b'"])
def test_a_value_out_of_range_is_named(override: str) -> None:
    with pytest.raises(InputError, match=override.partition("=")[0]):
        typed(AppConfig, composed("app", "model_uri=models:/m/1", override))


@pytest.mark.parametrize("key", ["model_uri", "model_b", "user"])
def test_addresses_and_names_are_taken_to_the_letter(key: str) -> None:
    assert literal(f"{key}=models:/a b@champion", multirun=False) == f"{key}='models:/a b@champion'"


def test_a_user_needs_a_password_and_a_password_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(InputError, match=f"user=ann needs a password in the environment variable {PASSWORD}"):
        app(composed("app", "model_uri=models:/m/1", "user=ann"))
    monkeypatch.setenv(PASSWORD, "secret")
    with pytest.raises(InputError, match="user= is not") as caught:
        app(composed("app", "model_uri=models:/m/1"))
    assert "secret" not in str(caught.value)


def test_without_gradio_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r" -m pip install '.+\[app\]'$"):
        app(composed("app", "model_uri=models:/m/1"))


def test_a_model_that_cannot_be_loaded_is_named_by_its_key() -> None:
    with ExitStack() as stack, pytest.raises(InputError, match=r"^model_b=m cannot be loaded"):
        _load(stack, "model_b", "m", 1)


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("127.1", True), ("localhost", True), ("127.0.0.2", True), ("0", False)]
)
def test_whether_a_page_is_this_machines_own_is_told_by_its_address(host: str, local: bool) -> None:
    with address.listen(host, 0) as place:
        assert address.local(place) == local


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="needs brain-tumor[app]")
    monkeypatch.delenv(PASSWORD, raising=False)
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "as it was")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port={port}: nothing can listen there"):
            app(
                composed("app", "model_uri=models:/m/1", f"port={port}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
            )
