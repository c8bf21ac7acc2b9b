"""Blocks of tools that the provider runs: `server_tool_use` and its result, MCP calls, advisor, fallback.

A call and its result become one part where the hub has a word for it (web search, code), else `Foreign` parts that
only this protocol can say again; section 4.2 of the portability rules decides what others make of them.
Reference: https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from translators import ir
from translators.anthropic.words import PROTOCOL, SERVER_CALL_PREFIX, UNSIGNED
from translators.ids import WORD_CALL_ID, digest62
from translators.losses import Action
from translators.turns import readable
from translators.wire import JsonObject, JsonSyntaxError, dump_text, loads

CALLS: Final = frozenset({"server_tool_use", "mcp_tool_use"})
RESULTS: Final = frozenset(
    {
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "mcp_tool_result",
        "advisor_tool_result",
    }
)

TEXT_RULE: Final = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN, as_text=True)
DROP_RULE: Final = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN)
QUIET_RULE: Final = ir.ForeignRule(Action.REJECT, Action.SILENT, Action.SILENT)
"""For the half of a pair whose other half tells the loss."""
TELEMETRY_RULE: Final = ir.ForeignRule(Action.WARN, Action.SILENT, Action.SILENT)
MEANING_TEXT_RULE: Final = ir.ForeignRule(Action.REJECT, Action.REJECT, Action.WARN, as_text=True)
REFUSE_RULE: Final = ir.ForeignRule(Action.REJECT, Action.REJECT, Action.REJECT)

SINGLE_RULES: Final[Mapping[str, ir.ForeignRule]] = {
    "container_upload": REFUSE_RULE,
    "mcp_tool_listing": TELEMETRY_RULE,
    "fallback": TELEMETRY_RULE,
    "advisor_tool_result": TELEMETRY_RULE,
}
"""Blocks that stand for themselves."""

_RESULT_RULES: Final[Mapping[str, ir.ForeignRule]] = {
    "tool_search_tool_result": DROP_RULE,
    "advisor_tool_result": TELEMETRY_RULE,
}


def foreign(
    block: JsonObject, path: str, rule: ir.ForeignRule, text: str | None = None
) -> ir.Foreign:
    """A block that is carried as it is."""
    return ir.Foreign(
        protocol=PROTOCOL,
        type=str(block.get("type")),
        wire=block,
        rule=rule,
        readable=text,
        path=path,
    )


def hosted_parts(
    use: JsonObject | None, result: JsonObject | None, path: str
) -> tuple[ir.Part, ...]:
    """The parts of a hosted call and its result; either may be missing (a paused turn, a trimmed history)."""
    if use is not None and result is not None:
        build = _PAIRS.get(result["type"])
        if build is not None:
            return (build(use, result, path),)
    parts: list[ir.Part] = []
    if use is not None:
        rule = TELEMETRY_RULE if use.get("name") == "advisor" else QUIET_RULE
        if result is None and rule is QUIET_RULE:
            rule = DROP_RULE
        parts.append(foreign(use, path, rule))
    if result is not None:
        rule = _RESULT_RULES.get(result["type"], TEXT_RULE)
        parts.append(foreign(result, path, rule, _result_text(use, result)))
    return tuple(parts)


def _call_id(block: JsonObject) -> str:
    return str(block.get("id") or "")


def _input(use: JsonObject) -> dict[str, Any]:
    value = use.get("input")
    return value if isinstance(value, dict) else {}


def _web_search(use: JsonObject, result: JsonObject, path: str) -> ir.Part:
    content = result.get("content")
    hits = [hit for hit in content if isinstance(hit, dict)] if isinstance(content, list) else []
    # What this gateway wrote for another provider's search is no hit that Anthropic could open.
    ours = any(hit.get("encrypted_content") == UNSIGNED for hit in hits)
    return ir.WebSearch(
        call_id=_call_id(use),
        query=str(_input(use).get("query") or ""),
        sources=tuple(
            ir.WebSource(url=str(hit.get("url") or ""), title=str(hit.get("title") or ""))
            for hit in hits
        ),
        protocol="" if ours else PROTOCOL,
        wire=() if ours else (use, result),
        path=path,
    )


def _code_run(use: JsonObject, result: JsonObject, path: str) -> ir.Part:
    arguments = _input(use)
    name = use.get("name")
    if name == "code_execution":
        code, language = str(arguments.get("code") or ""), "python"
    elif name == "bash_code_execution":
        code, language = str(arguments.get("command") or ""), "bash"
    else:
        code, language = dump_text(arguments), str(name)
    content = result.get("content")
    outcome = content if isinstance(content, dict) else {}
    return ir.CodeRun(
        call_id=_call_id(use),
        code=code,
        language=language,
        output=_code_output(outcome),
        ok=not str(outcome.get("type", "")).endswith("_error") and not outcome.get("return_code"),
        protocol=PROTOCOL,
        wire=(use, result),
        path=path,
    )


def _code_output(outcome: JsonObject) -> str:
    pieces = [outcome.get(key) for key in ("stdout", "stderr", "content", "error_code")]
    return "\n".join(piece for piece in pieces if isinstance(piece, str) and piece)


type _Build = Callable[[JsonObject, JsonObject, str], ir.Part]
_PAIRS: Final[Mapping[str, _Build]] = {
    "web_search_tool_result": _web_search,
    "code_execution_tool_result": _code_run,
    "bash_code_execution_tool_result": _code_run,
    "text_editor_code_execution_tool_result": _code_run,
}


def _result_text(use: JsonObject | None, result: JsonObject) -> str:
    name = str(use.get("name")) if use else str(result.get("type")).removesuffix("_tool_result")
    return readable(name, _input(use) if use else {}, _plain(result.get("content")))


def _plain(content: Any) -> str:
    """The readable text somewhere inside a result's content: texts, titles and addresses, error codes."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(_plain, content)))
    if not isinstance(content, dict):
        return ""
    if isinstance(content.get("text"), str):
        return str(content["text"])
    own = " ".join(str(content[key]) for key in ("title", "url", "error_code") if content.get(key))
    source = content.get("source")
    data = source.get("data") if isinstance(source, dict) and source.get("type") == "text" else None
    inner = _plain(content.get("content"))
    return "\n".join(filter(None, (own, data if isinstance(data, str) else "", inner)))


