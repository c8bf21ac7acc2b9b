"""The README's table is what the translators do now, complete, and without a silent loss."""

from __future__ import annotations

import pytest

from scripts import feature_table
from scripts.feature_table import ORDER, LostSilentlyError, Outcome, features, outcome, table
from scripts.readme import README, with_table


def test_the_readme_shows_what_is_true_now() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text, "matrix", table()) == text, "run python -m scripts.feature_table"


def test_every_feature_of_the_corpus_has_a_row() -> None:
    assert set(features()) == set(ORDER)


@pytest.mark.parametrize(
    ("case", "client", "upstream", "expected"),
    [
        pytest.param("text", "anthropic", "gemini", Outcome.CARRIED, id="text crosses whole"),
        pytest.param(
            "tool-results", "anthropic", "openai_chat", Outcome.EMULATED, id="images go behind"
        ),
        pytest.param("image-url", "openai_chat", "gemini", Outcome.REFUSED, id="nothing to send"),
        pytest.param("audio", "openai_chat", "anthropic", Outcome.GIVEN_UP, id="A hears nothing"),
        pytest.param("audio", "anthropic", "openai_chat", Outcome.UNSAID, id="A has no audio"),
    ],
)
def test_outcomes(case: str, client: str, upstream: str, expected: Outcome) -> None:
    assert outcome(case, client, upstream) is expected


def test_a_stale_table_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["feature_table", "--check"])
    assert feature_table.main() == 0
    monkeypatch.setattr(feature_table, "table", lambda: "| nothing |\n")
    assert feature_table.main() == 1
    assert "not fresh" in capsys.readouterr().err


def test_a_silent_loss_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_table, "_arrives", lambda witnesses, body: False)
    with pytest.raises(LostSilentlyError):
        outcome("text", "anthropic", "gemini")


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="matrix:begin"):
        with_table("# llmgate", "matrix", "")
