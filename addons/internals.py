"""Every name of mitmproxy's HTTP core that llmgate touches: the only file that imports `mitmproxy.proxy.layers`.

mitmproxy does not promise these. selfcheck.py compares `SIGNATURES` with what is installed and rehearses a failover
before the gateway serves anything; whoever raises the mitmproxy version starts reading here.

    HttpLayer     overridden: make_stream, _handle_event, event_to_child, get_connection, register_connection
                  used: streams, connections, command_sources, waiting_for_establishment
    HttpConnection    derived from, for turns of a WebSocket
    HttpStream    overridden: _handle_event, start_request_stream, make_server_connection, check_killed,
                  check_body_size, check_invalid, state_consume_request_body, handle_protocol_error,
                  send_response, flow_done, passthrough
                  used: client_state, server_state, state_done, state_errored, state_consume_request_body,
                  request_body_buf, response_body_buf, _paused
    commands      GetHttpConnection(+Completed), RegisterHttpConnection, SendHttp, DropStream, RequestWakeup,
                  StartHook, CloseConnection; the request and response events, ErrorCode
    Http1Server, Http1Client    stream_id, buf, state, read_headers; the client's body_reader (joinchunks.py);
                  the server's send(ResponseData) and response, the client's read_body (shortcut.py)
    HttpClient    child_layer, handle_event (shortcut.py)
    layer.Layer   debug, handle_event
    Http2Client   stream_queue, streams, our_stream_id, their_stream_id, h2_conn; overridden: handle_h2_event, and of
                  h2_conn `_frame_dispatch_table[GoAwayFrame]` (farewell.py)
    handlers      proxyserver.connections[client id]: server_event, drain_writers, max_conns
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from h2.connection import ConnectionState as H2State
from h11._readers import ChunkedReader
from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpClient,
    HttpConnection,
    HttpErrorHook,
    HttpLayer,
    HTTPMode,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    HttpStream,
    RegisterHttpConnection,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.proxy.layers.modes import ReverseProxy
from mitmproxy.proxy.layers.tls import ClientTLSLayer
from mitmproxy.proxy.layers.websocket import (
    WebsocketEndHook,
    WebsocketMessageHook,
    WebSocketMessageInjected,
    WebsocketStartHook,
)

__all__ = [
    "FROM_UPSTREAM",
    "SIGNATURES",
    "TO_UPSTREAM",
    "ClientTLSLayer",
    "DropStream",
    "ErrorCode",
    "GetHttpConnection",
    "GetHttpConnectionCompleted",
    "HTTPMode",
    "Http1Client",
    "Http1Server",
    "Http2Client",
    "HttpClient",
    "HttpConnection",
    "HttpErrorHook",
    "HttpLayer",
    "HttpRequestHeadersHook",
    "HttpRequestHook",
    "HttpResponseHeadersHook",
    "HttpResponseHook",
    "HttpStream",
    "ReceiveHttp",
    "RegisterHttpConnection",
    "RequestData",
    "RequestEndOfMessage",
    "RequestHeaders",
    "RequestProtocolError",
    "ResponseData",
    "ResponseEndOfMessage",
    "ResponseHeaders",
    "ResponseProtocolError",
    "ResponseTrailers",
    "ReverseProxy",
    "SendHttp",
    "WebSocketMessageInjected",
    "WebsocketEndHook",
    "WebsocketMessageHook",
    "WebsocketStartHook",
    "chunked_client",
    "discard_head",
    "forget_stream",
    "handler_of",
    "http_client",
    "is_chunked",
    "is_idle",
    "is_usable",
    "request_head_size",
]

SIGNATURES: Final[Mapping[str, str]] = {
    "HttpLayer.make_stream": "(self, stream_id)",
    "HttpLayer._handle_event": "(self, event)",
    "HttpLayer.event_to_child": "(self, child, event)",
    "HttpLayer.get_connection": "(self, event, *, reuse)",
    "HttpLayer.register_connection": "(self, command)",
    "HttpStream._handle_event": "(self, event)",
    "HttpStream.start_request_stream": "(self)",
    "HttpStream.make_server_connection": "(self)",
    "HttpStream.check_killed": "(self, emit_error_hook)",
    "HttpStream.check_body_size": "(self, request)",
    "HttpStream.check_invalid": "(self, request)",
    "HttpStream.state_consume_request_body": "(self, event)",
    "HttpStream.handle_protocol_error": "(self, event)",
    "HttpStream.send_response": "(self, already_streamed)",
    "HttpStream.flow_done": "(self)",
    "HttpStream.passthrough": "(self, event)",
    "HttpConnection.__init__": "(self, context, conn)",
    "Http2Client.handle_h2_event": "(self, event)",
}
"""What we override or call, and what we expect it to take."""

TO_UPSTREAM: Final = (
    RequestHeaders,
    RequestData,
    RequestTrailers,
    RequestEndOfMessage,
    RequestProtocolError,
)
FROM_UPSTREAM: Final = (
    ResponseHeaders,
    ResponseData,
    ResponseTrailers,
    ResponseEndOfMessage,
    ResponseProtocolError,
)


def handler_of(client: Client) -> Any:
    """The connection handler of a live client; None once it has gone."""
    return ctx.master.addons.get("proxyserver").connections.get(client.id)


def http_client(top: layer.Layer | None) -> Http1Client | Http2Client | None:
    """The HTTP layer at the bottom of an upstream connection's stack (egress proxy, TLS, HTTP)."""
    while top is not None and not isinstance(top, (Http1Client, Http2Client)):
        top = getattr(top, "child_layer", None)
    return top


