"""Messages and content blocks of a client's request: wire -> parts.

One function per block type, found in a table; what only this protocol can say becomes a `Foreign` part or an
`Unshared` field with its rule (portability rules, section 4).
Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from translators import ir, media
from translators.anthropic import hosted
from translators.anthropic.citations import parse_citations
from translators.anthropic.intake import Intake, required
from translators.anthropic.words import PROTOCOL, UNSIGNED
from translators.errors import invalid
from translators.fields import Fields
from translators.losses import Loss
from translators.seal import Seal
from translators.wire import Json, JsonSyntaxError, dump_text, loads

ROLES: Final[Mapping[str, ir.Role]] = {
    "user": ir.Role.USER,
    "assistant": ir.Role.ASSISTANT,
    "system": ir.Role.SYSTEM,
}
ATTRIBUTION: Final = "x-anthropic-billing-header"
"""How the first system block of Claude Code starts; its value changes from request to request (SYS-16)."""
_OTHER_KEY: Final = "reasoning sealed under another key, or by another gateway, cannot be read"


def parse_system(fields: Fields, intake: Intake) -> Iterator[ir.Message]:
    """`system`, a string or text blocks: one message per block."""
    value = fields.any("system")
    path = fields.at("system")
    if value is None:
        return
    if isinstance(value, str):
        value = [{"type": "text", "text": value}]
        paths = [path]
    elif isinstance(value, list):
        paths = [f"{path}[{place}]" for place in range(len(value))]
    else:
        raise invalid(path, "a string or an array of text blocks", value)
    for place, (item, where) in enumerate(zip(value, paths, strict=True)):
        block = Fields(item, where)
        if block.any("type") != "text":
            raise invalid(block.at("type"), '"text"', block.any("type"))
        part = _text(block, intake, ir.Role.SYSTEM)
        intake.unknown(block)
        if place == 0 and part.text.startswith(ATTRIBUTION):
            intake.unsaid(where, Loss.TELEMETRY, "the client's attribution line is not sent on")
        elif part.text:
            yield ir.Message(role=ir.Role.SYSTEM, parts=(part,), path=where)


def parse_message(fields: Fields, intake: Intake) -> ir.Message:
    """One element of `messages`."""
    name = fields.text("role")
    role = ROLES.get(name)
    if role is None:
        raise invalid(fields.at("role"), "user, assistant or system", name)
    if role is ir.Role.SYSTEM and fields.optional_text("clear_at", "never") != "never":
        intake.unsaid(fields.at("clear_at"), Loss.HINT)
    parts = parse_content(fields, intake, role)
    return ir.Message(role=role, parts=parts, path=fields.path)


def parse_content(fields: Fields, intake: Intake, role: ir.Role) -> tuple[ir.Part, ...]:
    """A `content` that is a string or an array of blocks."""
    value = fields.any("content")
    path = fields.at("content")
    if value is None:
        raise required(path)
    if isinstance(value, str):
        return (ir.Text(text=value, path=path),)
    if not isinstance(value, list):
        raise invalid(path, "a string or an array", value)
    pairs = hosted.pair_up(value)
    answered = set(pairs.values())
    parts: list[ir.Part] = []
    for place, item in enumerate(value):
        where = f"{path}[{place}]"
        if place in pairs:
            parts.extend(hosted.hosted_parts(item, value[pairs[place]], where))
        elif place not in answered:
            parts.extend(_parse_block(Fields(item, where), intake, role))
    return tuple(parts)


def _parse_block(block: Fields, intake: Intake, role: ir.Role) -> tuple[ir.Part, ...]:
    kind = block.text("type")
    reader = _READERS.get(kind)
    if reader is not None:
        parts = reader(block, intake, role)
        intake.unknown(block)
        return parts
    if kind in hosted.CALLS:
        return hosted.hosted_parts(block.raw, None, block.path)
    rule = hosted.SINGLE_RULES.get(kind)
    if rule is not None:
        return (hosted.foreign(block.raw, block.path, rule),)
    if kind in hosted.RESULTS:
        return hosted.hosted_parts(None, block.raw, block.path)
    text = block.raw.get("text")
    readable = text if isinstance(text, str) else None
    return (hosted.foreign(block.raw, block.path, hosted.MEANING_TEXT_RULE, readable),)


# ------------------------------------------------------------------------------------------ blocks


def _text(block: Fields, intake: Intake, role: ir.Role) -> ir.Text:
    citations = block.any("citations")
    if citations and role is not ir.Role.ASSISTANT:
        intake.unsaid(block.at("citations"), Loss.HINT)
        citations = None
    return ir.Text(
        text=block.text("text"),
        citations=parse_citations(citations) if citations else (),
        cache=intake.cache_mark(block),
        path=block.path,
    )


def _text_part(block: Fields, intake: Intake, role: ir.Role) -> tuple[ir.Part, ...]:
    return (_text(block, intake, role),)


def _image(block: Fields, intake: Intake) -> ir.Image:
    changes = block.optional_object("transformations")
    if changes is not None and changes.any("oversized_image") == "error":
        intake.unsaid(changes.at("oversized_image"), Loss.HINT)
    return ir.Image(
        source=_source(block.object("source")), cache=intake.cache_mark(block), path=block.path
    )


def _image_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    return (_image(block, intake),)


def _source(source: Fields) -> ir.Source:
    kind = source.text("type")
    match kind:
        case "base64":
            data = media.standard_base64(source.text("data"), source.at("data"))
            return ir.Inline(
                media_type=media.media_type(source.optional_text("media_type"), data), data=data
            )
        case "url":
            url = source.text("url")
            return media.parse_data_url(url, source.at("url")) or ir.Url(url=url)
        case "file":
            return ir.FileId(file_id=source.text("file_id"), protocol=PROTOCOL)
        case "text":
            return ir.PlainText(
                text=source.text("data"),
                media_type=source.optional_text("media_type", "text/plain"),
            )
        case _:
            raise invalid(source.at("type"), "base64, url, file, text or content", kind)


def _document_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    source = block.object("source")
    if source.any("type") != "content":
        return (_document(block, intake),)
    citing = _cites(block)
    cache = intake.cache_mark(block)
    title = block.optional_text("title")
    context = block.optional_text("context")
    texts, images = _chunks(source, intake)
    if not images:
        rule = hosted.MEANING_TEXT_RULE if citing else hosted.TEXT_RULE
        lines = [f"# {title}" if title else "", context or "", *texts]
        return (
            hosted.foreign(block.raw, block.path, rule, "\n".join(line for line in lines if line)),
        )
    intake.unsaid(source.at("content"), Loss.VALUE, "the document's blocks were joined")
    joined = ir.Document(
        source=ir.PlainText(text="\n".join(texts)),
        title=title,
        context=context,
        cite=citing,
        cache=cache,
        path=block.path,
    )
    return (joined, *images) if texts else tuple(images)


def _document(block: Fields, intake: Intake) -> ir.Document:
    return ir.Document(
        source=_source(block.object("source")),
        title=block.optional_text("title"),
        context=block.optional_text("context"),
        cite=_cites(block),
        cache=intake.cache_mark(block),
        path=block.path,
    )


def _cites(block: Fields) -> bool:
    citations = block.optional_object("citations")
    return citations is not None and citations.optional_bool("enabled") is True


def _chunks(source: Fields, intake: Intake) -> tuple[list[str], list[ir.Image]]:
    """Texts and images of a document that is given as blocks."""
    if isinstance(source.any("content"), str):
        return [source.text("content")], []
    texts: list[str] = []
    images: list[ir.Image] = []
    for chunk in source.items("content"):
        if chunk.text("type") == "image":
            images.append(_image(chunk, intake))
        else:
            texts.append(chunk.text("text"))
    return texts, images


def _search_result_text(block: Fields, intake: Intake) -> str:
    head = (block.optional_text("title", ""), block.optional_text("source", ""))
    texts = (chunk.text("text") for chunk in block.items("content"))
    return "\n".join(line for line in (*head, *texts) if line)


def _search_result_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    rule = hosted.MEANING_TEXT_RULE if _cites(block) else hosted.TEXT_RULE
    intake.cache_mark(block)
    text = _search_result_text(block, intake)
    return (hosted.foreign(block.raw, block.path, rule, text),)


# --------------------------------------------------------------------------------------- reasoning


def _thinking_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    text = block.optional_text("thinking", "")
    signature = block.optional_text("signature", "")
    block.skip("cache_control")
    if signature in ("", UNSIGNED):
        return (ir.Reasoning(text=text, path=block.path),)
    return _with_state(block, intake, text, signature, ir.StateKind.ANTHROPIC_SIGNATURE)


def _redacted_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    data = block.text("data")
    block.skip("cache_control")
    if data == UNSIGNED:
        return ()
    return _with_state(block, intake, "", data, ir.StateKind.ANTHROPIC_REDACTED)


def _with_state(
    block: Fields, intake: Intake, text: str, value: str, kind: ir.StateKind
) -> tuple[ir.Part, ...]:
    if not Seal.is_envelope(value):
        state = ir.OpaqueState(kind=kind, value=value)
        return (ir.Reasoning(text=text, state=state, path=block.path),)
    restored = intake.seal.unwrap(value, block.path) if intake.seal is not None else None
    if restored is not None:
        return (restored,)
    intake.unsaid(block.path, Loss.VALUE, _OTHER_KEY)
    return (ir.Reasoning(text=text, path=block.path),) if text else ()


# ------------------------------------------------------------------------------------------- tools


def _tool_use_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    if block.any("toolset_name") is not None:
        return (hosted.foreign(block.raw, block.path, hosted.REFUSE_RULE),)
    caller = block.optional_object("caller")
    if caller is not None and caller.any("type") not in (None, "direct"):
        intake.unsaid(caller.path, Loss.VALUE, "the call is kept, the program that made it is not")
    if intake.cache_mark(block) is not None:
        intake.unsaid(block.at("cache_control"), Loss.TELEMETRY)
    return (
        ir.ToolCall(
            call_id=block.text("id"),
            name=block.text("name"),
            arguments=call_arguments(block.any("input")),
            path=block.path,
        ),
    )


def call_arguments(value: Json) -> str:
    """A `tool_use.input` as JSON text. null and "" are {}; text that is a JSON object already stays as it is."""
    if value is None or value == "":
        return "{}"
    if isinstance(value, str):
        try:
            if isinstance(loads(value), dict):
                return value
        except JsonSyntaxError:
            pass  # plain text: valid JSON only when quoted
    return dump_text(value)


def _tool_result_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    block.skip("toolset_name")
    return (
        ir.ToolResult(
            call_id=block.text("tool_use_id"),
            content=_result_content(block, intake),
            is_error=block.optional_bool("is_error") is True,
            cache=intake.cache_mark(block),
            path=block.path,
        ),
    )


type _ResultPart = ir.Text | ir.Image | ir.Document


def _result_content(block: Fields, intake: Intake) -> tuple[_ResultPart, ...]:
    value = block.any("content")
    path = block.at("content")
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (ir.Text(text=value, path=path),)
    if not isinstance(value, list):
        return (ir.Text(text=dump_text(value), path=path),)
    parts: list[_ResultPart] = []
    for place, item in enumerate(value):
        if isinstance(item, str):
            parts.append(ir.Text(text=item, path=f"{path}[{place}]"))
        else:
            inner = Fields(item, f"{path}[{place}]")
            parts.extend(_result_block(inner, intake))
            intake.unknown(inner)
    return tuple(parts)


def _result_block(block: Fields, intake: Intake) -> tuple[_ResultPart, ...]:
    kind = block.text("type")
    match kind:
        case "text":
            return (_text(block, intake, ir.Role.USER),)
        case "image":
            return (_image(block, intake),)
        case "document":
            return _result_document(block, intake)
        case "search_result":
            loss = Loss.MEANING if _cites(block) else Loss.VALUE
            intake.unsaid(block.path, loss, "a search result was kept as text")
            text = _search_result_text(block, intake)
        case "tool_reference":
            intake.unsaid(block.path, Loss.VALUE, "the tool is declared up front instead")
            text = f"Tool available: {block.optional_text('tool_name', '')}"
        case "browser_state":
            intake.unsaid(block.path, Loss.IMPOSSIBLE, "a browser's state has no equivalent")
            text = ""
        case _:
            intake.unsaid(block.path, Loss.MEANING, f"unknown part {kind!r} was kept as JSON text")
            text = dump_text(block.raw)
    block.skip(*block.raw)
    return (ir.Text(text=text, path=block.path),)


def _result_document(block: Fields, intake: Intake) -> tuple[_ResultPart, ...]:
    source = block.object("source")
    if source.any("type") != "content":
        return (_document(block, intake),)
    block.skip("title", "context", "citations", "cache_control")
    intake.unsaid(block.path, Loss.VALUE, "the document's blocks were joined")
    texts, images = _chunks(source, intake)
    title = block.optional_text("title")
    document = ir.Document(
        source=ir.PlainText(text="\n".join(texts)), title=title, cite=_cites(block), path=block.path
    )
    return (document, *images) if texts else tuple(images)


# ----------------------------------------------------------------------------------- special blocks


def _compaction_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    text = block.raw.get("content")
    block.skip(*block.raw)
    if isinstance(text, str) and text:
        return (hosted.foreign(block.raw, block.path, hosted.TEXT_RULE, text),)
    return (hosted.foreign(block.raw, block.path, hosted.REFUSE_RULE),)


def _tool_change_part(block: Fields, intake: Intake, _role: ir.Role) -> tuple[ir.Part, ...]:
    """`tool_addition` and `tool_removal`: tools.py applies them to the tool list."""
    block.skip(*block.raw)
    intake.unsaid(
        block.path, Loss.VALUE, "the change of tools applies to the whole conversation instead"
    )
    return ()


type _Reader = Callable[[Fields, Intake, ir.Role], tuple[ir.Part, ...]]
_READERS: Final[Mapping[str, _Reader]] = {
    "text": _text_part,
    "image": _image_part,
    "document": _document_part,
    "search_result": _search_result_part,
    "thinking": _thinking_part,
    "redacted_thinking": _redacted_part,
    "tool_use": _tool_use_part,
    "tool_result": _tool_result_part,
    "compaction": _compaction_part,
    "tool_addition": _tool_change_part,
    "tool_removal": _tool_change_part,
}
