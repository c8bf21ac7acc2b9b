"""The mitmproxy side of llmgate: addons with one concern each, and the engine that they drive."""
