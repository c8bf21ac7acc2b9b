"""The corpus across protocols: one literal table, case -> targets, with a golden for every crossing.

A request crosses from its client's protocol to an upstream's, an answer the other way; both stand in one golden
`<case>.to-<target>.json` with what was given up on the way, a stream in `<case>.to-<target>.sse`. The mode is
`max_compat`, nothing is known of the model. `pytest tests/translators --update-goldens` writes the goldens
anew: read the diff before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.crossing import CORPUS, NAMES, Case, cases, parse, render, streamed, whole
from tests.support.wirecheck import check_request, check_response, check_stream
from translators.errors import GatewayError
from translators.losses import Losses

GOLDEN: Final = Path(__file__).parents[1] / "golden"
LETTERS: Final = {"C": "openai_chat", "R": "openai_responses", "A": "anthropic", "G": "gemini"}
BROKEN: Final = frozenset({"cut-stream", "error-stream"})
"""Streams that must end in an error, whatever the client's protocol."""

# A small letter: the request is refused there in every mode, because the portability rules say so
# (image-url to G: without a fetched body there is nothing to send).
MATRIX: Final[Mapping[str, Mapping[str, str]]] = {
    "openai_chat": {
        "audio": "RAG",
        "capture-opencode-1.18.33-reasoning-tool": "RAG",
        "custom-tool": "RAG",
        "cut-stream": "RAG",
        "document": "RAG",
        "end-user": "RAG",
        "error-stream": "RAG",
        "forced-tool": "RAG",
        "image-url": "RAg",
        "image": "RAG",
        "length": "RAG",
        "logprobs": "RAG",
        "namespace-tools": "RAG",
        "parallel-calls": "RAG",
        "reasoning-tool": "RAG",
        "refusal": "RAG",
        "sampling": "RAG",
        "several-answers": "RAG",
        "stop-sequences": "RAG",
        "structured-output": "RAG",
        "system-turns": "RAG",
        "text": "RAG",
        "tool-results": "RAG",
        "tools": "RAG",
    },
    "openai_responses": {
        "capture-codex-known-model-0.169.0-reasoning-tool": "CAG",
        "custom-tool": "CAG",
        "cut-stream": "CAG",
        "document": "CAG",
        "end-user": "CAG",
        "error-stream": "CAG",
        "forced-tool": "CAG",
        "image-url": "CAg",
        "image": "CAG",
        "length": "CAG",
        "logprobs": "CAG",
        "namespace-tools": "CAG",
        "parallel-calls": "CAG",
        "reasoning-tool": "CAG",
        "refusal": "CAG",
        "sampling": "CAG",
        "structured-output": "CAG",
        "system-turns": "CAG",
        "text": "CAG",
        "tool-results": "CAG",
        "tools": "CAG",
        "web-search": "CAG",
    },
    "anthropic": {
        "cache-marks": "CRG",
        "capture-claude-code-2.1.329-parallel": "CRG",
        "capture-claude-code-2.1.329-reasoning-tool": "CRG",
        "capture-claude-code-2.1.329-text": "CRG",
        "capture-claude-code-2.1.329-tool": "CRG",
        "capture-claude-code-interactive-2.1.329-count": "CRG",
        "capture-claude-code-interactive-2.1.329-tool": "CRG",
        "capture-claude-code-thinking-budget-2.1.329-tool": "CRG",
        "capture-opencode-anthropic-1.18.33-reasoning-tool": "CRG",
        "capture-python-anthropic-2.11.0-reasoning-tool": "CRG",
        "custom-tool": "CRG",
        "cut-stream": "CRG",
        "document": "CRG",
        "end-user": "CRG",
        "error-stream": "CRG",
        "forced-tool": "CRG",
        "image-url": "CRg",
        "image": "CRG",
        "length": "CRG",
        "namespace-tools": "CRG",
        "parallel-calls": "CRG",
        "reasoning-tool": "CRG",
        "refusal": "CRG",
        "stop-sequences": "CRG",
        "structured-output": "CRG",
        "system-turns": "CRG",
        "text": "CRG",
        "tool-results": "CRG",
        "tools": "CRG",
        "web-search": "CRG",
    },
    "gemini": {
        "audio": "CRA",
        "capture-gemini-cli-0.61.0-reasoning-tool": "CRA",
        "custom-tool": "CRA",
        "cut-stream": "CRA",
        "document": "CRA",
        "error-stream": "CRA",
        "forced-tool": "CRA",
        "image-url": "CRA",
        "image": "CRA",
        "length": "CRA",
        "logprobs": "CRA",
        "namespace-tools": "CRA",
        "parallel-calls": "CRA",
        "reasoning-tool": "CRA",
        "sampling": "CRA",
        "several-answers": "CRA",
        "stop-sequences": "CRA",
        "structured-output": "CRA",
        "system-turns": "CRA",
        "text": "CRA",
        "tool-results": "CRA",
        "tools": "CRA",
        "web-search": "CRA",
    },
}