def pair_up(blocks: list[Any]) -> dict[int, int]:
    """Places of hosted calls in a message -> places of their results, which come later."""
    results: dict[str, int] = {}
    calls: dict[str, int] = {}
    for place, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(kind, str):
            continue
        if kind in RESULTS:
            results[str(block.get("tool_use_id"))] = place
        elif kind in CALLS:
            calls[str(block.get("id"))] = place
    return {place: results[key] for key, place in calls.items() if results.get(key, -1) > place}


# ----------------------------------------------------------------------------------------- writing


def search_blocks(part: ir.WebSearch) -> tuple[JsonObject, ...]:
    """A search of any provider as the two blocks of this protocol; () when there is nothing to tell."""
    if part.protocol == PROTOCOL and part.wire:
        return part.wire
    if not part.query and not part.sources:
        return ()
    server_id = _server_id(part.call_id)
    hits = [
        {
            "type": "web_search_result",
            "url": source.url,
            "title": source.title,
            "encrypted_content": UNSIGNED,
            "page_age": None,
        }
        for source in part.sources
    ]
    return (
        _server_use(server_id, "web_search", {"query": part.query}),
        {"type": "web_search_tool_result", "tool_use_id": server_id, "content": hits},
    )


def code_blocks(part: ir.CodeRun) -> tuple[JsonObject, ...]:
    """A code run of any provider as the two blocks of this protocol."""
    if part.protocol == PROTOCOL and part.wire:
        return part.wire
    server_id = _server_id(part.call_id)
    outcome: JsonObject = {
        "type": "code_execution_result",
        "stdout": part.output if part.ok else "",
        "stderr": "" if part.ok else part.output,
        "return_code": 0 if part.ok else 1,
        "content": [],
    }
    return (
        _server_use(server_id, "code_execution", {"code": part.code}),
        {"type": "code_execution_tool_result", "tool_use_id": server_id, "content": outcome},
    )


def _server_use(server_id: str, name: str, arguments: JsonObject) -> JsonObject:
    return {"type": "server_tool_use", "id": server_id, "name": name, "input": arguments}


def _server_id(upstream_id: str) -> str:
    if upstream_id.startswith(SERVER_CALL_PREFIX) and WORD_CALL_ID.fullmatch(upstream_id):
        return upstream_id
    return SERVER_CALL_PREFIX + digest62("call", upstream_id)


def streamed_input(text: str) -> JsonObject:
    """The input of a hosted call from its streamed fragments; what is no object is {}."""
    try:
        value = loads(text) if text.strip() else {}
    except JsonSyntaxError:
        return {}
    return value if isinstance(value, dict) else {}
