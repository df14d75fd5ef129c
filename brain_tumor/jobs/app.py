"""Serving the review page until it is interrupted."""

import socket
from contextlib import ExitStack

from brain_tumor import NOTICE
from brain_tumor.config.commands import PASSWORD, AppConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.evaluation.explanation.kinds import own_layer
from brain_tumor.layout.blocks import Alert, Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.serving.review_page import service
from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.address import local
from brain_tumor.serving.review_page.examples import examples
from brain_tumor.serving.review_page.models import Shown, shown
from brain_tumor.serving.review_page.opened import limits
from brain_tumor.serving.review_page.review_store import Kept
from brain_tumor.serving.review_page.uploads import repeating
from brain_tumor.tracking import registry
from brain_tumor.tracking.cards import card_of
from brain_tumor.tracking.store import open_store


def run(config: AppConfig, login: tuple[str, str] | None, place: socket.socket) -> None:
    """Load one model or two, draw the examples, and answer at `place`."""
    open_store(config.tracking)
    start_tensorflow()
    with ExitStack() as stack:
        asked = {"model_uri": config.model_uri, "model_b": config.model_b}
        models = tuple(_load(stack, key, uri, config.views) for key, uri in asked.items() if uri)
        show_blocks(
            Paragraph(NOTICE),
            pairs([("model", f"{model.name}{' (SYNTHETIC)' if model.synthetic else ''}") for model in models]),
        )
        uploads = stack.enter_context(service.temporary())
        allowed = limits(models, config.megabytes * 2**20)
        page = Page(models, examples(models[0].takes is not None), uploads, Kept(), allowed, config.files)
        application = service.application(page, config.waiting, login, local(place))
        stack.enter_context(repeating(uploads.sweep, page.kept.sweep))
        if login is None and not local(place):
            show_blocks(Alert(f"Whoever reaches {config.host} may use this page: give user=, and {PASSWORD}."))
        service.serve(application, place)


def _load(stack: ExitStack, key: str, uri: str, views: int) -> Shown:
    registered = registry.load_model(uri, key)
    trained = typed(TrainConfig, registered.config)
    layer = own_layer(registered.model, trained.model.name)
    return stack.enter_context(shown(registered, layer, views, card_of(registered.run_id), trained.data.spacing))
