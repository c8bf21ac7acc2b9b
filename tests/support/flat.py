"""An upstream's request, laid flat: what was said in which order, told in the same words for all protocols.

Written for tests that ask the same of four protocols; it reads only what a strict validator accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.support.pitfalls import A, C, G, R
from translators.wire import dump_text, loads

type Told = tuple[Any, ...]
"""`(system|user|assistant, text)`, `(image, speaker)`, `(call, id, name, arguments)` or
`(result, id, payload)`; Gemini's calls are named by their function where they have no id."""


def flat(protocol: str, body: dict[str, Any]) -> list[Told]:
    """Everything that is said, the leading instructions first."""
    return list(_READERS[protocol](body))


def of_kind(protocol: str, body: dict[str, Any], *kinds: str) -> list[Told]:
    """What is said of these kinds."""
    return [told for told in flat(protocol, body) if told[0] in kinds]


def calls(protocol: str, body: dict[str, Any]) -> dict[str, Any]:
    """The arguments of each call, by call id."""
    return {told[1]: told[3] for told in of_kind(protocol, body, "call")}


def results(protocol: str, body: dict[str, Any]) -> dict[str, Any]:
    """The payload of each result, by call id."""
    return {told[1]: told[2] for told in of_kind(protocol, body, "result")}


def schemas(protocol: str, body: dict[str, Any]) -> dict[str, Any]:
    """The schema of each declared function, None where there is none, in order."""
    tools = body.get("tools") or []
    match protocol:
        case "openai_chat":
            functions = [tool["function"] for tool in tools if tool["type"] == "function"]
            return {tool["name"]: tool.get("parameters") for tool in functions}
        case "openai_responses":
            return {t["name"]: t.get("parameters") for t in tools if t["type"] == "function"}
        case "anthropic":
            return {tool["name"]: tool["input_schema"] for tool in tools if "input_schema" in tool}
        case _:
            declared = [one for tool in tools for one in tool.get("functionDeclarations", ())]
            return {
                one["name"]: one.get("parametersJsonSchema", one.get("parameters"))
                for one in declared
            }


def _parts(speaker: str, content: Any) -> Iterator[Told]:
    if isinstance(content, str):
        yield speaker, content
        return
    for part in content or ():
        if "text" in part:
            yield speaker, part["text"]
        elif part["type"] in ("image", "image_url", "input_image"):
            yield "image", speaker


def _chat(body: dict[str, Any]) -> Iterator[Told]:
    for message in body["messages"]:
        if message["role"] == "tool":
            [(_, text)] = _parts("result", message["content"])
            yield "result", message["tool_call_id"], text
            continue
        role = {"developer": "system"}.get(message["role"], message["role"])
        yield from _parts(role, message.get("content"))
        for call in message.get("tool_calls") or ():
            made = call["function"]
            yield "call", call["id"], made["name"], loads(made["arguments"].encode())


def _responses(body: dict[str, Any]) -> Iterator[Told]:
    if body.get("instructions"):
        yield "system", body["instructions"]
    for item in body["input"]:
        match item.get("type", "message"):
            case "message":
                role = {"developer": "system"}.get(item["role"], item["role"])
                yield from _parts(role, item["content"])
            case "function_call":
                arguments = loads(item["arguments"].encode())
                yield "call", item["call_id"], item["name"], arguments
            case "function_call_output":
                yield "result", item["call_id"], item["output"]
            case other:
                yield other, item


def _anthropic(body: dict[str, Any]) -> Iterator[Told]:
    yield from _parts("system", body.get("system"))
    for message in body["messages"]:
        content = message["content"]
        for block in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            match block["type"]:
                case "tool_use":
                    yield "call", block["id"], block["name"], block["input"]
                case "tool_result":
                    yield "result", block["tool_use_id"], block.get("content", "")
                case "text" | "image":
                    yield from _parts(message["role"], [block])
                case other:
                    yield other, block


def _gemini(body: dict[str, Any]) -> Iterator[Told]:
    for part in body.get("systemInstruction", {}).get("parts", ()):
        yield "system", part["text"]
    for content in body["contents"]:
        speaker = "assistant" if content["role"] == "model" else "user"
        for part in content["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                yield "call", call.get("id", call["name"]), call["name"], call.get("args", {})
            elif "functionResponse" in part:
                answer = part["functionResponse"]
                yield "result", answer.get("id", answer["name"]), answer["response"]
            elif "text" in part:
                yield speaker, part["text"]
            else:
                yield "image", speaker


_READERS: dict[str, Callable[[dict[str, Any]], Iterator[Told]]] = {
    C: _chat,
    R: _responses,
    A: _anthropic,
    G: _gemini,
}


def spelled(protocol: str, text: str) -> Any:
    """The payload of a plain text result in a protocol."""
    return {"output": text} if protocol == G else text


def json_of(value: Any) -> str:
    """Compact JSON text."""
    return dump_text(value)
