"""The HTTP application: ROUTES, and how a row of it becomes a route.

The daemon builds it with a Service and starts the server. To add an address: one function in this
folder, one row here, one heading in docs/http-api.md.
"""

from functools import cache
from typing import Any, Final

from litestar import HttpMethod, Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler

from emdc.web import (
    api,
    breaks,
    csvanswer,
    energy,
    health,
    history,
    metrics,
    overview,
    pages,
    problems,
    spans,
    topics,
)
from emdc.web.auth import BARE, Gate
from emdc.web.exchange import Ask, Parameter, json_response, read_query, wants_csv, wants_json
from emdc.web.openapi import describe
from emdc.web.service import Route, Service

MAX_BODY: Final = 65536
"""Bytes of a request body that are read and ignored; more is 413."""


async def openapi(service: Service, ask: Ask) -> Response[bytes]:
    """This description of all addresses, as OpenAPI 3.1."""
    return json_response(_described())


@cache
def _described() -> dict[str, Any]:
    return describe(ROUTES)


_NAME: Final = Parameter(
    "name",
    "a metric name such as Voltage_AN when one meter has it, else a full topic such as "
    "UW/Mercer/nexus_meter/Voltage_AN",
    required=True,
)
_MAX_AGE: Final = Parameter(
    "max_age",
    "seconds; an older value is not given. Default: three intervals of the metric; 60 without a "
    "schedule",
    "seconds",
)
_FRESH: Final = Parameter("fresh", "1: read the meter now, whatever is known", "flag", 0)
_ITERATIONS: Final = Parameter("iterations", "how many cycles", "whole", 1, 1, 3600)
_WAIT_TIME: Final = Parameter("wait_time", "seconds between two cycles", "whole", 1, 0, 3600)
_METER: Final = Parameter("meter", "name of one meter, such as UW/Mercer/nexus_meter")
_THE_METER: Final = Parameter("meter", _METER.description, required=True)
_LIMIT: Final = Parameter("limit", "most topics in one answer", "whole", 1000, 1, 1000)
_OFFSET: Final = Parameter("offset", "how many topics to leave out before the first", "whole", 0)
_TOPIC: Final = Parameter(
    "topic",
    "a full topic such as UW/Mercer/nexus_meter/Voltage_AN, or a metric name that one meter only "
    "has",
    required=True,
    by_route=True,
)
_ONE_TOPIC: Final = Parameter("topic", _TOPIC.description)
_SPAN: Final = (spans.START, spans.END)

ROUTES: Final = (
    Route("GET", "/ping", api.ping),
    Route(
        "GET",
        "/metric",
        api.metric,
        (_NAME, _MAX_AGE, _FRESH),
        gives=api.MetricAnswer,
        text=True,
        errors=(502, 503),
    ),
    Route(
        "POST",
        "/collect",
        api.collect,
        (_ITERATIONS, _WAIT_TIME),
        gives=list[api.CycleSummary],
        text=True,
        errors=(403, 409, 413, 503),
    ),
    Route("GET", "/health", health.health, gives=health.Health, also=503),
    Route("GET", "/metrics", metrics.metrics, text=True),
    Route(
        "GET",
        "/topics",
        topics.topics,
        (_METER, topics.SEARCH, _LIMIT, _OFFSET),
        gives=topics.Topics,
        errors=(404, 503),
    ),
    Route(
        "GET",
        "/history",
        history.history,
        (_TOPIC, *_SPAN, history.STEP, history.POINTS, history.LIMIT, csvanswer.FORMAT),
        gives=history.HistoryAnswer,
        csv=True,
        errors=(404, 503),
    ),
    Route(
        "GET",
        "/energy",
        energy.energy,
        (_TOPIC, energy.START, spans.END, energy.PER, csvanswer.FORMAT),
        gives=energy.Energy,
        csv=True,
        errors=(404, 503),
    ),
    Route(
        "GET",
        "/energy/today",
        energy.today,
        (_THE_METER,),
        gives=energy.Today,
        errors=(404, 503),
    ),
    Route(
        "GET",
        "/gaps",
        breaks.gaps,
        (_METER, _ONE_TOPIC, *_SPAN, breaks.LIMIT),
        gives=breaks.Gaps,
        errors=(404, 503),
    ),
    Route(
        "GET",
        "/epochs",
        breaks.epochs,
        (_ONE_TOPIC, breaks.LIMIT),
        gives=breaks.Epochs,
        errors=(404, 503),
    ),
    Route("GET", "/state", overview.state, (_METER,), gives=overview.Overview, errors=(404,)),
    Route(
        "GET",
        "/sparklines",
        overview.sparklines,
        (_THE_METER,),
        gives=overview.Sparklines,
        errors=(404, 503),
    ),
    Route("GET", "/openapi.json", openapi, gives=dict[str, Any]),
    Route("GET", "/docs", pages.docs_page),
    Route("GET", "/", pages.first_page),
)


def build(service: Service) -> Litestar:
    """The application, ready for any ASGI server. It starts and stops nothing."""
    rows = [*ROUTES, *(Route("GET", path, pages.file(*rest)) for path, *rest in pages.ASSETS)]
    app = Litestar(
        route_handlers=[_handler(route, service) for route in rows],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY,
        exception_handlers={Exception: problems.answer},
    )
    # Around the router, so that an unknown address and a wrong method are behind it as well.
    app.asgi_handler = Gate(app.asgi_handler, service.token)
    return app


def _handler(route: Route, service: Service) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> Response[bytes]:
        if route.method == "POST":
            await request.body()  # nothing is asked in a body, but it must be bounded and drained
        given = read_query(request.scope["query_string"], route.parameters)
        accept = ",".join(request.headers.getall("accept", []))
        bare = BARE in request.scope["state"]
        ask = Ask(given, wants_json(accept), wants_csv=wants_csv(accept), bare=bare)
        return await route.answer(service, ask)

    method, name = HttpMethod(route.method), f"{route.method} {route.path}"
    return HTTPRouteHandler(route.path, http_method=method, status_code=200, name=name)(endpoint)
