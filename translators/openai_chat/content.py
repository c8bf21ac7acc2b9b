"""Content parts of Chat Completions messages: text, pictures, sound, files; read and written.

Reference: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, assert_never

from translators import ir, media
from translators.base import Target
from translators.errors import ErrorKind, GatewayError, invalid
from translators.fields import Fields
from translators.losses import Action, Loss, Losses
from translators.openai_chat.words import FILE_STORES, NAME
from translators.wire import Json, JsonObject, dump_text

type InputPart = ir.Text | ir.Image | ir.Document | ir.Audio | ir.Video

PDF_BASE64: Final = "JVBERi0"
"""How a PDF begins in base64."""

_DETAILS: Final[Mapping[str, str | None]] = {
    "auto": None,
    "low": "low",
    "high": "high",
    "original": "original",
}
_AUDIO_FORMATS: Final[Mapping[str, str]] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
_MARK_TTLS: Final[Mapping[str, str]] = {"5m": "30m", "1h": "30m", "30m": "30m", "12h": "12h"}
_LONG_TTLS: Final[Mapping[str, str]] = {"1h": "1h", "30m": "1h", "12h": "1h"}
"""The `ttl` of a `cache_control`; its default is five minutes."""

MAX_MARKS: Final = 3
"""Cache breakpoints beside the automatic one."""

IMAGE_BELOW: Final = "[image attached below]"
DOCUMENT_BELOW: Final = "[document attached below]"


class Unread(NamedTuple):
    """Where parsing notes what it did not understand: becomes `Request.unshared`."""

    found: list[ir.Unshared]

    def add(self, fields: Fields) -> None:
        """Note the keys of an object that nothing has read."""
        for key in fields.unread():
            reason = "is not a field of Chat Completions"
            self.found.append(ir.Unshared(path=fields.at(key), loss=Loss.UNKNOWN, reason=reason))


# ---------------------------------------------------------------------------------------- parsing


def parse_parts(fields: Fields, key: str, unread: Unread) -> tuple[InputPart, ...]:
    """`content` of a user or tool message: a string or an array of parts; () when it is absent."""
    value = fields.any(key)
    if value is None:
        return ()
    if isinstance(value, str):
        return (ir.Text(text=value, path=fields.at(key)),)
    if not isinstance(value, list):
        raise invalid(fields.at(key), "a string or an array", value)
    return tuple(parse_part(item, f"{fields.at(key)}[{i}]", unread) for i, item in enumerate(value))


def parse_part(item: Json, path: str, unread: Unread) -> InputPart:
    """One content part; a bare string counts as text."""
    if isinstance(item, str):
        return ir.Text(text=item, path=path)
    fields = Fields(item, path)
    kind = fields.text("type")
    parser = _PARSERS.get(kind)
    if parser is None:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f'{fields.at("type")}: unknown part "{kind[:40]}"',
            path=fields.at("type"),
        )
    part = parser(fields)
    unread.add(fields)
    return part


def cache_mark(fields: Fields) -> ir.CacheMark | None:
    """The cache mark of a part: OpenAI's `prompt_cache_breakpoint`, or the `cache_control` that others took over."""
    for key in ("prompt_cache_breakpoint", "cache_control"):
        mark = fields.optional_object(key)
        if mark is not None:
            return ir.CacheMark(ttl=mark.optional_text("ttl"))
    return None


def _parse_text(fields: Fields) -> ir.Text:
    return ir.Text(text=fields.text("text"), cache=cache_mark(fields), path=fields.path)


def _parse_image(fields: Fields) -> ir.Image:
    detail: str | None = None
    if isinstance(fields.any("image_url"), dict):
        image = fields.object("image_url")
        url, path = image.text("url"), image.at("url")
        word = image.optional_text("detail", "auto")
        if word not in _DETAILS:
            raise invalid(image.at("detail"), "auto, low, high or original", word)
        detail = _DETAILS[word]
    else:
        url, path = fields.text("image_url"), fields.at("image_url")
    source = url_source(url, path)
    return ir.Image(source=source, detail=detail, cache=cache_mark(fields), path=fields.path)


def _parse_audio(fields: Fields) -> ir.Audio:
    audio = fields.object("input_audio")
    data, path = audio.text("data"), audio.at("data")
    source = media.parse_data_url(data, path)
    if source is None:
        kind = f"audio/{audio.text('format')}"
        source = ir.Inline(media_type=kind, data=media.standard_base64(data, path))
    audio.skip("format")
    cache_mark(fields)  # the hub has no place for a mark on sound: a caching hint only
    return ir.Audio(source=source, path=fields.path)


