"""What stands between a client and an S3 server in tests: keeps what was asked, and misbehaves."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Asked:
    """One request: method, bucket and key, query, range, and bytes of the answer."""

    method: str
    path: str
    query: dict[str, str]
    ranged: str
    sent: int = 0


Trouble = Callable[[Asked], str]
"""What is done to a request: "" as it should be, a status, "cut" halfway, or "silence"."""


@dataclass
class Proxy:
    """The address to ask, the requests so far, and what goes wrong."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    trouble: Trouble = lambda one: ""
    ended: threading.Event = field(default_factory=threading.Event)

    def since(self) -> list[Asked]:
        found, self.asked = self.asked, []
        return found


def _handler(proxy: Proxy, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            """Nothing is told."""

        def answer(self) -> None:
            place = urlsplit(self.path)
            query = {name: one[0] for name, one in parse_qs(place.query).items()}
            ranged = self.headers.get("Range", "")
            one = Asked(self.command, unquote(place.path)[1:], query, ranged)
            proxy.asked.append(one)
            wrong = proxy.trouble(one)
            if wrong == "silence":
                proxy.ended.wait()
                self.close_connection = True
                return
            if wrong.isdigit():
                self.send_response(int(wrong))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kept = {
                k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")
            }
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            request = urllib.request.Request(
                f"{upstream}{self.path}", body, kept, method=self.command
            )
            try:
                with urllib.request.urlopen(request) as told:
                    status, headers, content = told.status, told.headers, told.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, headers, content = error.code, error.headers, error.read()
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                    self.send_header(name, value)
            if "content-length" not in {name.lower() for name in headers}:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            part = content[: len(content) // 2] if wrong == "cut" else content
            one.sent = len(part)
            self.wfile.write(part)
            self.close_connection = wrong == "cut"

        do_GET = do_HEAD = do_PUT = answer  # noqa: N815 - names that the library looks for

    return Handler


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy on loopback before the server at `upstream`."""
    proxy = Proxy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy, upstream))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
