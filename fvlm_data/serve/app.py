"""The application: addresses, and what answers them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fvlm_data.errors import FvlmError, InputError
from fvlm_data.opened.search.results import exported, search
from fvlm_data.qc.assets import NAMES, names_script
from fvlm_data.qc.templating import Served
from fvlm_data.segment.nifti import NiftiError
from fvlm_data.serve.access import same
from fvlm_data.serve.guard import guarded
from fvlm_data.serve.lists import (
    PAGE,
    map_page,
    nearest_page,
    neighbours_page,
    number_of,
    search_page,
)
from fvlm_data.serve.pages import OWN_ASSETS, QC_ASSETS, Pages
from fvlm_data.serve.planes import Planes, window_of
from fvlm_data.serve.queue_page import queue_page
from fvlm_data.serve.reviewing import LARGEST, taken

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from fvlm_data.opened.embeddings import Embeddings, TextSide
    from fvlm_data.serve.access import Access
    from fvlm_data.serve.live import Live
    from fvlm_data.store.declared import Context

REVIEW = "/review"
MOST_LISTED = 1000
TYPES = {"css": "text/css", "js": "text/javascript"}
EXPORTS = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


def application(
    live: Live,
    access: Access,
    review: Context | None = None,
    embeddings: Embeddings | None = None,
    texts: TextSide | None = None,
    doubtful: Path | None = None,
) -> ASGIApp:
    """Pages, planes and searches of a store behind its token.

    With `review` decisions are taken into it; without, nothing is ever written. `texts` is the text
    side of the model that made the embeddings, `doubtful` rows of what a model doubts.
    """
    known = embeddings is not None
    served = Served(access.csrf if review else "", known, known and texts is not None)
    answers = _Answers(live, access, served, review, embeddings, texts, doubtful)
    routes = [
        Route("/", answers.index),
        Route("/index.html", answers.index),
        Route("/compare.html", answers.compare),
        Route("/search.html", answers.search_page),
        Route("/neighbours.html", answers.neighbours_page),
        Route("/map.html", answers.map_page),
        Route("/nearest.html", answers.nearest_page),
        Route("/assets/{name}", answers.asset),
        Route("/studies/{study}.html", answers.study),
        Route("/volumes/{name}.js", answers.script),
        Route("/planes/{volume}.json", answers.planes),
        Route("/planes/{volume}/{plane}/{index:int}.{form}", answers.plane),
        Route("/api/search", answers.search),
        Route("/export/studies.{suffix}", answers.export),
    ]
    if review is not None:
        routes.append(Route(REVIEW, answers.review, methods=["POST"]))
        routes.append(Route("/queue.html", answers.queue_page))
    handlers: dict[Any, Any] = {FvlmError: _told, NiftiError: _damaged}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return guarded(app, access, posts=frozenset({REVIEW} if review is not None else ()))


class _Answers:
    """What answers each address; those that are no coroutines run in threads of their own."""

    def __init__(
        self,
        live: Live,
        access: Access,
        served: Served,
        context: Context | None,
        embeddings: Embeddings | None,
        texts: TextSide | None,
        doubtful: Path | None,
    ) -> None:
        self._live = live
        self._access = access
        self._served = served
        self._context = context
        self._embeddings = embeddings
        self._texts = texts
        self._doubtful = doubtful
        self._pages = Pages(live, served, embeddings)
        self._planes = Planes(live)

    def index(self, request: Request) -> Response:
        return HTMLResponse(self._pages.index())

    def compare(self, request: Request) -> Response:
        return HTMLResponse(self._pages.compare())

    def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        package = "fvlm_data.serve" if name in OWN_ASSETS else "fvlm_data.qc"
        if name not in OWN_ASSETS | QC_ASSETS:
            return _nothing("file")
        if name == NAMES:
            return Response(names_script(self._live.vocabulary), media_type=TYPES["js"])
        content = resources.files(package).joinpath("assets", name).read_bytes()
        return Response(content, media_type=TYPES[name.rpartition(".")[2]])

    def study(self, request: Request) -> Response:
        page = self._pages.study(request.path_params["study"])
        return _nothing("study") if page is None else HTMLResponse(page)

    def script(self, request: Request) -> Response:
        content = self._pages.script(request.path_params["name"])
        if content is None:
            return _nothing("volume; load the page of its study anew")
        return Response(content, media_type=TYPES["js"])

    def planes(self, request: Request) -> Response:
        found = self._planes.volume(request.path_params["volume"])
        return _nothing("volume") if found is None else JSONResponse(found.described())

    def plane(self, request: Request) -> Response:
        """A plane as png, or as the plain bytes of its HU (int16) or labels (uint8), row by row."""
        asked = request.path_params
        found = self._planes.volume(asked["volume"])
        if found is None:
            return _nothing("volume")
        place = (asked["plane"], asked["index"])
        if asked["form"] == "png":
            window = window_of(request.query_params.get("window", "40,400"))
            outlines = request.query_params.get("outlines", "1") == "1"
            return Response(found.png(*place, window, outlines=outlines), media_type="image/png")
        image, labels = found.plane(*place)
        plain = {"hu": image.astype("<i2", copy=False), "labels": labels}
        if asked["form"] not in plain:
            raise InputError(f"plane as {asked['form']}: expected png, hu or labels")
        shape = {"X-Shape": f"{labels.shape[0]},{labels.shape[1]}"}
        return Response(plain[asked["form"]].tobytes(), 200, shape, "application/octet-stream")

    def search_page(self, request: Request) -> Response:
        text = request.query_params.get("q", "").strip()
        first = number_of(request.query_params.get("from", "0"), "from")
        return HTMLResponse(search_page(self._live, self._served, text, first))

    def search(self, request: Request) -> Response:
        live, asked = self._live, request.query_params
        limit = number_of(asked.get("limit", str(PAGE)), "limit", MOST_LISTED)
        offset = number_of(asked.get("offset", "0"), "offset")
        found = live.ask(
            lambda tables: search(
                tables, live.vocabulary, asked.get("q", ""), limit=limit, offset=offset
            )
        )
        return JSONResponse(found.as_dict())

    def export(self, request: Request) -> Response:
        live, suffix = self._live, request.path_params["suffix"]
        text = request.query_params.get("q", "")
        content = live.ask(lambda tables: exported(tables, live.vocabulary, text, suffix))
        named = {"Content-Disposition": f'attachment; filename="studies.{suffix}"'}
        return Response(content, 200, named, EXPORTS[suffix])

    def neighbours_page(self, request: Request) -> Response:
        if self._embeddings is None:
            return _nothing("file of embeddings; serve with --embeddings FILE")
        asked = request.query_params
        study, anatomy = asked.get("study", ""), asked.get("anatomy", "")
        return HTMLResponse(
            neighbours_page(self._live, self._embeddings, self._served, study, anatomy)
        )

    def map_page(self, request: Request) -> Response:
        if self._embeddings is None:
            return _nothing("file of embeddings; serve with --embeddings FILE")
        anatomy = request.query_params.get("anatomy", "")
        return HTMLResponse(map_page(self._live, self._embeddings, self._served, anatomy))

    def nearest_page(self, request: Request) -> Response:
        if self._embeddings is None or self._texts is None:
            return _nothing("model; serve with --run RUN")
        text = request.query_params.get("text", "").strip()
        anatomy = request.query_params.get("anatomy", "")
        return HTMLResponse(
            nearest_page(self._live, self._embeddings, self._texts, self._served, text, anatomy)
        )

    def queue_page(self, request: Request) -> Response:
        if self._context is None:
            return _nothing("queue; serve with --review")
        kind = request.query_params.get("kind", "")
        return HTMLResponse(
            queue_page(self._live, self._context, self._served, kind, self._doubtful)
        )

    async def review(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        # what a browser says of where a post comes from, and what only our own pages can know
        if origin is not None and origin.partition("://")[2] != request.headers["host"]:
            return PlainTextResponse("Posts are taken from pages of this server only.\n", 403)
        if not same(request.headers.get("x-csrf-token", ""), self._access.csrf):
            return PlainTextResponse("The page is of another start: load it anew.\n", 403)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("Expected JSON.\n", 415)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                return PlainTextResponse(f"Expected at most {LARGEST} bytes.\n", 413)
        told = await run_in_threadpool(self._taken, bytes(body))
        return PlainTextResponse(told)

    def _taken(self, body: bytes) -> str:
        if self._context is None:
            raise InputError("review: not taken by this server; serve with --review")
        with self._live.lock:
            return taken(self._context, self._live.vocabulary, body)


def _nothing(what: str) -> Response:
    return PlainTextResponse(f"There is no such {what}.\n", 404)


def _told(request: Request, error: Exception) -> Response:
    """A fault of what was asked, or of the store, in its sentence."""
    return PlainTextResponse(f"{error}\n", 400 if isinstance(error, InputError) else 503)


def _damaged(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"A file {error}; run `fvlm-data verify`.\n", 503)
