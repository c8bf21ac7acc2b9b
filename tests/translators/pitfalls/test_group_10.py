"""Pitfalls, group 10: images, PDF, audio, files."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.crossfire import is_error, told, whole
from tests.support.pitfalls import ALL, PNG, A, C, G, R, answer, cross, events_of, sse
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode
from translators.wire import dumps

JPEG = "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="
PDF = "JVBERi0xLjQKJcOkw7zDtsOfCg=="
WAV = "UklGRiQAAABXQVZFZm10IA=="
HTTPS = "https://example.com/cat.png"


def chat(*parts: dict[str, Any]) -> dict[str, Any]:
    """A Chat request of one user message."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, *parts]}]}


def image(url: str, **more: Any) -> dict[str, Any]:
    """A Chat image part."""
    return {"type": "image_url", "image_url": {"url": url, **more}}


def claude(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A Messages request of one user message."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, *blocks]}]}


def responses(*parts: dict[str, Any]) -> dict[str, Any]:
    """A Responses request of one user message."""
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}, *parts]}]}


@pytest.mark.parametrize("mode", list(Mode))
def test_med_01_an_https_image_that_gemini_cannot_fetch_is_refused(mode: Mode) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(C, G, chat(image(HTTPS)), mode=mode)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert caught.value.path == "messages[0].content[1]"


def test_med_01_a_model_that_takes_urls_gets_the_url() -> None:
    crossed = cross(C, G, chat(image(HTTPS)), file_uris=True)
    assert crossed.body["contents"][0]["parts"][1]["fileData"]["fileUri"] == HTTPS


@pytest.mark.parametrize("upstream", [R, A])
def test_med_01_others_take_the_url_as_it_is(upstream: str) -> None:
    assert HTTPS in cross(C, upstream, chat(image(HTTPS))).text


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        pytest.param(f"data:;base64,{PNG}", "image/png", id="no media type"),
        pytest.param(f"data:base64,{PNG}", "image/png", id="no media type and no semicolon"),
        pytest.param(f"data:image/jpeg;base64,{PNG}", "image/png", id="a wrong media type"),
        pytest.param(f"DATA:IMAGE/PNG;BASE64,{PNG}", "image/png", id="upper case"),
        pytest.param(f"data:image/jpg;base64,{JPEG}", "image/jpeg", id="image/jpg"),
    ],
)
def test_med_02_data_urls_get_their_real_media_type(url: str, media_type: str) -> None:
    source = cross(C, A, chat(image(url))).body["messages"][0]["content"][1]["source"]
    data = JPEG if media_type == "image/jpeg" else PNG
    assert source == {"type": "base64", "media_type": media_type, "data": data}


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("upstream", [C, A, G])
def test_med_04_an_image_by_file_id_is_refused_at_home(upstream: str, mode: Mode) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, responses({"type": "input_image", "file_id": "file-1"}), mode=mode)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert caught.value.path == "input[0].content[1]"


def test_med_06_a_pdf_file_becomes_a_document_with_its_name() -> None:
    part = {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}
    block = cross(C, A, chat({"type": "file", "file": part})).body["messages"][0]["content"][1]
    assert block == {
        "type": "document",
        "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    }


SOUND = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}


@pytest.mark.parametrize("upstream", [A, R])
@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.BALANCED])
def test_med_06_sound_is_refused_where_it_cannot_be_heard(upstream: str, mode: Mode) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(C, upstream, chat(SOUND), mode=mode)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert caught.value.path == "messages[0].content[1]"


@pytest.mark.parametrize("upstream", [A, R])
def test_med_06_sound_is_never_a_document_and_its_loss_is_told(upstream: str) -> None:
    crossed = cross(C, upstream, chat(SOUND))
    assert "audio" in crossed.lost or "sound" in crossed.lost
    assert "document" not in crossed.text
    assert "audio/wav" not in crossed.text


@pytest.mark.parametrize("upstream", [C, R])
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            {"type": "text", "media_type": "text/plain", "data": "The body."}, id="text source"
        ),
        pytest.param({"type": "content", "content": "The body."}, id="content source, a string"),
        pytest.param(
            {"type": "content", "content": [{"type": "text", "text": "The body."}]},
            id="content source, blocks",
        ),
    ],
)
def test_med_07_text_documents_arrive_as_text_with_their_title(
    upstream: str, source: dict[str, Any]
) -> None:
    block = {"type": "document", "title": "Notes", "source": source}
    text = cross(A, upstream, claude(block)).text
    assert "The body." in text
    assert "Notes" in text


