"""Reads a Messages request as a `View`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.fake.view import Entry, Image, JsonObject, Offer, View


def read(body: JsonObject, model: str, *, digest: str, size: int, stream: bool) -> View:
    """Read the parts of a request that scenarios look at."""
    form = (body.get("output_config") or {}).get("format") or {}
    choice = body.get("tool_choice") or {}
    thinking = body.get("thinking") or {"type": "adaptive"}
    return View(
        protocol="anthropic",
        model=model,
        stream=stream,
        digest=digest,
        size=size,
        entries=tuple(_entries(body)),
        offers=tuple(
            Offer(tool["name"], tool["input_schema"])
            for tool in body.get("tools") or ()
            if "input_schema" in tool
        ),
        choice=_choice(choice),
        parallel=not choice.get("disable_parallel_tool_use"),
        output_schema=form.get("schema"),
        wants_json=bool(form),
        thinks=thinking["type"] != "disabled",
        shows_thoughts=thinking.get("display") != "omitted",
        max_tokens=body.get("max_tokens"),
        stops=tuple(body.get("stop_sequences") or ()),
        resumed=_resumed(body),
        body=body,
    )


def _resumed(body: JsonObject) -> int:
    """How often the answer at the end of the conversation has paused: once per text that it holds."""
    last = body["messages"][-1]
    if last["role"] != "assistant":
        return 0
    return sum(block["type"] == "text" for block in blocks(last["content"]))


def blocks(content: Any) -> list[JsonObject]:
    """Content as blocks; a string is one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _entries(body: JsonObject) -> Iterator[Entry]:
    if body.get("system"):
        yield Entry("system", _text(blocks(body["system"])))
    for message in body["messages"]:
        content = blocks(message["content"])
        if message["role"] == "assistant":
            kinds = [block["type"] for block in content]
            thought = kinds.count("thinking") + kinds.count("redacted_thinking")
            yield Entry("assistant", _text(content), kinds.count("tool_use"), reasoning=thought)
        elif message["role"] == "system":
            yield Entry("system", _text(content))
        else:
            yield from _user(content)


def _user(content: list[JsonObject]) -> Iterator[Entry]:
    for block in content:
        if block["type"] == "tool_result":
            inner = blocks(block.get("content") or [])
            yield Entry("result", _text(inner), images=_images(inner))
    rest = [block for block in content if block["type"] != "tool_result"]
    if rest:
        yield Entry("user", _text(rest), images=_images(rest))


def _text(content: list[JsonObject]) -> str:
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def _images(content: list[JsonObject]) -> tuple[Image, ...]:
    return tuple(_image(block["source"]) for block in content if block["type"] == "image")


def _image(source: JsonObject) -> Image:
    if source["type"] == "base64":
        return Image(source["media_type"], len(source["data"]))
    return Image(source["type"], len(str(source)))


def _choice(choice: JsonObject) -> str:
    match choice.get("type"):
        case "any":
            return "required"
        case "tool":
            return str(choice["name"])
        case "none":
            return "none"
        case _:
            return "auto"
