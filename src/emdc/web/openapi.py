"""The description of all routes as OpenAPI 3.1, made by the framework from the rows of ROUTES.

The described application is built once and never serves: so the served one has the addresses of
ROUTES only, and not the framework's own documentation pages, which load from other sites.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from litestar import HttpMethod, Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Schema
from litestar.openapi.spec import Parameter as DescribedParameter
from litestar.openapi.spec.enums import OpenAPIType

from emdc import __version__
from emdc.web.exchange import Parameter
from emdc.web.problems import Problem
from emdc.web.service import Route

_ABOUT: Final = (
    "Latest values, history and energy, collection on request, and health of an energy meter data "
    "collector. When a token is set, every address but /ping needs it: `Authorization: Bearer "
    "TOKEN`, or as the password of Basic."
)
_TYPES: Final = {
    "text": OpenAPIType.STRING,
    "whole": OpenAPIType.INTEGER,
    "seconds": OpenAPIType.NUMBER,
    "flag": OpenAPIType.INTEGER,
    "choice": OpenAPIType.STRING,
}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI description of `routes`, ready for JSON."""
    rows = list(routes)
    app = Litestar(
        route_handlers=[_described(route) for route in rows],
        openapi_config=OpenAPIConfig(
            title="EMDC", version=__version__, description=_ABOUT, path="/unserved"
        ),
        logging_config=None,
    )
    paths = app.openapi_schema.paths or {}
    for route in rows:
        _complete(getattr(paths[route.path], route.method.lower()), route)
    return app.openapi_schema.to_schema()


def _described(route: Route) -> HTTPRouteHandler:
    async def endpoint() -> None: ...

    summary, _, more = (route.answer.__doc__ or route.path).partition("\n")
    return HTTPRouteHandler(
        route.path,
        http_method=HttpMethod(route.method),
        status_code=200,
        name=f"{route.method} {route.path}",
        operation_id=f"{route.method.lower()}_{route.path.strip('/').replace('.', '_') or 'page'}",
        summary=summary.rstrip("."),
        description=" ".join(more.split()) or None,
        response_description="OK",
        responses=_responses(route),
    )(endpoint)


def _responses(route: Route) -> dict[int, ResponseSpec]:
    found = {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type="application/problem+json",
        )
        for status in (400, 401, *route.errors)
    }
    if route.gives is not None:
        for status in {200, route.also}:
            said = HTTPStatus(status).phrase
            found[status] = ResponseSpec(route.gives, generate_examples=False, description=said)
    return found


def _complete(operation: Operation, route: Route) -> None:
    """Add what the framework cannot know: the parameters, and the second form of an answer."""
    operation.parameters = [_parameter(parameter) for parameter in route.parameters] or None
    answer = (operation.responses or {}).get("200")
    if answer is not None and (route.text or route.csv):
        text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
        first, last = (
            {"text/plain": text} if route.text else {},
            {"text/csv": text} if route.csv else {},
        )
        answer.content = {**first, **(answer.content or {}), **last}  # type: ignore[union-attr]


def _parameter(parameter: Parameter) -> DescribedParameter:
    bounded = parameter.kind in {"whole", "seconds"}
    return DescribedParameter(
        name=parameter.name,
        param_in="query",
        description=parameter.description,
        required=parameter.required,
        schema=Schema(
            type=_TYPES[parameter.kind],
            default=parameter.default,
            minimum=parameter.minimum if bounded else None,
            maximum=parameter.maximum if bounded else None,
            enum=[0, 1] if parameter.kind == "flag" else list(parameter.choices) or None,
        ),
    )
