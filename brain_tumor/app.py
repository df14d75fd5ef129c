"""Look at what a model says: `python -m brain_tumor.app model_uri=models:/brain-tumor@champion`."""

import importlib.util
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from brain_tumor import NOTICE, entry
from brain_tumor.config.app import PASSWORD, AppConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError

if TYPE_CHECKING:
    from brain_tumor.serving.review_page.models import Shown


def app(raw: DictConfig) -> None:
    """Load one model or two, draw the examples, and serve the page until it is interrupted."""
    config = typed(AppConfig, raw)
    login = _login(config)
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs Gradio: pip install 'brain-tumor[app]'")

    from brain_tumor.serving.review_page import service

    service.stay_at_home()
    with ExitStack() as stack:
        place = stack.enter_context(service.listen(config.host, config.port))

        from brain_tumor.tracking.store import open_store

        open_store(config.tracking)

        from brain_tumor.models.backend import start_tensorflow

        start_tensorflow()

        from brain_tumor.serving.review_page.actions import Page
        from brain_tumor.serving.review_page.examples import examples
        from brain_tumor.serving.review_page.review import limits
        from brain_tumor.serving.review_page.review_store import Kept
        from brain_tumor.serving.review_page.uploads import repeating

        asked = {"model_uri": config.model_uri, "model_b": config.model_b}
        models = tuple(_load(stack, key, uri, config.views) for key, uri in asked.items() if uri)
        for model in models:
            print(f"model     {model.name}{' (SYNTHETIC)' if model.synthetic else ''}")
        uploads = stack.enter_context(service.temporary())
        allowed = limits(models, config.megabytes * 2**20)
        page = Page(models, examples(), uploads, Kept(), allowed, config.files)
        local = service.local(place)
        application = service.application(page, config.waiting, login, local)
        stack.enter_context(repeating(uploads.sweep, page.kept.sweep))
        if login is None and not local:
            print(f"warning   whoever reaches {config.host} may use this page: give user=, and {PASSWORD}")
        print(NOTICE)
        service.serve(application, place)


def _load(stack: ExitStack, key: str, uri: str, views: int) -> "Shown":
    from brain_tumor.models.registry import get_backbone
    from brain_tumor.serving.review_page.models import shown
    from brain_tumor.tracking import registry
    from brain_tumor.tracking.cards import card_of

    registered = registry.load_model(uri, key)
    layer = get_backbone(registered.config["model"]["name"]).cam_layer
    return stack.enter_context(shown(registered, layer, views, card_of(registered.run_id)))


def _login(config: AppConfig) -> tuple[str, str] | None:
    password = os.environ.get(PASSWORD)
    if config.user is None:
        if password:
            raise InputError(f"{PASSWORD} is set, and user= is not: give user=NAME, too, or unset it")
        return None
    if not password:
        raise InputError(f"user={config.user} needs a password in the environment variable {PASSWORD}")
    return config.user, password


def main() -> None:
    entry.run(app, "app")


if __name__ == "__main__":
    main()
