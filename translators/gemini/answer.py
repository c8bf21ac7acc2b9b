"""Pieces of an answer that are read alike in a stream and in a whole response: citations, log probabilities.

Reference: https://ai.google.dev/api/generate-content#GroundingMetadata (read 2026-11-21)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from translators import ir
from translators.gemini.spelling import camel_keys
from translators.wire import Json, JsonObject


def grounding_citations(metadata: Json, text: str) -> Iterator[ir.UrlCitation]:
    """One citation per support and source; Gemini's offsets are UTF-8 bytes, the hub's are characters."""
    grounding = _object(metadata)
    chunks = [_web(chunk) for chunk in _objects(grounding.get("groundingChunks"))]
    offsets = CharOffsets(text)
    for support in _objects(grounding.get("groundingSupports")):
        segment = _object(support.get("segment"))
        start, end = offsets.span(segment, str(segment.get("text") or ""))
        for index in support.get("groundingChunkIndices") or ():
            if isinstance(index, int) and 0 <= index < len(chunks) and chunks[index].get("uri"):
                yield ir.UrlCitation(
                    url=str(chunks[index]["uri"]),
                    title=str(chunks[index].get("title") or ""),
                    start=start,
                    end=end,
                    cited_text=None if start is None else text[start:end],
                )


def recitation_citations(metadata: Json, text: str) -> Iterator[ir.UrlCitation]:
    """`citationMetadata`: sources of text that the model repeated; those without an address say nothing."""
    recitation = _object(metadata)
    offsets = CharOffsets(text)
    for key in ("citationSources", "citations"):  # the Gemini API's name and Vertex AI's
        for source in _objects(recitation.get(key)):
            if source.get("uri"):
                start, end = offsets.span(source, "")
                yield ir.UrlCitation(
                    url=str(source["uri"]),
                    title=str(source.get("title") or ""),
                    start=start,
                    end=end,
                )


def searches(metadata: Json) -> int:
    """How many searches the provider made for the answer."""
    queries = _object(metadata).get("webSearchQueries")
    return len(queries) if isinstance(queries, list) else 0


class CharOffsets:
    """From byte offsets in a text's UTF-8 to character offsets."""

    __slots__ = ("_ends", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._ends: list[int] | None = None
        if not text.isascii():
            self._ends = list(accumulate(len(char.encode("utf-8", "replace")) for char in text))

    def span(self, segment: JsonObject, expected: str) -> tuple[int | None, int | None]:
        """Characters of a segment; where they do not hold `expected`, its place in the text, else nothing."""
        start, end = self._char(segment.get("startIndex") or 0), self._char(segment.get("endIndex"))
        if start is not None and end is not None and start < end:
            if not expected or self._text[start:end] == expected:
                return start, end
        found = self._text.find(expected) if expected else -1
        return (found, found + len(expected)) if found >= 0 else (None, None)

    def _char(self, offset: Json) -> int | None:
        if not isinstance(offset, int) or offset < 0:
            return None
        if self._ends is None:
            return offset if offset <= len(self._text) else None
        if offset == 0:
            return 0
        index = bisect_left(self._ends, offset)
        return index + 1 if index < len(self._ends) and self._ends[index] == offset else None


def byte_span(text: str, start: int | None, end: int | None) -> tuple[int, int]:
    """A stretch of characters in UTF-8 bytes; None = from the start, to the end."""
    stop = len(text) if end is None else end
    first = len(text[: start or 0].encode("utf-8", "replace"))
    return first, first + len(text[start or 0 : stop].encode("utf-8", "replace"))


def parse_logprobs(value: Json) -> tuple[ir.TokenLogprob, ...]:
    """`logprobsResult`: the chosen tokens with the alternatives that were looked at."""
    result = _object(value)
    tops = [
        tuple(_token(item) for item in _objects(top.get("candidates")))
        for top in _objects(result.get("topCandidates"))
    ]
    tokens = []
    for index, chosen in enumerate(_objects(result.get("chosenCandidates"))):
        tokens.append(_token(chosen, tops[index] if index < len(tops) else ()))
    return tuple(tokens)


def _token(item: JsonObject, top: tuple[ir.TokenLogprob, ...] = ()) -> ir.TokenLogprob:
    token = str(item.get("token") or "")
    return ir.TokenLogprob(
        token=token,
        logprob=float(item.get("logProbability") or 0.0),
        bytes=tuple(token.encode("utf-8", "replace")),
        top=top,
    )


def render_logprobs(tokens: tuple[ir.TokenLogprob, ...]) -> JsonObject | None:
    """`logprobsResult`, None when there are no tokens."""
    if not tokens:
        return None
    result: JsonObject = {"chosenCandidates": [_wire_token(token) for token in tokens]}
    if any(token.top for token in tokens):
        result["topCandidates"] = [
            {"candidates": [_wire_token(other) for other in token.top]} for token in tokens
        ]
    return result


def _wire_token(token: ir.TokenLogprob) -> JsonObject:
    return {"token": token.token, "logProbability": token.logprob}


class Grounding:
    """Collect the citations and searches of an answer for its `groundingMetadata`."""

    __slots__ = ("_chunks", "_places", "_queries", "_supports")

    def __init__(self) -> None:
        self._chunks: list[JsonObject] = []
        self._places: dict[str, int] = {}
        self._supports: list[JsonObject] = []
        self._queries: list[str] = []

    def cite(self, citation: ir.UrlCitation, text: str, part_index: int = 0) -> None:
        """A source of a stretch of a text part."""
        first, last = byte_span(text, citation.start, citation.end)
        stretch = text.encode("utf-8", "replace")[first:last].decode("utf-8", "replace")
        segment: JsonObject = {"startIndex": first, "endIndex": last, "text": stretch}
        if part_index:
            segment = {"partIndex": part_index, **segment}
        chunk = self._chunk(citation.url, citation.title)
        self._supports.append({"segment": segment, "groundingChunkIndices": [chunk]})

    def search(self, search: ir.WebSearch) -> None:
        """A search that the provider made."""
        if search.query:
            self._queries.append(search.query)
        for source in search.sources:
            self._chunk(source.url, source.title)

    def _chunk(self, url: str, title: str) -> int:
        if url not in self._places:
            self._places[url] = len(self._chunks)
            web = {"uri": url, "title": title} if title else {"uri": url}
            self._chunks.append({"web": web})
        return self._places[url]

    def render(self) -> JsonObject | None:
        """`groundingMetadata`, None when nothing was collected."""
        body: JsonObject = {}
        if self._queries:
            body["webSearchQueries"] = self._queries
        if self._chunks:
            body["groundingChunks"] = self._chunks
        if self._supports:
            body["groundingSupports"] = self._supports
        return body or None


def _web(chunk: JsonObject) -> JsonObject:
    """The source of a grounding chunk: a web page, a retrieved document or a place."""
    for key in ("web", "retrievedContext", "maps"):
        if isinstance(chunk.get(key), dict):
            return camel_keys(chunk[key])
    return {}


def _object(value: Json) -> JsonObject:
    return camel_keys(value) if isinstance(value, dict) else {}


def _objects(values: Json) -> list[JsonObject]:
    if not isinstance(values, list):
        return []
    return [camel_keys(value) for value in values if isinstance(value, dict)]