def _parse_file(fields: Fields) -> ir.Document | ir.Image:
    file = fields.object("file")
    title = file.optional_text("filename")
    mark = cache_mark(fields)
    file_id = file.optional_text("file_id")
    source: ir.Source
    if file_id is not None:
        source = ir.FileId(file_id=file_id, protocol=NAME)
    else:
        source = _file_source(file.text("file_data"), file.at("file_data"))
    if isinstance(source, ir.Inline) and source.media_type.startswith("image/"):
        return ir.Image(source=source, cache=mark, path=fields.path)
    return ir.Document(source=source, title=title, cache=mark, path=fields.path)


def _file_source(data: str, path: str) -> ir.Source:
    if data.startswith(PDF_BASE64):
        return ir.Inline(media_type="application/pdf", data=media.standard_base64(data, path))
    return url_source(data, path)


def _parse_video(fields: Fields) -> ir.Video:
    if isinstance(fields.any("video_url"), dict):
        video = fields.object("video_url")
        return ir.Video(source=url_source(video.text("url"), video.at("url")), path=fields.path)
    return ir.Video(
        source=url_source(fields.text("video_url"), fields.at("video_url")), path=fields.path
    )


def url_source(url: str, path: str) -> ir.Source:
    """Media by reference or as a data URL; anything else is refused (pitfalls MED-04)."""
    inline = media.parse_data_url(url, path)
    if inline is not None:
        return inline
    if url.partition("://")[0].lower() in ("https", "http", "gs"):
        return ir.Url(url=url)
    raise invalid(path, "an https URL or a data URL", url)


_PARSERS: Final[Mapping[str, Callable[[Fields], InputPart]]] = {
    "text": _parse_text,
    "image_url": _parse_image,
    "input_audio": _parse_audio,
    "file": _parse_file,
    "video_url": _parse_video,
}


# -------------------------------------------------------------------------------------- rendering


