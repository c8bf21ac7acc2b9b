"""Content parts of Responses messages and tool outputs, both ways.

Knows parts only; which item a part stands in is items.py's business. It must not fetch or transcode media.
Reference: https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir, media
from translators.base import Target
from translators.errors import ErrorKind, GatewayError
from translators.fields import Fields
from translators.losses import Action, Loss, Losses
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads

PROTOCOL: Final = "openai_responses"

_FILE_PROTOCOLS: Final = frozenset({PROTOCOL, "openai_chat"})
"""Both OpenAI protocols share one file store."""

_DETAILS: Final = {"low": "low", "high": "high", "original": "original"}
"""`input_image.detail` -> hub; `auto` and unknown words mean automatic."""
_FILE_DETAILS: Final = {"low": "low", "high": "high"}
"""`input_file.detail`, both ways."""

_CACHE_TTL: Final = {"5m": "30m", "1h": "30m", "30m": "30m", "12h": "12h"}
_TEXT_TYPES: Final = frozenset({"input_text", "output_text", "text", "summary_text"})

_RANGE: Final = {"start_index": int, "end_index": int}
_FILE: Final = {"file_id": str, "filename": str}
_ANNOTATIONS: Final[Mapping[str, Mapping[str, type]]] = {
    "file_citation": {**_FILE, "index": int},
    "container_file_citation": {"container_id": str, **_FILE, **_RANGE},
    "file_path": {"file_id": str, "index": int},
}
"""Annotations beside `url_citation`, and what they must have."""

UNKNOWN_CONTENT: Final = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN, as_text=True)
"""Content that this parser has never heard of: its text goes along where the mode allows."""


# ------------------------------------------------------------------------------------------ parse


def parse_content(fields: Fields, key: str) -> tuple[ir.Part, ...]:
    """A message's `content`: a string, or an array of parts; absent is nothing."""
    value = fields.any(key)
    path = fields.at(key)
    if value is None:
        return ()
    if isinstance(value, str):
        return (ir.Text(text=value, path=path),)
    parts: list[ir.Part] = []
    for index, item in enumerate(fields.array(key)):
        where = f"{path}[{index}]"
        if isinstance(item, str):
            parts.append(ir.Text(text=item, path=where))
        else:
            parts.append(parse_part(Fields(item, where)))
    return tuple(parts)


def parse_part(part: Fields) -> ir.Part:
    """One content part of any message; an unknown type becomes a Foreign, never an error."""
    kind = part.optional_text("type", "input_text" if "text" in part.raw else "")
    if kind in _TEXT_TYPES:
        return ir.Text(
            text=part.optional_text("text", ""),
            citations=parse_annotations(part.array("annotations")),
            cache=_cache_mark(part),
            path=part.path,
        )
    if kind == "refusal":
        return ir.Refusal(text=part.optional_text("refusal", ""), path=part.path)
    if kind in ("input_image", "image_url"):
        return _parse_image(part)
    if kind == "input_file":
        return _parse_file(part)
    if kind == "input_audio":
        return _parse_audio(part)
    return ir.Foreign(
        protocol=PROTOCOL,
        type=kind or "part",
        wire=part.raw,
        rule=UNKNOWN_CONTENT,
        readable=readable_text(part.raw),
        path=part.path,
    )


def _cache_mark(part: Fields) -> ir.CacheMark | None:
    mark = part.optional_object("prompt_cache_breakpoint")
    if mark is None:
        return None
    return ir.CacheMark(ttl=mark.optional_text("ttl"))


def _parse_image(part: Fields) -> ir.Image:
    value = part.any("image_url")
    url = value.get("url") if isinstance(value, dict) else value
    file_id = part.optional_text("file_id")
    source: ir.Source
    if isinstance(url, str) and url:
        source = media.parse_data_url(url, part.at("image_url")) or ir.Url(url=url)
    elif file_id:
        source = ir.FileId(file_id=file_id, protocol=PROTOCOL)
    else:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"{part.path}: an image needs `image_url` or `file_id`",
            path=part.path,
        )
    detail = _DETAILS.get(part.optional_text("detail", ""))
    return ir.Image(source=source, detail=detail, cache=_cache_mark(part), path=part.path)


