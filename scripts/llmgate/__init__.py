"""The command line: `python -m scripts.llmgate`, installed as `llmgate`. One file per group of commands."""
