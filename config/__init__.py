"""Configuration: YAML files, environment and options in, one frozen `Config` out.

`config.loader.load` reads and checks everything at once; `config.models.Config` is the snapshot that a
request keeps from start to end. Presets, prices and status tables are data files beside this module.
Nothing in here imports mitmproxy.
"""