def is_idle(top: layer.Layer | None) -> bool:
    """Whether an upstream connection serves no request at all."""
    http = http_client(top)
    if isinstance(http, Http1Client):
        return http.stream_id is None and not http.buf
    if isinstance(http, Http2Client):
        return _is_open(http) and not http.h2_conn.open_outbound_streams and not http.stream_queue
    return False


def is_usable(top: layer.Layer | None) -> bool:
    """Whether an upstream connection can take a request now: idle, or HTTP/2 and open."""
    http = http_client(top)
    return _is_open(http) if isinstance(http, Http2Client) else is_idle(http)


def _is_open(http: Http2Client) -> bool:
    leaving = getattr(http, "leaving", False)  # of those that are patient (farewell.py)
    return not leaving and http.h2_conn.state_machine.state is not H2State.CLOSED


def chunked_client(top: layer.Layer | None) -> Http1Client | None:
    """The HTTP/1.1 layer of an upstream connection if it is reading a chunked body with h11's own reader."""
    http = http_client(top)
    if isinstance(http, Http1Client) and type(getattr(http, "body_reader", None)) is ChunkedReader:
        return http
    return None


def is_chunked(response: http.Response | None) -> bool:
    """Whether the HTTP/1.1 layer makes chunks of a response's body."""
    if response is None:
        return False
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def forget_stream(top: layer.Layer | None, stream_id: int) -> bool:
    """Take back a request that an HTTP/2 connection has queued and not sent; False if it is on its way."""
    http = http_client(top)
    return isinstance(http, Http2Client) and http.stream_queue.pop(stream_id, None) is not None


def discard_head(top: layer.Layer | None) -> None:
    """Let go of the bytes of a message head that nobody will read: the layers of a closed connection live on a while."""
    http = top if isinstance(top, Http1Server) else http_client(top)
    if isinstance(http, (Http1Server, Http1Client)):
        http.buf = type(http.buf)()


def request_head_size(top: layer.Layer | None) -> int:
    """Bytes held of a message head that has not ended, 0 when none is being read."""
    if isinstance(top, Http1Server):
        return len(top.buf) if top.state == top.read_headers else 0
    http = http_client(top)
    if isinstance(http, Http1Client):
        return len(http.buf) if http.state == http.read_headers else 0
    return 0
