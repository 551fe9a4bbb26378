"""The OpenAPI document, from the table of endpoints and the types of what goes in and out."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from encoders.contract import MODALITIES
from streams.events import Id
from streams.web.answers import Problem
from streams.web.api import Endpoint

VERSION = "3.1.0"
PROBLEM = "application/problem+json"
ANY_REQUEST = (400, 401, 403)


def document(endpoints: Sequence[Endpoint], *, version: str, secured: bool) -> dict[str, Any]:
    """An OpenAPI 3.1 document.

    version  of the program
    secured  whether a token is asked for
    """
    types = [kind for each in endpoints for kind in (each.answer, each.body) if isinstance(kind, type)]
    _, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": VERSION,
        "info": {"title": "Anabranch", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components, **({"securitySchemes": {"token": bearer}} if secured else {})},
        **({"security": [{"token": []}]} if secured else {}),
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    name = endpoint.answer.__name__ if isinstance(endpoint.answer, type) else None
    content = (
        {"application/json": {"schema": _ref(name)}} if name else {media_type: {} for media_type in endpoint.answer}  # type: ignore[union-attr]
    )
    responses: dict[str, Any] = {str(endpoint.status): {"description": endpoint.summary, "content": content}}
    for status in (*ANY_REQUEST, *endpoint.problems):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM: {"schema": _ref("Problem")}},
        }
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{re.sub(r'[^a-z]+', '_', endpoint.path)}".rstrip("_"),
        "summary": endpoint.summary,
        "description": f"For tokens of the role `{endpoint.role}`.",
        "parameters": [*map(_in_path, re.findall(r"{(\w+)}", endpoint.path)), *_in_query(endpoint)],
        "responses": responses,
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(endpoint.body.__name__)}},
        }
    return operation


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _in_path(name: str) -> dict[str, Any]:
    files = [each.name for each in MODALITIES.values() if each.uploaded_as_file]
    schema = {"type": "string", "enum": files} if name == "modality" else msgspec.json.schema(Id)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    _, components = msgspec.json.schema_components([endpoint.query])
    properties: dict[str, Any] = components[endpoint.query.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
