"""The description of the interface. Tests hold the server to it."""

from __future__ import annotations

from typing import Any

from ringfence_serve.decode import Reader

_ERRORS = {
    "400": "The body is no request.",
    "401": "The key is missing, unknown or revoked.",
    "403": "The client's quota is used up.",
    "408": "The body did not come in time.",
    "409": "A request with this id is in progress.",
    "413": "The body is too large.",
    "422": "The id belongs to another request.",
    "429": "The client asks too fast: see Retry-After.",
    "503": "The queue is full, or the store failed: see Retry-After.",
}


def document(reader: Reader, classes: int, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server."""
    many = {"minItems": 1, "maxItems": reader.most}
    texts = {"type": "array", "items": {"type": "string", "contentEncoding": "base64"}, **many}
    numbers: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
    for size in reversed(reader.shape):
        numbers = {"type": "array", "items": numbers, "minItems": size, "maxItems": size}
    parts = {
        "files": {**texts, "description": "PNG or JPEG"},
        "pixels": {**texts, "description": "float32, little-endian, channels first, in [0, 1]"},
        "arrays": {"type": "array", "items": numbers, **many},
    }
    one_of = [
        {"type": "object", "properties": {n: s}, "required": [n], "additionalProperties": False}
        for n, s in parts.items()
    ]
    image = {"schema": {"type": "string", "format": "binary"}}
    request = {
        "application/json": {"schema": {"oneOf": one_of}},
        "image/png": image,
        "image/jpeg": image,
    }
    answer = {
        "type": "object",
        "required": ["label", "probabilities"],
        "properties": {
            "label": {"type": ["integer", "null"], "minimum": 0, "maximum": classes - 1},
            "probabilities": {
                "type": "array",
                "items": {"type": "number", "minimum": 0, "maximum": 1},
                "minItems": classes,
                "maxItems": classes,
            },
        },
    }
    answers = {
        "type": "object",
        "required": ["answers"],
        "properties": {"answers": {"type": "array", "items": answer}},
    }
    failure = {
        "type": "object",
        "required": ["error", "message"],
        "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
    }
    failures = {
        status: {"description": text, "content": {"application/json": {"schema": failure}}}
        for status, text in _ERRORS.items()
    }
    ok = {
        "description": "One answer per image.",
        "content": {"application/json": {"schema": answers}},
    }
    health = {"200": {"description": "It is."}, "503": {"description": "It is not."}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ringfence", "version": version},
        "paths": {
            "/v1/predict": {
                "post": {
                    "operationId": "predict",
                    "security": [{"key": []}],
                    "parameters": [
                        {
                            "name": "Idempotency-Key",
                            "in": "header",
                            "required": False,
                            "description": "The same key gets the same reply, and is counted once.",
                            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                        }
                    ],
                    "requestBody": {"required": True, "content": request},
                    "responses": {"200": ok, **failures},
                }
            },
            "/healthz": {"get": {"operationId": "alive", "responses": {"200": health["200"]}}},
            "/readyz": {"get": {"operationId": "ready", "responses": health}},
        },
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