def test_med_08_a_pdf_becomes_an_input_file() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    body = cross(A, R, claude({"type": "document", "title": "a.pdf", "source": source})).body
    assert body["input"][0]["content"][1] == {
        "type": "input_file",
        "filename": "a.pdf",
        "file_data": f"data:application/pdf;base64,{PDF}",
    }
    unnamed = cross(A, R, claude({"type": "document", "source": source})).body
    assert unnamed["input"][0]["content"][1]["filename"] == "document.pdf"


def test_med_09_sound_reaches_gemini() -> None:
    body = cross(C, G, chat(SOUND), audio=True).body
    assert body["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "audio/wav", "data": WAV}}


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        pytest.param("data:video/mp4;base64,AAAAIGZ0eXBpc29t", "inlineData", id="inline"),
        pytest.param("gs://bucket/film.mp4", "fileData", id="in a bucket"),
    ],
)
def test_med_10_a_video_reaches_gemini_or_is_refused(url: str, kind: str) -> None:
    part = {"type": "video_url", "video_url": {"url": url}}
    body = cross(C, G, chat(part), video=True).body
    assert kind in body["contents"][0]["parts"][1]
    for upstream in (R, A):
        with pytest.raises(GatewayError):
            cross(C, upstream, chat(part))


@pytest.mark.parametrize(
    ("given", "sent"),
    [("low", "low"), ("high", "high"), ("auto", None), ("original", "high")],
)
def test_med_11_detail_in_the_words_of_chat(given: str, sent: str | None) -> None:
    part = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": given}
    [_, picture] = cross(R, C, responses(part)).body["messages"][0]["content"]
    assert picture["image_url"].get("detail") in ({sent} if sent else {None, "auto"})


@pytest.mark.parametrize("upstream", ALL)
def test_med_13_both_spellings_of_gemini_parts(upstream: str) -> None:
    spellings = [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inline_data": {"mime_type": "image/png", "data": PNG}},
    ]
    bodies = [
        cross(G, upstream, {"contents": [{"role": "user", "parts": [{"text": "see"}, part]}]}).body
        for part in spellings
    ]
    assert bodies[0] == bodies[1]
    assert PNG in dumps(bodies[0]).decode()


GEMINI_PICTURE = {
    "responseId": "r1",
    "modelVersion": "m",
    "candidates": [
        {
            "index": 0,
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Here: "},
                    {"inlineData": {"mimeType": "image/png", "data": PNG}},
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8},
}


def test_med_15_a_picture_in_a_gemini_answer() -> None:
    asked = cross(R, G, {**responses(), "tools": [{"type": "image_generation"}]}, check=False)
    body, _ = answer(G, R, GEMINI_PICTURE, asked)
    assert [item["type"] for item in body["output"]] == ["message", "image_generation_call"]
    assert body["output"][1]["result"] == PNG


def test_med_15_chat_gets_it_where_clients_look_for_it() -> None:
    body, _ = answer(G, C, GEMINI_PICTURE)
    message = body["choices"][0]["message"]
    assert message["content"] == "Here: "
    assert message["images"][0]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


def test_med_15_a_client_that_cannot_have_pictures_is_told_of_one() -> None:
    body, losses = answer(G, A, GEMINI_PICTURE)
    assert PNG not in dumps(body).decode()
    assert body["content"][0]["text"] == "Here: "
    assert losses.degradations
    for mode in (Mode.BALANCED, Mode.STRICT):
        with pytest.raises(GatewayError):
            whole(G, A, GEMINI_PICTURE, mode)


@pytest.mark.parametrize("client", [C, R, A])
def test_med_15_the_same_in_a_stream(client: str) -> None:
    result = told(G, client, sse(GEMINI_PICTURE))
    assert b"Here: " in result.data
    assert (PNG.encode() in result.data) == (client != A)
    if client == A:
        assert result.losses.degradations


@pytest.mark.parametrize("mode", [Mode.BALANCED, Mode.STRICT])
def test_med_15_a_stream_that_cannot_have_it_ends_in_an_error(mode: Mode) -> None:
    assert is_error(A, told(G, A, sse(GEMINI_PICTURE), mode).frames)


def test_the_helper_reads_what_it_writes() -> None:
    assert events_of(sse({"a": 1}, done=True)) == [{"a": 1}]
