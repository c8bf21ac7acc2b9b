"""Token counts: the estimate stays near two real encodings, and every kind of content counts."""

from __future__ import annotations

import base64
import gzip
import importlib.resources
from pathlib import Path

import pytest
import tiktoken
from tiktoken_ext import openai_public

from translators import ir
from translators.tokens import (
    MEDIA_COSTS,
    Estimator,
    TiktokenCounter,
    TokenCounter,
    count_request,
)

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus" / "tokens"
ENCODINGS = ("o200k_base", "cl100k_base")


def ranks(name: str) -> dict[bytes, int]:
    """An encoding's table, from a package that ships it: tiktoken itself would download it."""
    packed = importlib.resources.files("bpe_openai") / "data" / f"{name}.tiktoken.gz"
    lines = gzip.decompress(packed.read_bytes()).splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}


@pytest.fixture(scope="module", params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    name = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks(name))
        return tiktoken.Encoding(**getattr(openai_public, name)())


@pytest.mark.parametrize(
    ("file", "bound"),
    [
        pytest.param(CORPUS / "anthropic.json", 0.12, id="a request of Claude Code"),
        pytest.param(CORPUS / "openai_responses.json", 0.12, id="a request of Codex"),
        pytest.param(CORPUS / "gemini.json", 0.15, id="a request of Gemini CLI"),
        pytest.param(CORPUS / "openai_chat.json", 0.12, id="a request of OpenCode"),
        pytest.param(ROOT / "translators" / "ir.py", 0.12, id="Python code"),
        pytest.param(CORPUS / "english.txt", 0.12, id="English prose"),
        pytest.param(CORPUS / "chinese.txt", 0.40, id="Chinese prose: the two encodings differ"),
    ],
)
def test_the_estimate_is_near(encoding: tiktoken.Encoding, file: Path, bound: float) -> None:
    text = file.read_text("utf-8")
    real = TiktokenCounter(encoding).count(text)
    assert abs(Estimator().count(text) / real - 1) <= bound


def test_long_text_is_counted_in_pieces(encoding: tiktoken.Encoding) -> None:
    text = "word and word " * 10_000
    assert TiktokenCounter(encoding).count(text) == pytest.approx(
        len(encoding.encode_ordinary(text)), rel=0.001
    )


@pytest.mark.parametrize("text", ["a", " ", "\n", "é", "😀", "\x00", "中"])
def test_nothing_that_is_not_empty_counts_zero(text: str) -> None:
    assert Estimator().count(text) >= 1


def test_the_empty_text_counts_zero() -> None:
    assert Estimator().count("") == 0


PNG = ir.Inline(media_type="image/png", data="iVBORw0KGgo=")
PDF = base64.b64encode(b"%PDF-1.7 /Type /Pages /Type /Page x /Type/Page y").decode()
WORDS = "some words that must count"
PARTS: list[tuple[str, ir.Part]] = [
    ("text", ir.Text(text=WORDS)),
    ("refusal", ir.Refusal(text=WORDS)),
    ("reasoning", ir.Reasoning(text=WORDS)),
    (
        "hidden reasoning",
        ir.Reasoning(state=ir.OpaqueState(kind=ir.StateKind.RESPONSES_ENCRYPTED, value="x" * 99)),
    ),
    ("image", ir.Image(source=PNG)),
    ("image by address", ir.Image(source=ir.Url(url="https://example.com/a.png"))),
    ("pdf", ir.Document(source=ir.Inline(media_type="application/pdf", data=PDF))),
    ("damaged pdf", ir.Document(source=ir.Inline(media_type="application/pdf", data="x"))),
    ("stored document", ir.Document(source=ir.FileId(file_id="f", protocol="anthropic"))),
    ("text document", ir.Document(source=ir.PlainText(text=WORDS))),
    (
        "inline text document",
        ir.Document(
            source=ir.Inline(
                media_type="text/plain", data=base64.b64encode(WORDS.encode()).decode()
            )
        ),
    ),
    ("audio", ir.Audio(source=ir.Inline(media_type="audio/wav", data="AAAA" * 9999))),
    ("video", ir.Video(source=ir.Url(url="gs://a/b.mp4"))),
    ("tool call", ir.ToolCall(call_id="c", name="f", arguments='{"a": "b"}')),
    ("tool result", ir.ToolResult(call_id="c", content=(ir.Text(text=WORDS),))),
    (
        "tool result with a picture",
        ir.ToolResult(call_id="c", content=(ir.Image(source=PNG),)),
    ),
    ("empty tool result", ir.ToolResult(call_id="c")),
    ("web search", ir.WebSearch(call_id="w", sources=(ir.WebSource(url="u", title=WORDS),))),
    ("code run", ir.CodeRun(call_id="x", code="1+1", output="2")),
    (
        "foreign content",
        ir.Foreign(
            protocol="gemini",
            type="t",
            wire={"a": WORDS},
            rule=ir.ForeignRule(ir.Action.REJECT, ir.Action.WARN, ir.Action.WARN),
        ),
    ),
]


