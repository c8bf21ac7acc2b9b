"""Reads a generateContent request as a `View`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from scripts.fake.rejection import Rejection
from scripts.fake.shape import listed
from scripts.fake.view import Entry, Image, JsonObject, Offer, View

# Below these keys the names are the caller's own, not the protocol's.
_FOREIGN: Final = frozenset(
    listed(
        "args response parametersJsonSchema responseJsonSchema parameters_json_schema response_json_schema "
        "labels properties partMetadata part_metadata"
    )
)


def camel(body: Any, notes: list[str], path: str = "") -> Any:
    """The body with protocol names in lowerCamelCase; proto3 JSON takes both, `notes` lists the others."""
    if isinstance(body, list):
        return [camel(item, notes, f"{path}[{index}]") for index, item in enumerate(body)]
    if not isinstance(body, dict):
        return body
    renamed: JsonObject = {}
    for key, value in body.items():
        name = re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), key)
        if name != key:
            notes.append(f"snake_case name at {path}.{key}".replace(" .", " "))
        foreign = key in _FOREIGN
        renamed[name] = value if foreign else camel(value, notes, f"{path}.{key}")
    return renamed


def read(body: JsonObject, model: str, *, digest: str, size: int, stream: bool) -> View:
    """Read the parts of a request that scenarios look at."""
    config = body.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or {}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    return View(
        protocol="gemini",
        model=model,
        stream=stream,
        digest=digest,
        size=size,
        entries=tuple(_entries(body)),
        offers=tuple(_offer(tool) for tool in declarations(body)),
        choice=_choice(calling),
        output_schema=config.get("responseJsonSchema") or config.get("responseSchema"),
        wants_json=config.get("responseMimeType") == "application/json",
        thinks=thinking.get("thinkingBudget") != 0,
        shows_thoughts=bool(thinking.get("includeThoughts")),
        max_tokens=config.get("maxOutputTokens"),
        stops=tuple(config.get("stopSequences") or ()),
        resumed=_resumed(body.get("continuationToken")),
        body=body,
    )


def _resumed(token: str | None) -> int:
    """How many calls a token stands for; one that was never given out is refused."""
    if token is None:
        return 0
    given = re.fullmatch(r"token-(\d+)", token)
    if given is None:
        raise Rejection(400, "The continuation token is not valid.", param="continuation_token")
    return int(given[1])


def declarations(body: JsonObject) -> list[JsonObject]:
    """Every function declaration of the request."""
    return [
        declaration
        for tool in body.get("tools") or ()
        for declaration in tool.get("functionDeclarations") or ()
    ]


def _offer(declaration: JsonObject) -> Offer:
    schema = declaration.get("parametersJsonSchema") or declaration.get("parameters") or {}
    return Offer(declaration["name"], schema)


def _entries(body: JsonObject) -> Iterator[Entry]:
    if body.get("systemInstruction"):
        yield Entry("system", _text(body["systemInstruction"].get("parts", [])))
    for content in body.get("contents", ()):
        parts = content.get("parts", [])
        if content.get("role") == "model":
            calls = sum("functionCall" in part for part in parts)
            signed = sum("thoughtSignature" in part for part in parts)
            yield Entry("assistant", _text(parts), calls, reasoning=signed)
            continue
        for part in parts:
            if "functionResponse" in part:
                response = part["functionResponse"]
                inner = response.get("parts", [])
                yield Entry("result", _said(response["response"]), images=_images(inner))
        rest = [part for part in parts if "functionResponse" not in part]
        if rest:
            yield Entry("user", _text(rest), images=_images(rest))


def _said(response: JsonObject) -> str:
    value = response.get("output", response.get("error", response))
    return value if isinstance(value, str) else str(value)


def _text(parts: list[JsonObject]) -> str:
    return "\n".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))


def _images(parts: list[JsonObject]) -> tuple[Image, ...]:
    found: list[Image] = []
    for part in parts:
        if "inlineData" in part:
            data = part["inlineData"]
            found.append(Image(data["mimeType"], len(data["data"])))
        elif "fileData" in part:
            data = part["fileData"]
            found.append(Image(data.get("mimeType", "url"), len(data["fileUri"])))
    return tuple(image for image in found if image.media_type.startswith(("image/", "url")))


def _choice(calling: JsonObject) -> str:
    mode = str(calling.get("mode", "AUTO")).upper()
    names = list(calling.get("allowedFunctionNames") or ())
    if mode == "ANY":
        return str(names[0]) if len(names) == 1 else "required"
    return "none" if mode == "NONE" else "auto"
