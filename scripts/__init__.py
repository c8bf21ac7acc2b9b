"""Command line tools of llmgate, and the embedded fake provider that the demo and the tests talk to."""
