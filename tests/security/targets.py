"""Requests that try to leave the exposed paths, sent byte by byte: a client library would tidy them up."""

import socket

CLOSED = (
    "/metrics",
    "/v1/../metrics",
    "/v1/..%2fmetrics",
    "/v1/%2e%2e/metrics",
    "/v1/%2e%2e%2fmetrics",
    "/v1/.%2e/metrics",
    "//metrics",
    "//v1/models",
    "/v1//models",
    "/./v1/models",
    "/v1/./models",
    "/metrics/../v1/models",
    "/metrics/..%2fv1/models",
    "/metrics/..%2Fv1/models",
    "/metrics/%2e%2e/v1/models",
    "/metrics/%2E%2E/v1/models",
    "/metrics/..;/v1/models",
    "/metrics;/../v1/models",
    "/metrics%3b/../v1/models",
    "/metrics%3f/../v1/models",
    "/metrics%23/../v1/models",
    "/metrics%00/../v1/models",
    "/metrics%252f..%252fv1/models",
    "/metrics%5c..%5cv1/models",
    "/metrics\\..\\v1\\models",
    "/metricsx/../v1/models",
    "/tokenize/../v1/models",
    "/tokenize/..%2fv1/models",
    "/invocations/../v1/models",
    "/server_info/../v1/models",
    "/server_info?/../v1/",
    "/sleep/../v1/models",
    "/reset_prefix_cache/../v1/models",
    "/v1/models/..%2f..%2fsleep",
    "/v1//../../sleep",
    "/v1\\..\\sleep",
    "/v1/load_lora_adapter",
    "/v1/load_lora_adapter/",
    "/v1/unload_lora_adapter",
    "/v1/%6coad_lora_adapter",
    "/v1/load%5FlorA_adapter/../load_lora_adapter",
    "/v1/models/%2e",
    "/v1/models%2f",
    "/v1/models%c0%ae",
    "/v1/models%zz",
    "/v1x",
    "http://{host}/metrics",
    "http://{host}/metrics/../v1/models",
    "http://{host}//metrics",
)
"""Each must be refused from outside, with the key or without; `{host}` is the endpoint's host."""
FOR_OPERATORS = (
    "/abort_requests",
    "/collective_rpc",
    "/is_sleeping",
    "/pause",
    "/reset_mm_cache",
    "/reset_prefix_cache",
    "/scale_elastic_ep",
    "/server_info",
    "/sleep",
    "/start_profile",
    "/update_weights",
    "/v1/load_lora_adapter",
    "/wake_up",
)
"""Refused from outside even where an edge exposes `/`, until they are named."""


def ask(
    address: str, port: int, target: str, host: str, *headers: str, method: str = "GET"
) -> tuple[int, str]:
    """Status and whole answer to a request for exactly this target."""
    lines = [f"{method} {target.format(host=host)} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    with socket.create_connection((address, port), 30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while received := connection.recv(65536):
            answer += received
    text = answer.decode("latin-1")
    return int(text.split(" ", 2)[1]), text