def _parse_file(part: Fields) -> ir.Part:
    title = part.optional_text("filename")
    data, url = part.optional_text("file_data"), part.optional_text("file_url")
    file_id = part.optional_text("file_id")
    source: ir.Source
    if data:
        source = _file_bytes(data, part.at("file_data"))
    elif url:
        source = ir.Url(url=url)
    elif file_id:
        source = ir.FileId(file_id=file_id, protocol=PROTOCOL)
    else:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"{part.path}: a file needs `file_data`, `file_url` or `file_id`",
            path=part.path,
        )
    detail, mark = _DETAILS.get(part.optional_text("detail", "")), _cache_mark(part)
    if isinstance(source, ir.Inline) and source.media_type.startswith("image/"):
        return ir.Image(source=source, detail=detail, cache=mark, path=part.path)
    return ir.Document(source=source, title=title, detail=detail, cache=mark, path=part.path)


def _file_bytes(data: str, path: str) -> ir.Inline:
    """A data URL, or the bare base64 that lenient clients send."""
    inline = media.parse_data_url(data, path)
    if inline is not None:
        return inline
    standard = media.standard_base64(data, path)
    return ir.Inline(media_type=media.media_type(None, standard), data=standard)


def _parse_audio(part: Fields) -> ir.Audio:
    audio = part.optional_object("input_audio") or part
    path = audio.at("data")
    return ir.Audio(
        source=ir.Inline(
            media_type=f"audio/{audio.text('format')}",
            data=media.standard_base64(audio.text("data"), path),
        ),
        path=part.path,
    )


def parse_annotations(values: list[Json]) -> tuple[ir.Citation, ...]:
    """`output_text.annotations` as citations; what cannot be read is left out."""
    found = (parse_annotation(value) for value in values)
    return tuple(citation for citation in found if citation is not None)


def parse_annotation(value: Json) -> ir.Citation | None:
    """One annotation; None when it is of no kind that a client could read back."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    if value["type"] == "url_citation":
        nested = value.get("url_citation")
        source = nested if isinstance(nested, dict) else value
        return ir.UrlCitation(
            url=str(source.get("url") or ""),
            title=str(source.get("title") or ""),
            start=_offset(source.get("start_index")),
            end=_offset(source.get("end_index")),
        )
    needed = _ANNOTATIONS.get(value["type"])
    if needed is None or not all(isinstance(value.get(key), kind) for key, kind in needed.items()):
        return None
    return ir.DocumentCitation(
        protocol=PROTOCOL,
        wire=value,
        title=str(value.get("filename") or ""),
    )


def _offset(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def parse_output(
    fields: Fields, *, decode_text: bool
) -> tuple[ir.Text | ir.Image | ir.Document, ...]:
    """A tool output: a string, an array of parts, or another JSON value, which is kept as its text.

    `decode_text` = a string may itself be a JSON-encoded array of parts (freeform tools of Codex).
    """
    value, path = fields.any("output"), fields.at("output")
    if decode_text and isinstance(value, str):
        value = _encoded_parts(value) or value
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (ir.Text(text=value, path=path),)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return (ir.Text(text=dump_text(value), path=path),)
    content: list[ir.Text | ir.Image | ir.Document] = []
    for index, item in enumerate(value):
        part = parse_part(Fields(item, f"{path}[{index}]"))
        if isinstance(part, ir.Text | ir.Image | ir.Document):
            content.append(part)
        else:
            content.append(ir.Text(text=readable_text(item) or dump_text(item), path=part.path))
    return tuple(content)


def _encoded_parts(text: str) -> list[Json] | None:
    """The array of parts inside a string, None when the string is anything else."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = loads(text)
    except JsonSyntaxError:
        return None
    known = _TEXT_TYPES | {"input_image", "input_file"}
    if value and isinstance(value, list):
        if all(isinstance(item, dict) and item.get("type") in known for item in value):
            return value
    return None


