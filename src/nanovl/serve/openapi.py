"""The OpenAPI description of bodies that are read by hand.

Bodies are checked by our own reader, which knows depth and size limits, so the framework does not
see their models; this module puts them into the description.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

__all__ = ["describe", "described", "multipart"]

_REFERENCE = "#/components/schemas/{model}"
_ERRORS = {
    "400": "something about the request cannot be used",
    "401": "missing or wrong API key",
    "403": "not allowed",
    "404": "no such model, id or file",
    "408": "the body came too slowly",
    "413": "too large",
    "415": "not JSON",
    "422": "media that cannot be used",
    "429": "too many requests",
    "502": "media that could not be fetched",
    "503": "busy, or about to stop",
    "504": "not finished in time",
}


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What a route says about its JSON body and its errors."""
    reference = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}},
        "responses": _error_responses(),
        "x-model": model.__name__,
    }


def multipart(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """What a route says about a form with files."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "responses": _error_responses(),
    }


def describe(app: FastAPI, models: list[type[BaseModel]]) -> None:
    """Make `app.openapi()` hold the models that `described` refers to."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = make()
            parts = schema.setdefault("components", {}).setdefault("schemas", {})
            for model in models:
                one = model.model_json_schema(ref_template=_REFERENCE)
                parts.update(one.pop("$defs", {}))
                parts[model.__name__] = one
            parts["Error"] = _error_schema()
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _error_responses() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": text, "content": content} for status, text in _ERRORS.items()}


def _error_schema() -> dict[str, Any]:
    text = {"type": "string"}
    maybe = {"type": ["string", "null"]}
    inner = {
        "type": "object",
        "properties": {"message": text, "type": text, "param": maybe, "code": maybe},
        "required": ["message", "type", "param", "code"],
    }
    return {"type": "object", "properties": {"error": inner}, "required": ["error"]}
