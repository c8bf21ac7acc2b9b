"""Protocol translation: four protocols over one hub, sans-I/O.

No sockets, files, clock, environment, logging or mitmproxy in here; `PROTOCOLS` is the one place that
lists the protocols.
"""
