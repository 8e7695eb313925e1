"""The OpenAPI 3.1 document of the emulated API, as its switches stand.

It describes what the emulator does, so that a generic client or fuzzer can be pointed at it; its
patterns and lists are those that the emulator checks with.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox.cliq.config import (
    EMAIL_PATTERN,
    KEY_SIZES,
    NAME_PATTERN,
    PATH,
    REQUIRED,
    STATUSES,
)
from bot.sandbox.cliq.profile import (
    ALLOWED_METHODS,
    NO_TOKEN,
    PLACEHOLDER,
    SENTENCES,
    THROTTLED,
    Switches,
)

DOCUMENT_PATH = "/openapi.json"

Json = dict[str, Any]

EXAMPLE = {
    "name": "Scott",
    "email_id": "scott.fisher@acme.example",
    "cname_status": "verified",
    "dkim_key_size": 2048,
}

LEADS_TO = {
    "retrieve": "Shows what this call left.",
    "update": "Changes what this call left.",
    "reset": "Removes what this call left.",
}


def openapi_document(switches: Switches) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Emulated Zoho Cliq: custom email",
            "version": "2",
            "description": "The organisation's custom sender of notification mail, as an emulator "
            "plays it. 20 calls a minute for each user and method, then 600 seconds of "
            f"{THROTTLED.answer(switches).status}.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": {
            PATH: {"get": _get(switches), "put": _put(switches), "delete": _delete(switches)}
        },
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token of a full Admin, from POST /oauth/v2/token.",
                }
            },
            "schemas": {
                "Arguments": _arguments(is_strict=switches.strict_put),
                "Answer": _answer(),
                "Configuration": _configuration(),
                "Error": _error(switches),
            },
        },
    }


def _get(switches: Switches) -> Json:
    return _operation(
        "retrieve",
        "Needs the scope ZohoCliq.Organisation.READ.",
        {"200": _success("update", "reset"), **_errors(switches)},
    )


def _put(switches: Switches) -> Json:
    arguments = {"schema": _ref("Arguments"), "example": EXAMPLE}
    return _operation(
        "update",
        "Needs the scope ZohoCliq.Organisation.UPDATE. With nothing configured, "
        f"{', '.join(REQUIRED)} are all required, and 400 says that one is missing; later, what is "
        "not sent stays as it is. A new domain or another key size makes a new DKIM key.",
        {"200": _success("retrieve", "reset"), **_errors(switches)},
    ) | {"requestBody": {"required": True, "content": {"application/json": arguments}}}


def _delete(switches: Switches) -> Json:
    return _operation(
        "reset",
        "Needs the scope ZohoCliq.Organisation.DELETE. May be repeated.",
        {**_nothing_left(switches), **_errors(switches)},
    )


def _operation(verb: str, description: str, responses: Json) -> Json:
    return {
        "operationId": f"{verb}MailConfiguration",
        "summary": f"{verb.capitalize()} the mail configuration",
        "description": description,
        "responses": responses,
    }


def _arguments(*, is_strict: bool) -> Json:
    """Without `strict_put`, what is required depends on the state, which only prose can say."""
    properties = {
        "name": {
            "type": "string",
            "pattern": NAME_PATTERN,
            "description": "Display name of the sender; not blank.",
        },
        "email_id": {
            "type": "string",
            "pattern": EMAIL_PATTERN,
            "description": "Address of the sender: one @, and a domain with a dot.",
        },
        "cname_status": {
            "type": "string",
            "enum": list(STATUSES),
            "description": "Verification status of the CNAME record, as the caller states it.",
        },
        "dkim_key_size": {
            "type": "integer",
            "enum": list(KEY_SIZES),
            "description": "Size of the DKIM key in bits, written without a fraction.",
        },
    }
    if is_strict:
        return _object(properties, required=list(REQUIRED))
    return {**_object(properties), "minProperties": 1}


def _answer() -> Json:
    nothing: Json = {"type": "object", "maxProperties": 0, "description": "Nothing is configured."}
    data = {"anyOf": [_ref("Configuration"), nothing]}
    return _object({"url": {"const": PATH}, "data": data}, required=["url", "data"])


def _configuration() -> Json:
    status = {"type": "string", "enum": list(STATUSES)}
    properties = {
        "email_id": {"type": "string"},
        "name": {"type": "string"},
        "dkim_value": {"type": "string", "pattern": "^k=rsa; p=[A-Za-z0-9+/]+={0,2}$"},
        "dkim_status": status,
        "dkim_host": {"type": "string", "pattern": "^[0-9]+\\._domainkey\\."},
        "cname_status": status,
    }
    return _object(properties, required=list(properties))


def _object(properties: Json, required: list[str] | None = None) -> Json:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _success(*links: str) -> Json:
    return {
        "description": "The configuration.",
        "content": {"application/json": {"schema": _ref("Answer")}},
        "links": _links(*links),
    }


def _nothing_left(switches: Switches) -> Json:
    links = _links("retrieve", "update")
    answer = {"description": "No custom sender is configured.", "links": links}
    if not switches.delete_placeholder:
        return {"204": answer}
    content = {"application/json": {"schema": {"const": PLACEHOLDER}}}
    return {"200": {**answer, "content": content}}


def _links(*names: str) -> Json:
    """What may follow. There is one configuration and no id, so nothing is handed on."""
    return {
        verb: {"operationId": f"{verb}MailConfiguration", "description": LEADS_TO[verb]}
        for verb in names
    }


def _error(switches: Switches) -> Json:
    texts = {"message": {"type": "string"}}
    if switches.error_codes:
        texts = {"code": {"type": "string"}, **texts}
    return _object(texts, required=list(texts))


def _errors(switches: Switches) -> Json:
    """Those of the vendor's page for every call: the order of checks makes each reachable.

    A status that a switch turns into 400 is left out.
    """
    content = {"application/json": {"schema": _ref("Error")}}
    errors: Json = {
        str(status): {"description": sentence, "content": content}
        for status, sentence in SENTENCES.items()
    }
    allow = {"required": True, "schema": {"const": ", ".join(ALLOWED_METHODS)}}
    errors["405"] = {**errors["405"], "headers": {"Allow": allow}}
    if switches.blank_401:
        blank = {"schema": {"type": "string", "const": NO_TOKEN.answer(switches).body.decode()}}
        errors["401"] = {**errors["401"], "content": {**content, "text/html": blank}}
    if switches.method_400:
        del errors["405"]
    if switches.throttle_400:
        del errors["429"]
    return errors


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
