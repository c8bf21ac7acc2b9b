"""`llmgate connect` and `disconnect`: point an agent program at the gateway in its own files, and take it back.

`clients` says what is set for whom (data). `json_text`, `toml_text` and `env_text` edit a text in place, `undo` takes
an edit back out of a file that has changed since. `files` writes, `store` remembers, `actions` puts them together,
`command` is what a person types. Editors are pure; only `files` and `store` touch the disk.
"""
