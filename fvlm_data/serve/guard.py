"""What stands before every answer: host, method, token; and the headers of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse

from fvlm_data.serve.access import host_name, same

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fvlm_data.serve.access import Access

READING = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # images of patients have no place in a browser's cache on disk
    "Cache-Control": "no-store",
}

ENTERED = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Opening the store</title>'
    '<link rel="icon" href="data:,">'
    '<meta http-equiv="refresh" content="0; url=/"><p><a href="/">Open the store</a></p></html>'
)
"""Sent with the cookie. A redirect would count as begun by whatever page held the link, and a
strict cookie goes only with what this site begins."""


def guarded(app: ASGIApp, access: Access, *, posts: frozenset[str] = frozenset()) -> ASGIApp:
    """The application behind the checks; only to the paths `posts` something may be posted."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = _refused(scope, access, posts)
        await (refused or app)(scope, receive, with_headers)

    return answer


def _refused(scope: Scope, access: Access, posts: frozenset[str]) -> Any:
    """What is answered in place of the application; None: it may answer."""
    headers = Headers(scope=scope)
    if host_name(headers.get("host", "")) not in access.hosts:
        # a name of somebody else that leads here (DNS rebinding), or a proxy that is not known
        return PlainTextResponse("This server is not reached by that name.\n", 421)
    allowed = (*READING, "POST") if scope["path"] in posts else READING
    if scope["method"] not in allowed:
        told = {"Allow": ", ".join(allowed)}
        return PlainTextResponse("This server is for reading.\n", 405, told)
    if _knows(headers, access):
        return None
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
    if given and same(given, access.token):
        response = HTMLResponse(ENTERED)
        response.set_cookie(
            access.cookie, access.session, httponly=True, samesite="strict", path="/"
        )
        return response
    return PlainTextResponse(
        "Open the address that `fvlm-data serve` printed: it holds the token.\n", 401
    )


def _knows(headers: Headers, access: Access) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and same(token.strip(), access.token):
        return True
    return same(cookie_parser(headers.get("cookie", "")).get(access.cookie, ""), access.session)
