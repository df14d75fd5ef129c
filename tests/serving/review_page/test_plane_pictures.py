"""The pictures of the three planes are sent one by one, to whoever has their token, and for as long as it is kept."""

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scanned import COLUMNS, ROWS, SLICES, series
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from brain_tumor.data.scans.geometry import PLANES
from brain_tumor.serving.review_page.actions import LET_GO, Choices, Page, answer_uploads, first_slice, look
from brain_tumor.serving.review_page.gateway import Rules, refusal
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.plane_pictures import routes
from brain_tumor.serving.review_page.review import Review

WINDOW = "?level=50&width=100"
ASKED = "?model=0&method=gradcam&layer=deep"


@pytest.fixture
def asked(page: Page) -> Page:
    return replace(page, files=30, allowed=replace(page.allowed, file_bytes=2**22))


@pytest.fixture
def client(asked: Page) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes(asked))) as found:
        yield found


def drop(page: Page) -> Review:
    files = [(f"head/{name}", str(page.uploads.add(io.BytesIO(each)))) for name, each in series().items()]
    answer_uploads(page, "session", files, "gradcam", ("deep",))
    found = page.kept.get("session")
    assert found is not None
    return found


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("plane", "shape"), [("axial", (ROWS, COLUMNS)), ("coronal", (SLICES, COLUMNS)), ("sagittal", (SLICES, ROWS))]
)
def test_a_slice_has_the_files_own_voxels(client: TestClient, asked: Page, plane: str, shape: tuple[int, int]) -> None:
    found = drop(asked)
    answer = client.get(f"/plane/{found.token}/0/{plane}/10{WINDOW}")
    assert answer.headers["content-type"] == "image/png"
    assert pixels(answer.content).shape == shape
    cuts = found.files[0].cuts
    assert cuts is not None
    np.testing.assert_array_equal(pixels(answer.content), cuts.gray(plane, 10))
    dark = client.get(f"/plane/{found.token}/0/{plane}/10?level=150&width=50")
    assert pixels(dark.content).mean() < pixels(answer.content).mean()


def test_a_model_of_slices_has_its_map_over_the_plane_that_it_looks_at(client: TestClient, asked: Page) -> None:
    found = drop(asked)
    answer = client.get(f"/map/{found.token}/0/axial/10{ASKED}")
    over = pixels(answer.content)
    assert over.shape == (ROWS, COLUMNS, 4)
    # The stand-in's map is the upper left of 8 x 8 cells, of which the picture, narrower than high, has 7 columns.
    assert over[: ROWS // 16, 0, 3].min() > 200
    assert over[ROWS // 4 :, :, 3].max() == 0
    assert "Peak" not in answer.headers
    for path in ("coronal/10", "axial/10" + ASKED.replace("deep", "blind")):
        assert client.get(f"/map/{found.token}/0/{path}{ASKED if 'model' not in path else ''}").status_code == 204


def test_a_model_of_volumes_has_its_map_over_all_planes_and_says_where_it_is_greatest(
    asked: Page, whole: Shown
) -> None:
    page = replace(asked, models=(whole,))
    found = drop(page)
    with TestClient(Starlette(routes=routes(page))) as client:
        first = client.get(f"/map/{found.token}/0/axial/0{ASKED}")
        peak = [int(each) for each in first.headers["Peak"].split(",")]
        for axis, plane in enumerate(PLANES):
            answer = client.get(f"/map/{found.token}/0/{plane}/{peak[axis]}{ASKED}")
            assert answer.status_code == 200
            assert pixels(answer.content)[..., 3].max() > 100  # of a cell, which few voxels are in the middle of


def test_the_map_is_asked_for_as_the_panel_says(client: TestClient, asked: Page) -> None:
    found = drop(asked)
    _, panels = look(asked, "session", Choices(0, 10, "gradcam", ("deep",)))
    assert f'data-map="{ASKED[1:].replace("&", "&amp;")}"' in panels
    assert "<img" not in panels
    assert client.get(f"/map/{found.token}/0/axial/10{ASKED}").status_code == 200


def test_each_series_has_its_own_planes(asked: Page) -> None:
    both = {f"{uid}/{name}": each for uid in ("1.2", "1.3") for name, each in series(uid).items()}
    files = [(name, str(asked.uploads.add(io.BytesIO(each)))) for name, each in both.items()]
    view = answer_uploads(replace(asked, files=50), "session", files, "gradcam", ("deep",))
    assert [name for name, _ in view.names] == [f"{n}. 1.{n + 1}/series 1 (20 slices)" for n in (1, 2)]
    found = asked.kept.get("session")
    assert found is not None
    for place in range(2):
        first, slices, planes = first_slice(asked, "session", place)
        assert f'data-of="{found.token}/{place}"' in planes
        assert f'data-at="{COLUMNS // 2},{ROWS // 2},{first}" data-axis="2"' in planes
        assert (planes == view.planes, slices) == (place == 0, SLICES)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("plane/{}/0/axial/20?level=50&width=100", 404),  # there are 20
        ("plane/{}/1/axial/0?level=50&width=100", 404),
        ("plane/{}/0/oblique/0?level=50&width=100", 404),
        ("plane/{}/0/axial/-1?level=50&width=100", 404),
        ("plane/{}/0/axial/0", 404),
        ("plane/{}/0/axial/0?level=x&width=1", 404),
        ("plane/{}/0/axial/0?level=nan&width=inf", 200),
        ("map/{}/0/axial/0?model=1&method=gradcam&layer=deep", 404),
        ("map/{}/0/axial/0?model=0&method=gradcam&layer=x", 404),
        ("map/{}/0/axial/0?model=0&method=x&layer=deep", 404),
        ("map/{}/0/axial/0", 404),
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, asked: Page, path: str, code: int) -> None:
    assert client.get(f"/{path.format(drop(asked).token)}").status_code == code


def test_nothing_is_sent_once_it_is_forgotten_nor_for_another_token(client: TestClient, asked: Page) -> None:
    found = drop(asked)
    path = f"/plane/{found.token}/0/axial/0{WINDOW}"
    assert client.get(path).status_code == 200
    asked.kept.leave("session")
    gone = client.get(path)
    assert (gone.status_code, gone.text) == (404, LET_GO)
    assert client.get(f"/plane/session/0/axial/0{WINDOW}").status_code == 404


def test_the_front_lets_these_pictures_pass_to_those_who_may_look(page: Page) -> None:
    rules = Rules(page.uploads, 3, 1000, ("ann", "secret"), local=True)
    host = {"host": "127.0.0.1"}
    known = {**host, "authorization": "Basic YW5uOnNlY3JldA=="}
    for path in ("/plane/a/0/axial/1", "/map/a/0/axial/1"):
        assert refusal(rules, "GET", path, Headers(known)) is None
        refused = refusal(rules, "GET", path, Headers(host))
        assert refused is not None
        assert refused.status_code == 401
        assert refusal(rules, "POST", path, Headers({**known, "content-length": "1"})) is not None
