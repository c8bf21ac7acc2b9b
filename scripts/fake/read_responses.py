"""Reads a Responses request as a `View`; consecutive items of the model become one assistant entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scripts.fake.read_chat import image_of_url
from scripts.fake.view import Entry, Image, JsonObject, Offer, Role, View

CALLS: Final = ("function_call", "custom_tool_call")
_ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant"}
RESULTS: Final = ("function_call_output", "custom_tool_call_output")


def read(body: JsonObject, model: str, *, digest: str, size: int, stream: bool) -> View:
    """Read the parts of a request that scenarios look at."""
    form = (body.get("text") or {}).get("format") or {}
    reasoning = body.get("reasoning") or {}
    return View(
        protocol="openai_responses",
        model=model,
        stream=stream,
        digest=digest,
        size=size,
        entries=tuple(_merged(_entries(body))),
        offers=tuple(_offers(body)),
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        output_schema=form.get("schema"),
        wants_json=form.get("type") in ("json_object", "json_schema"),
        thinks=reasoning.get("effort") != "none",
        shows_thoughts=reasoning.get("summary") is not None,
        max_tokens=body.get("max_output_tokens"),
        body=body,
    )


def items(body: JsonObject) -> list[JsonObject]:
    """The input as a list of items; a string is one user message."""
    given = body.get("input") or []
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def tools(body: JsonObject) -> list[JsonObject]:
    """Every tool that is in force, those that `additional_tools` items added included."""
    found = list(body.get("tools") or ())
    for item in items(body):
        if item.get("type") == "additional_tools":
            found.extend(item["tools"])
    return found


def _entries(body: JsonObject) -> Iterator[Entry]:
    if body.get("instructions"):
        yield Entry("system", body["instructions"])
    for item in items(body):
        kind = item.get("type", "message")
        if kind == "message":
            text, images = _content(item["content"])
            yield Entry(_ROLES.get(item["role"], "system"), text, images=images)
        elif kind in CALLS:
            yield Entry("assistant", "", 1)
        elif kind == "reasoning":
            yield Entry("assistant", "", reasoning=1)
        elif kind in RESULTS:
            text, images = _content(item["output"])
            yield Entry("result", text, images=images)


def _merged(entries: Iterator[Entry]) -> Iterator[Entry]:
    held: Entry | None = None
    for entry in entries:
        if held is not None and entry.role == "assistant":
            held = Entry(
                "assistant",
                held.text + entry.text,
                held.calls + entry.calls,
                reasoning=held.reasoning + entry.reasoning,
            )
            continue
        if held is not None:
            yield held
        held = entry if entry.role == "assistant" else None
        if held is None:
            yield entry
    if held is not None:
        yield held


def _content(content: Any) -> tuple[str, tuple[Image, ...]]:
    if isinstance(content, str):
        return content, ()
    text = "\n".join(part["text"] for part in content if "text" in part)
    urls = [part.get("image_url", "") for part in content if part["type"] == "input_image"]
    return text, tuple(image_of_url(url) for url in urls)


def _offers(body: JsonObject) -> Iterator[Offer]:
    for tool in tools(body):
        if tool["type"] == "namespace":
            for inner in tool["tools"]:
                yield from _offer(inner, tool["name"])
        else:
            yield from _offer(tool, None)


def _offer(tool: JsonObject, namespace: str | None) -> Iterator[Offer]:
    # Codex files its plain tools under the namespace "functions", which calls do not repeat.
    named = None if namespace == "functions" else namespace
    if tool["type"] == "function":
        yield Offer(tool["name"], tool.get("parameters") or {}, namespace=named)
    elif tool["type"] == "custom":
        yield Offer(tool["name"], freeform=True, namespace=named)


def _choice(choice: Any) -> str:
    match choice:
        case None:
            return "auto"
        case str():
            return choice
        case {"type": "allowed_tools", "mode": mode}:
            return str(mode)
        case {"name": name}:
            return str(name)
        case _:
            return "required"