def _targets() -> list[Any]:
    return [
        pytest.param(Case(protocol, name), letter, id=f"{protocol}/{name} to {letter.upper()}")
        for protocol, rows in MATRIX.items()
        for name, letters in rows.items()
        for letter in letters
    ]


@pytest.mark.parametrize(("case", "letter"), _targets())
def test_crossing(case: Case, letter: str, update_goldens: bool) -> None:
    target = LETTERS[letter.upper()]
    golden = _golden(case, target)
    document = _document(case, target)
    assert ("refused" in document.get("request", {})) == letter.islower()
    if document:
        _compare(golden.with_name(golden.name + ".json"), _written(document), update_goldens)
    if case.stream is not None:
        data = streamed(case.protocol, target, [case.stream], case.name)[0]
        assert check_stream(target, data) == (case.name not in BROKEN)
        _compare(golden.with_name(golden.name + ".sse"), data, update_goldens)


def _document(case: Case, target: str) -> dict[str, Any]:
    """What becomes of a case's request and whole answer, judged."""
    document: dict[str, Any] = {}
    if case.request is not None:
        document["request"] = _request(case, target)
    if case.response is not None:
        body, losses = whole(case.protocol, target, case.response, case.name)
        check_response(target, body)
        document["response"] = {"body": body} | _degraded(losses)
    return document


def _request(case: Case, target: str) -> dict[str, Any]:
    try:
        rendered, losses = render(parse(case), target)
    except GatewayError as error:
        return {"refused": error.message, "path": error.path, "kind": error.kind.value}
    if case.meta.get("operation") is None:  # a body to count is no body to answer
        check_request(target, rendered.body, rendered.headers)
    headers = {"headers": dict(rendered.headers)} if rendered.headers else {}
    return {"body": rendered.body} | headers | _degraded(losses)


def _degraded(losses: Losses) -> dict[str, Any]:
    given_up = [f"{item.path}: {item.reason}" for item in losses.degradations]
    return {"degraded": given_up} if given_up else {}


def _golden(case: Case, target: str) -> Path:
    return GOLDEN / case.protocol / f"{case.name}.to-{target}"


def _written(document: dict[str, Any]) -> bytes:
    """One line per field of the second level: small files whose diffs can be read."""
    lines = []
    for side, value in document.items():
        fields = ",\n  ".join(_field(name, item) for name, item in value.items())
        lines.append(f'"{side}": {{\n  {fields}}}')
    return ("{" + ",\n".join(lines) + "}\n").encode()


def _field(name: str, value: Any) -> str:
    if name == "body":
        fields = ",\n    ".join(f"{_text(key)}: {_value(item)}" for key, item in value.items())
        return f'"body": {{\n    {fields}}}'
    return f"{_text(name)}: {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n      " + ",\n      ".join(map(_text, value)) + "]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _compare(path: Path, now: bytes, update: bool) -> None:
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(now)
        return
    assert path.exists(), f"{path.name} is missing: run with --update-goldens and read it"
    assert now.decode() == path.read_bytes().decode()


def test_table_names_every_corpus_case() -> None:
    listed = {f"{protocol}/{name}" for protocol, rows in MATRIX.items() for name in rows}
    assert listed == set(map(str, cases()))


def test_each_case_names_every_other_protocol() -> None:
    for protocol, rows in MATRIX.items():
        others = [letter for letter, name in LETTERS.items() if name != protocol]
        for name, letters in rows.items():
            assert list(letters.upper()) == others, f"{protocol}/{name}"


def test_no_corpus_file_is_an_orphan() -> None:
    endings = ("meta.yaml", "request.json", "response.json", "stream.sse")
    known = {case.path(ending) for case in cases() for ending in endings}
    found = {path for name in NAMES for path in (CORPUS / name).iterdir()}
    assert found <= known
    for case in cases():
        held = [case.request, case.response, case.stream]
        assert any(item is not None for item in held), f"{case} has nothing but its meta.yaml"


def test_no_golden_is_an_orphan() -> None:
    expected = set()
    for case in cases():
        for target in set(NAMES) - {case.protocol}:
            path = _golden(case, target)
            if case.request is not None or case.response is not None:
                expected.add(path.with_name(path.name + ".json"))
            if case.stream is not None:
                expected.add(path.with_name(path.name + ".sse"))
    found = {path for name in NAMES for path in (GOLDEN / name).iterdir()}
    assert found == expected


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in cases()])
def test_meta_says_source_date_and_model(case: Case) -> None:
    meta = case.meta
    assert meta["source"]
    assert meta["date"]
    assert meta["model"]
