"""A server on loopback that speaks the chat completions protocol, with a script of answers."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, dict[str, str], str | None]
"""Status, headers, body; without a body the connection is closed in the midst of it."""


class Server:
    """Answers each request by `script(number of the request, body)`; keeps what it was sent."""

    def __init__(self, script: Callable[[int, dict[str, Any]], Answer]) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""


def completion(entries: Any, **more: Any) -> Answer:
    content = entries if isinstance(entries, str) else json.dumps({"entries": entries})
    choice = {"message": {"content": content}, "finish_reason": "stop", **more}
    return 200, {}, json.dumps({"choices": [choice]})


@contextmanager
def serving(script: Callable[[int, dict[str, Any]], Answer]) -> Iterator[Server]:
    state = Server(script)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state.requests.append({"path": self.path, **body})
                state.headers.append(dict(self.headers))
                number = len(state.requests) - 1
            status, headers, text = state.script(number, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if text is None:
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.close_connection = True
                return
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
