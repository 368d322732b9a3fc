"""Python's `logging` with the request's id on every line, for any WSGI application behind nginx with the module.

    application = with_request_id(application)          around Flask's, Django's, web.py's WSGI callable

nginx sends the id as X-Request-ID. uWSGI and gunicorn run it as it is; `forktail trace ID --logs FILE` finds the lines.
"""

import contextvars
import logging

request_id = contextvars.ContextVar("request_id", default="-")


class RequestId(logging.Filter):
    def filter(self, record):
        record.request_id = request_id.get()
        return True


def with_request_id(application):
    def call(environ, start_response):
        request_id.set(environ.get("REQUEST_ID") or environ.get("HTTP_X_REQUEST_ID", "-"))
        return application(environ, start_response)
    return call


def configure(stream=None):
    handler = logging.StreamHandler(stream)
    handler.addFilter(RequestId())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(request_id)s] %(process)d %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
