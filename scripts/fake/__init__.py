"""A fake LLM provider for the demo and the tests: OpenAI Chat, OpenAI Responses, Anthropic, Gemini.

Strict about what it accepts, scripted in what it answers; it shares no code with the translators, which it is
there to test. Standard library and orjson only.
"""

from scripts.fake.provider import DEFAULT_KEY, FakeProvider
from scripts.fake.record import Record, Recorded
from scripts.fake.scenarios import SCENARIOS

__all__ = ["DEFAULT_KEY", "SCENARIOS", "FakeProvider", "Record", "Recorded"]