class Writer:
    """Write parts for one upstream; knows its capabilities and where losses go."""

    __slots__ = ("_marks", "losses", "target")

    def __init__(self, target: Target, losses: Losses, marks: frozenset[int] = frozenset()) -> None:
        self.target = target
        self.losses = losses
        self._marks = marks  # id() of the parts whose cache marks are written

    def content(self, parts: Iterable[ir.Part], role: str) -> str | list[JsonObject]:
        """`content` of a system or user message: one string while it is plain text, else an array.

        With cache marks about, it is an array for users: a mark that wanders on must not change what it leaves.
        """
        parts = list(parts)
        texts = [part for part in parts if isinstance(part, ir.Text)]
        marked = bool(self._marks) if role == "user" else any(text.cache for text in texts)
        if len(texts) == len(parts) and not (marked and self._marks):
            return "\n\n".join(text.text for text in texts)
        return [wire for part in parts for wire in self.part(part)]

    def part(self, part: ir.Part) -> list[JsonObject]:
        """The wire parts of one part; what the model does not take becomes a notice, or is refused."""
        match part:
            case ir.Text():
                return [self._mark(_text(part.text), part)]
            case ir.Refusal():
                return [_text(part.text)]
            case ir.Image():
                return [self._image(part)]
            case ir.Document():
                return self._document(part)
            case ir.Audio():
                return [self._audio(part)]
            case ir.Video():
                return [self._video(part)]
            case (
                ir.Reasoning()
                | ir.ToolCall()
                | ir.ToolResult()
                | ir.WebSearch()
                | ir.CodeRun()
                | ir.Foreign()
            ):
                self.losses.give_up(
                    Loss.MEANING, part.path, "may not stand in a user message of this provider"
                )
                return []
            case _:
                assert_never(part)

    def _mark(self, wire: JsonObject, part: ir.Text | ir.Image | ir.Document) -> JsonObject:
        if part.cache is None or id(part) not in self._marks:
            return wire
        if self.target.profile.cache_control_parts:
            long = _LONG_TTLS.get(part.cache.ttl or "")
            wire["cache_control"] = {"type": "ephemeral", **({"ttl": long} if long else {})}
        else:
            mark: JsonObject = {"mode": "explicit"}
            ttl = _MARK_TTLS.get(part.cache.ttl or "")
            wire["prompt_cache_breakpoint"] = mark if ttl is None else mark | {"ttl": ttl}
        return wire

    def _image(self, image: ir.Image) -> JsonObject:
        profile, source = self.target.profile, image.source
        if not profile.image_types:
            return self._notice(image.path, "image")
        match source:
            case ir.Inline():
                if source.media_type not in profile.image_types:
                    raise self.losses.refusal(image.path, f"the model takes no {source.media_type}")
                url = media.data_url(source)
            case ir.Url():
                if not profile.image_urls or source.url.startswith("gs:"):
                    raise self.losses.refusal(
                        image.path, "the provider does not fetch images by URL"
                    )
                url = source.url
            case ir.FileId() | ir.PlainText():
                raise self.losses.refusal(image.path, "Chat Completions takes no stored image")
            case _:
                assert_never(source)
        wire: JsonObject = {"url": url}
        detail = image.detail
        if detail == "original" and not profile.openai_extras:
            self.losses.give_up(Loss.HINT, image.path, "detail `original` was sent as `high`")
            detail = "high"
        elif detail == "medium":
            self.losses.give_up(Loss.HINT, image.path, "a medium detail was left to the provider")
            detail = None
        if detail is not None:
            wire["detail"] = detail
        return self._mark({"type": "image_url", "image_url": wire}, image)

    def _document(self, document: ir.Document) -> list[JsonObject]:
        profile, source = self.target.profile, document.source
        if document.cite:
            self.losses.give_up(Loss.MEANING, document.path, "citations were not asked for")
        if document.detail is not None:
            self.losses.give_up(
                Loss.HINT, document.path, "the detail of a document cannot be chosen"
            )
        before = [_text(document.context)] if document.context else []
        match source:
            case ir.PlainText():
                title = f"# {document.title}\n\n" if document.title else ""
                return [*before, self._mark(_text(title + source.text), document)]
            case ir.Inline():
                if not profile.documents:
                    return [*before, self._notice(document.path, "document")]
                file: JsonObject = {
                    "filename": media.filename(document.title, source.media_type),
                    "file_data": media.data_url(source),
                }
            case ir.FileId():
                if source.protocol not in FILE_STORES or not profile.openai_extras:
                    raise self.losses.refusal(document.path, "a stored file cannot cross providers")
                file = {"file_id": source.file_id}
            case ir.Url():
                raise self.losses.refusal(
                    document.path, "Chat Completions takes no document by URL"
                )
            case _:
                assert_never(source)
        return [*before, self._mark({"type": "file", "file": file}, document)]

    def _audio(self, audio: ir.Audio) -> JsonObject:
        if not self.target.profile.audio:
            return self._notice(audio.path, "audio")
        source = audio.source
        form = _AUDIO_FORMATS.get(source.media_type) if isinstance(source, ir.Inline) else None
        if not isinstance(source, ir.Inline) or form is None:
            raise self.losses.refusal(audio.path, "Chat Completions takes inline wav or mp3 only")
        return {"type": "input_audio", "input_audio": {"data": source.data, "format": form}}

    def _video(self, video: ir.Video) -> JsonObject:
        source = video.source
        if not self.target.profile.video or not isinstance(source, ir.Inline | ir.Url):
            raise self.losses.refusal(video.path, "the model takes no video")
        url = source.url if isinstance(source, ir.Url) else media.data_url(source)
        if video.options:
            self.losses.give_up(Loss.HINT, video.path, "video options were dropped")
        return {"type": "video_url", "video_url": {"url": url}}

    def _notice(self, path: str, what: str) -> JsonObject:
        """The text that stands where a model that cannot take it would have found media."""
        self.losses.give_up(Loss.MEANING, path, f"the model takes no {what}: a notice was sent")
        return _text(f"[{what} omitted: the model cannot read it]")

    def result(self, result: ir.ToolResult) -> tuple[str, list[JsonObject]]:
        """A tool result as the text of its message, and the media parts that must follow the batch (RES-01)."""
        lines: list[str] = []
        attached: list[JsonObject] = []
        for part in result.content:
            match part:
                case ir.Text():
                    lines.append(part.text)
                case ir.Image() if self.target.profile.image_types:
                    lines.append(IMAGE_BELOW)
                    attached += self._attach(part)
                case ir.Document(source=ir.Inline() | ir.FileId()) if self.target.profile.documents:
                    lines.append(DOCUMENT_BELOW)
                    attached += self._attach(part)
                case ir.Image() | ir.Document():
                    lines += [wire["text"] for wire in self.part(part)]
                case _:
                    assert_never(part)
        return "\n".join(lines), attached

    def _attach(self, part: ir.Image | ir.Document) -> list[JsonObject]:
        self.losses.choose(
            part.path,
            "media in a tool result was sent in a user message behind it",
            strict=Action.REJECT,
            balanced=Action.WARN,
            max_compat=Action.WARN,
        )
        return self.part(part)


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def plain(value: Json) -> str:
    """Tool output that is no text and no parts, as text (pitfalls RES-04)."""
    return value if isinstance(value, str) else dump_text(value)
