"""The application: from a request to the one page that answers it, or to a sentence that says why none does."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from safelist.errors import SafelistError
from safelist.web.identity import Person, UnknownVisitorError, known, person_of
from safelist.web.pages import PAGES
from safelist.web.rendering import refusal
from safelist.web.visit import BadRequestError, PageService, Visit, WebPage

THREADS = 8
"""Questions that the database is asked at once."""
MOST_QUERY = 2048
MOST_HEADERS = 16_384
HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
logger = logging.getLogger("safelist.web")
_NO_PAGE = "There is no such page; the menu has those that there are."
_METHODS = "These pages are only read: GET and HEAD. What changes something is a command of safelist."


def application(service: PageService, hosts: frozenset[str] | None = None) -> ASGIApp:
    """Every page. ``hosts`` are the names under which a demonstration may be asked; None: the web server knows."""
    routes = [Route(page.path, partial(_answer, service, page), methods=["GET"]) for page in PAGES]
    routes.append(Route("/style.css", _style, methods=["GET"]))
    app = Starlette(
        routes=routes,
        lifespan=_lifespan,
        exception_handlers={
            HTTPException: partial(_refused, service), UnknownVisitorError: partial(_unknown, service),
            BadRequestError: partial(_unknown, service), SafelistError: partial(_failed, service),
            Exception: partial(_faulty, service),
        },
    )  # fmt: skip
    app.router.redirect_slashes = False  # it would lead to whatever host the request names
    return _Guard(app, service, hosts)


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


class _Guard:
    """What holds for every request, whatever page it is for, and for every answer."""

    def __init__(self, app: ASGIApp, service: PageService, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._service = service
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_missing(message["headers"])]
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await (self._refused(scope) or self._app)(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        if scope["method"] not in ("GET", "HEAD"):
            return refusal(self._service, 405, _METHODS, {"Allow": "GET, HEAD"})
        if len(scope["query_string"]) > MOST_QUERY:
            return refusal(self._service, 414, f"The address is too long: at most {MOST_QUERY} octets behind the ?.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
            return refusal(self._service, 431, f"The headers are too long: at most {MOST_HEADERS} octets together.")
        if self._hosts is not None and _host(scope) not in self._hosts:
            return refusal(self._service, 403, "A demonstration is asked at 127.0.0.1 alone, by no other name.")
        return None


def _missing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in headers}
    return [(name, value) for name, value in HEADERS if name not in there]


def _host(scope: Scope) -> str:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""


async def _answer(service: PageService, page: WebPage, request: Request) -> Response:
    """The page for whoever the headers name, made in a thread: the store waits for its database."""
    person = _person(service, request)
    if person.role < page.role:
        raise UnknownVisitorError(
            403, f"This page is for the role {page.role.title}, and yours is {person.role.title} ([web] names who is)."
        )
    visit = Visit(service, person, page.path, _given(request), service.clock())
    return await to_thread.run_sync(page.answer, visit)


def _person(service: PageService, request: Request) -> Person:
    if service.demo is not None:
        return known(service.demo, (), service.rules)
    return person_of(request.headers.raw, service.rules)


def _given(request: Request) -> Mapping[str, str]:
    """The parameters, each once. Raises BadRequestError."""
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs):
        raise BadRequestError("The address names a parameter twice.")
    return given


async def _style(_: Request) -> Response:
    text = files("safelist.web").joinpath("style.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css; charset=utf-8", headers={"Cache-Control": "private, max-age=300"})


async def _refused(service: PageService, _: Request, error: Exception) -> Response:
    """What the routes say: a path that is none, mostly."""
    assert isinstance(error, HTTPException)  # noqa: S101 (it is what this one is registered for)
    return refusal(service, error.status_code, _NO_PAGE if error.status_code == 404 else error.detail)


async def _unknown(service: PageService, _: Request, error: Exception) -> Response:
    assert isinstance(error, UnknownVisitorError | BadRequestError)  # noqa: S101
    return refusal(service, error.status, error.sentence)


async def _failed(service: PageService, request: Request, error: Exception) -> Response:
    logger.error("%s: %s", request.url.path, error)
    return refusal(service, 503, "The database cannot be asked now. The log of safelist web says why; try again later.")


async def _faulty(service: PageService, _: Request, error: Exception) -> Response:
    """The server logs the error itself."""
    return refusal(service, 500, f"A fault in safelist ({type(error).__name__}). Its log says more; please report it.")
