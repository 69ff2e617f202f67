"""Serve Optuna's dashboard on the study of a search, which may run, without changing it.

The dashboard can delete and edit a study. Its search would not notice, and a resume would.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

READING = ("GET", "HEAD")
REFUSAL = {"reason": "tunery shows the study of a search, and changes nothing in it"}
"""What the dashboard shows where it was asked to change something."""


class ThreadedServer(ThreadingMixIn, WSGIServer):
    """Answers several requests at a time."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Prints no line per request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def make_dashboard(journal: Path, host: str, port: int) -> WSGIServer:
    """Return a server that listens already; `serve_forever` begins to answer."""
    import optuna_dashboard

    app = refuse_changes(optuna_dashboard.wsgi(str(journal)))
    return make_server(host, port, app, ThreadedServer, QuietHandler)


def refuse_changes(app: WSGIApplication) -> WSGIApplication:
    """Return an application that answers as `app`, and passes it nothing but requests to read."""

    def answer(environment: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] in READING:
            return app(environment, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [json.dumps(REFUSAL).encode()]

    return answer