def readable_text(value: Json) -> str | None:
    """The text in an item or part of an unknown kind, None when there is none."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, list):
        texts = [text for text in map(readable_text, value) if text]
        return "\n".join(texts) or None
    if isinstance(value, dict):
        for key in ("text", "content", "message", "output", "result", "summary"):
            text = readable_text(value.get(key))
            if text:
                return text
    return None


# ----------------------------------------------------------------------------------------- render


class PartWriter:
    """Write user content and tool outputs for one upstream; `target` says which media it takes."""

    __slots__ = ("_losses", "_profile")

    def __init__(self, target: Target, losses: Losses) -> None:
        self._profile = target.profile
        self._losses = losses

    def parts(self, parts: tuple[ir.Part, ...]) -> list[JsonObject]:
        """Input parts; what cannot be said is refused or recorded."""
        written: list[JsonObject] = []
        for part in parts:
            written.extend(self._part(part))
        return written

    def _part(self, part: ir.Part) -> list[JsonObject]:
        match part:
            case ir.Text():
                return [self._marked({"type": "input_text", "text": part.text}, part.cache)]
            case ir.Refusal():
                return [{"type": "input_text", "text": part.text}]
            case ir.Image():
                return self._image(part)
            case ir.Document():
                return self._document(part)
            case ir.Audio():
                self._losses.give_up(
                    Loss.MEANING, part.path, "audio input is not possible with this provider"
                )
                return [{"type": "input_text", "text": "[audio omitted]"}]
            case ir.Video():
                self._losses.give_up(
                    Loss.IMPOSSIBLE, part.path, "video input is not possible with this provider"
                )
                return []
            case ir.Foreign() if part.protocol == PROTOCOL:
                return [part.wire]
            case _:
                self._losses.give_up(
                    Loss.MEANING, part.path, f"{type(part).__name__} has no place in a user message"
                )
                return []

    def _marked(self, wire: JsonObject, mark: ir.CacheMark | None) -> JsonObject:
        if mark is not None and self._profile.cache_marks:
            ttl = _CACHE_TTL.get(mark.ttl or "", "30m")
            wire["prompt_cache_breakpoint"] = {"mode": "explicit", "ttl": ttl}
        return wire

    def _image(self, part: ir.Image) -> list[JsonObject]:
        if not self._profile.image_types:
            self._losses.give_up(Loss.MEANING, part.path, "the model takes no images")
            return [{"type": "input_text", "text": "[image omitted]"}]
        wire: JsonObject = {"type": "input_image"}
        match part.source:
            case ir.Inline() as source:
                if source.media_type not in self._profile.image_types:
                    raise self._losses.refusal(
                        part.path, f"the model does not take {source.media_type} images"
                    )
                wire["image_url"] = media.data_url(source)
            case ir.Url() as source:
                self._check_url(source, part.path)
                wire["image_url"] = source.url
            case ir.FileId() as source:
                wire["file_id"] = self._file_id(source, part.path)
            case ir.PlainText():
                raise self._losses.refusal(part.path, "an image cannot be given as text")
        wire["detail"] = self._detail(part) or "auto"
        return [self._marked(wire, part.cache)]

    def _detail(self, part: ir.Image | ir.Document) -> str | None:
        """The word of how closely a picture or the pages of a document are looked at; None = automatic."""
        known = _DETAILS if isinstance(part, ir.Image) else _FILE_DETAILS
        if part.detail is not None and part.detail not in known:
            self._losses.give_up(Loss.HINT, part.path, f"{part.detail} detail cannot be asked for")
        return known.get(part.detail or "")

    def _check_url(self, source: ir.Url, path: str) -> None:
        if not self._profile.image_urls or not source.url.startswith(("https://", "http://")):
            raise self._losses.refusal(path, "the provider cannot fetch media from this URL")

    def _file_id(self, source: ir.FileId, path: str) -> str:
        if source.protocol not in _FILE_PROTOCOLS:
            raise self._losses.refusal(path, "a file stored at another provider cannot be read")
        return source.file_id

    def _document(self, part: ir.Document) -> list[JsonObject]:
        if part.cite:
            self._losses.give_up(
                Loss.MEANING, part.path, "citations of documents are not possible here"
            )
        before: list[JsonObject] = []
        if part.context:
            before.append({"type": "input_text", "text": part.context})
        if isinstance(part.source, ir.PlainText):
            title = f"# {part.title}\n" if part.title else ""
            wire = {"type": "input_text", "text": title + part.source.text}
            return [*before, self._marked(wire, part.cache)]
        if not self._profile.documents:
            self._losses.give_up(Loss.MEANING, part.path, "the model takes no documents")
            return [*before, {"type": "input_text", "text": "[document omitted]"}]
        wire = {"type": "input_file"}
        match part.source:
            case ir.Inline() as source:
                wire["filename"] = media.filename(part.title, source.media_type)
                wire["file_data"] = media.data_url(source)
            case ir.Url() as source:
                self._check_url(source, part.path)
                wire["file_url"] = source.url
            case ir.FileId() as source:
                wire["file_id"] = self._file_id(source, part.path)
        if detail := self._detail(part):
            wire["detail"] = detail
        return [*before, self._marked(wire, part.cache)]
