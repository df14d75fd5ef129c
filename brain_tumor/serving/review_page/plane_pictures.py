"""The pictures of the three planes, and of the map over them, each sent when the page asks for it."""

import io
import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import numpy as np
from PIL import Image
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.geometry import PLANES
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE
from brain_tumor.evaluation.explanation.localisation import LESION_FROM
from brain_tumor.evaluation.explanation.region import COLOUR, outline
from brain_tumor.serving.review_page import pictures
from brain_tumor.serving.review_page.actions import CRASHED, LET_GO, Page
from brain_tumor.serving.review_page.review import Review

PLANE, MAP = "/plane/", "/map/"
LEVELS, WIDTHS = (-200.0, 300.0), (1.0, 400.0)  # of a window, see `Cuts.gray`
AT_ONCE = 4  # pictures, and maps, that are made at the same time; the others wait
_LOG = logging.getLogger(__name__)
Draw = Callable[[Page, Review, int, str, int, Mapping[str, str]], Response]


def routes(page: Page) -> list[BaseRoute]:
    """`/plane/TOKEN/FILE/PLANE/INDEX` and `/map/…`, of the planes of the review that has this token."""
    path = "{token}/{file:int}/{plane}/{index:int}"
    return [Route(PLANE + path, _answering(page, _plane)), Route(MAP + path, _answering(page, _map))]


def _answering(page: Page, draw: Draw) -> Callable[[Request], Any]:
    turns: list[anyio.CapacityLimiter] = []  # made in the loop that answers

    def work(given: Mapping[str, Any], query: Mapping[str, str]) -> Response:
        found = page.kept.find(given["token"])
        if found is None:
            return PlainTextResponse(LET_GO, 404)
        file, plane, index = given["file"], given["plane"], given["index"]
        cuts = found.files[file].cuts if file < len(found.files) else None
        if cuts is None or plane not in PLANES or index >= cuts.values.shape[PLANES.index(plane)]:
            return PlainTextResponse("there is no such slice", 404)
        try:
            return draw(page, found, file, plane, index, query)
        except CorruptImageError as error:
            return PlainTextResponse(str(error), 422)
        except (KeyError, ValueError):
            return PlainTextResponse("there is no such picture", 404)
        except Exception:
            _LOG.exception("a picture of the page failed")
            return PlainTextResponse(CRASHED, 500)

    async def answer(request: Request) -> Response:
        turns.extend([] if turns else [anyio.CapacityLimiter(AT_ONCE)])
        return await anyio.to_thread.run_sync(work, request.path_params, request.query_params, limiter=turns[0])

    return answer


def _plane(page: Page, found: Review, file: int, plane: str, index: int, query: Mapping[str, str]) -> Response:
    cuts = found.files[file].cuts
    assert cuts is not None
    level, width = (float(np.clip(float(query[key]), *ends)) for key, ends in (("level", LEVELS), ("width", WIDTHS)))
    return _png(Image.fromarray(np.ascontiguousarray(cuts.gray(plane, index, level, width))))


def _map(page: Page, found: Review, file: int, plane: str, index: int, query: Mapping[str, str]) -> Response:
    """The map, 204 where there is none here; of a whole volume `Peak` says at which voxel it is greatest."""
    place, method, layer = int(query["model"]), query["method"], query["layer"]
    model = page.models[place] if 0 <= place < len(page.models) else None
    if model is None or method not in model.methods or layer not in model.layers:
        raise KeyError(method)
    values, peak = found.over(file, plane, index, page.models, place, layer, method)
    headers = {"Peak": ",".join(map(str, peak))} if peak else {}
    if values is None or not values.any():
        return Response(status_code=204, headers=headers)
    heat = pictures.heat(values)
    if method == EVIDENCE:
        line = outline((values >= LESION_FROM)[None])[0]
        heat = Image.fromarray(np.where(line[..., None], np.array((*COLOUR, 255), np.uint8), np.asarray(heat)))
    return _png(heat, headers)


def _png(picture: Image.Image, headers: Mapping[str, str] | None = None) -> Response:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return Response(buffer.getvalue(), media_type="image/png", headers=headers)
