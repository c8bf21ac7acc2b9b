"""Reads a Chat Completions request as a `View`; tolerant, since `validate_chat` has already looked."""

from __future__ import annotations

from typing import Any

from scripts.fake.view import Entry, Image, JsonObject, Offer, View

REASONING_TEXT_MODELS = ("deepseek", "glm", "kimi", "qwen", "minimax", "oss")


def sends_reasoning_text(model: str) -> bool:
    """True for the vendors whose Chat dialect carries `reasoning_content`."""
    return any(name in model.lower() for name in REASONING_TEXT_MODELS)


def read(body: JsonObject, model: str, *, digest: str, size: int, stream: bool) -> View:
    """Read the parts of a request that scenarios look at."""
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema")
    stop = body.get("stop") or ()
    options = body.get("stream_options") or {}
    return View(
        protocol="openai_chat",
        model=model,
        stream=stream,
        digest=digest,
        size=size,
        entries=tuple(_entry(message) for message in body.get("messages", ())),
        offers=tuple(_offer(tool) for tool in body.get("tools") or ()),
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        output_schema=schema,
        wants_json=form.get("type") in ("json_object", "json_schema"),
        thinks=body.get("reasoning_effort") != "none",
        shows_thoughts=sends_reasoning_text(model),
        include_usage=bool(options.get("include_usage")),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        body=body,
    )


def _entry(message: JsonObject) -> Entry:
    role = message["role"]
    text, images = _content(message.get("content"))
    if role == "tool":
        return Entry("result", text, images=images)
    if role == "assistant":
        calls = len(message.get("tool_calls") or ())
        return Entry("assistant", text, calls, reasoning=int("reasoning_content" in message))
    return Entry("user" if role == "user" else "system", text, images=images)


def _content(content: Any) -> tuple[str, tuple[Image, ...]]:
    if isinstance(content, str):
        return content, ()
    parts = content or ()
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return text, tuple(image_of_url(url) for url in urls)


def image_of_url(url: str) -> Image:
    """The media type that a data URL names, or `url` for a reference."""
    if not url.startswith("data:"):
        return Image("url", len(url))
    head, _, data = url.partition(",")
    return Image(head[5:].split(";")[0], len(data))


def _offer(tool: JsonObject) -> Offer:
    if tool["type"] == "custom":
        return Offer(tool["custom"]["name"], freeform=True)
    function = tool["function"]
    return Offer(function["name"], function.get("parameters") or {})


def _choice(choice: Any) -> str:
    match choice:
        case None:
            return "auto"
        case str():
            return choice
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode}}:
            return str(mode)
        case {"type": kind}:
            return str(choice[kind]["name"])
        case _:
            return "auto"
