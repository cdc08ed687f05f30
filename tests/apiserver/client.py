"""
A small synchronous client for tests: sends exactly what it is given, and shows the API server's own messages.

The operator's client is not used, since tests must not trust what they test.
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

Object = dict[str, Any]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
PATIENCE = 60.0
"""Seconds that `until` waits."""
IDLE = 20.0
"""Seconds after which an idle connection is not used again: the server closes it at 90."""


class ApiError(Exception):
    """The API server's refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class ApiClient:
    """One connection with one identity."""

    def __init__(self, server: str, token: str, ca: Path) -> None:
        self.server = server
        self.token = token
        self.ca = ca
        where = urlsplit(server)
        context = ssl.create_default_context(cafile=str(ca))
        self._connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, context=context, timeout=PATIENCE
        )
        self._used = 0.0
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def ready(self) -> bool:
        """Whether the server says it is ready."""
        try:
            self.text("/readyz")
        except (OSError, http.client.HTTPException, ApiError):
            return False
        return True

    def text(self, path: str) -> str:
        """What a GET of a raw path answers."""
        return self._send("GET", path, None, JSON).decode()

    def request(self, method: str, path: str, body: Any = None, *, kind: str = JSON, **query: str) -> Object:
        """One request; `ApiError` unless the answer is a success. Bytes are sent as they are."""
        full = f"{path}?{urlencode(query)}" if query else path
        answer: Object = json.loads(self._send(method, full, body, kind))
        return answer

    def create(self, obj: Object, *, strict: bool = True, dry_run: bool = False) -> Object:
        """Create an object; unknown and duplicate fields are errors unless *strict* is false."""
        return self.request("POST", self.collection(obj), obj, **_options(strict, dry_run))

    def apply(
        self,
        obj: Object,
        *,
        manager: str = "test",
        strict: bool = True,
        dry_run: bool = False,
        part: str = "",
    ) -> Object:
        """Server-side apply; `part` is a subresource such as `status`."""
        query = {"fieldManager": manager, "force": "true"} | _options(strict, dry_run)
        return self.request("PATCH", self.path(obj, part), obj, kind=APPLY, **query)

    def patch(
        self, obj: Object, change: Object | list[Object], *, part: str = "", how: str = MERGE
    ) -> Object:
        """Patch the object that *obj* names; *how* is the content type."""
        return self.request("PATCH", self.path(obj, part), change, kind=how)

    def get(self, obj: Object, *, part: str = "") -> Object:
        """The stored form of the object that *obj* names."""
        return self.request("GET", self.path(obj, part))

    def delete(self, obj: Object) -> Object:
        """Delete the object that *obj* names."""
        return self.request("DELETE", self.path(obj))

    def until(self, obj: Object, holds: Callable[[Object], bool], what: str) -> Object:
        """Read the object until it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            stored = self.get(obj)
            if holds(stored):
                return stored
            time.sleep(0.05)
        raise TimeoutError(f"{obj['kind']} {obj['metadata']['name']}: not {what!r} after {PATIENCE:.0f} s")

    def path(self, obj: Object, part: str = "") -> str:
        """The object's own path."""
        return "/".join(filter(None, (self.collection(obj), obj["metadata"]["name"], part)))

    def collection(self, obj: Object) -> str:
        """The path of the list that the object is in; a namespace that is not said is `default`."""
        version, kind = obj["apiVersion"], obj["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural, namespaced = self._plural(root, version, kind)
        if not namespaced:
            return f"{root}/{plural}"
        return f"{root}/namespaces/{obj['metadata'].get('namespace', 'default')}/{plural}"

    def forget_kinds(self) -> None:
        """Ask again which kinds there are."""
        self._plurals.clear()

    def _plural(self, root: str, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._plurals:
            for entry in self.request("GET", root)["resources"]:
                if "/" not in entry["name"]:
                    self._plurals[version, entry["kind"]] = (entry["name"], entry["namespaced"])
        return self._plurals[version, kind]

    def _send(self, method: str, path: str, body: Any, kind: str) -> bytes:
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Accept": JSON, "Content-Type": kind}
        if time.monotonic() - self._used > IDLE:
            self._connection.close()  # the next request opens a new one
        try:
            self._connection.request(method, path, payload, headers)
            answer = self._connection.getresponse()
            content = answer.read()
            self._used = time.monotonic()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if answer.status >= 300:
            raise ApiError(answer.status, _message(content))
        return content


def _options(strict: bool, dry_run: bool) -> dict[str, str]:
    validation = {"fieldValidation": "Strict" if strict else "Ignore"}
    return validation | ({"dryRun": "All"} if dry_run else {})


def _message(content: bytes) -> str:
    """A Status's message, or the plain text that some paths answer."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip()