def request(*parts: ir.Part, **changes: object) -> ir.Request:
    message = ir.Message(role=ir.Role.USER, parts=parts)
    fields: dict[str, object] = {"protocol": "anthropic", "model": "m", "messages": (message,)}
    return ir.Request(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", [*MEDIA_COSTS, "another"])
@pytest.mark.parametrize("part", [pytest.param(part, id=name) for name, part in PARTS])
def test_every_kind_of_content_counts(part: ir.Part, protocol: str) -> None:
    counter = Estimator()
    assert count_request(request(part), counter, protocol) > count_request(
        request(), counter, protocol
    )


@pytest.mark.parametrize(
    ("tool", "least"),
    [
        pytest.param(ir.FunctionTool(name="f", schema={"type": "object"}), 10, id="function"),
        pytest.param(
            ir.CustomTool(name="f", grammar=ir.Grammar(syntax="regex", definition=WORDS)),
            10,
            id="freeform",
        ),
        pytest.param(
            ir.HostedTool(
                kind=ir.HostedKind.WEB_SEARCH, protocol="anthropic", wire={"type": WORDS}
            ),
            10,
            id="hosted",
        ),
    ],
)
def test_tools_count(tool: ir.Tool, least: int) -> None:
    bare = count_request(request(), Estimator(), "gemini")
    assert count_request(request(tools=(tool,)), Estimator(), "gemini") >= bare + least


def test_the_output_schema_counts() -> None:
    output = ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema={"type": "object"})
    assert count_request(request(output=output), Estimator(), "gemini") > count_request(
        request(), Estimator(), "gemini"
    )


def test_pages_are_counted() -> None:
    part = ir.Document(source=ir.Inline(media_type="application/pdf", data=PDF))
    assert count_request(request(part), Estimator(), "gemini") >= 2 * 258


@pytest.mark.parametrize(
    ("protocol", "detail", "tokens"),
    [
        pytest.param("anthropic", None, 1568, id="anthropic"),
        pytest.param("gemini", None, 258, id="gemini"),
        pytest.param("openai_chat", None, 765, id="chat, high detail"),
        pytest.param("openai_responses", "low", 85, id="responses, low detail"),
    ],
)
def test_a_picture_has_its_documented_figure(
    protocol: str, detail: str | None, tokens: int
) -> None:
    image = ir.Image(source=PNG, detail=detail)
    with_image = count_request(request(image), Estimator(), protocol)
    assert with_image - count_request(request(), Estimator(), protocol) == tokens


def test_the_empty_request_counts_zero() -> None:
    assert count_request(request(messages=()), Estimator(), "anthropic") == 0


def test_both_counters_fit_the_protocol(encoding: tiktoken.Encoding) -> None:
    counters: list[TokenCounter] = [Estimator(), TiktokenCounter(encoding)]
    assert all(counter.count("hello") == 1 for counter in counters)
