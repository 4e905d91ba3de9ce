"""A real S3 server on loopback, which can put an end to who is talking to it."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer


class S3Server:
    """The server, with one bucket.

    Attributes:
        bucket: its name.
        client: of boto3.
        fault: is told each request, as in `PUT /bucket/key`, before it is done and when it is,
            and may kill who has made it; where it returns true, the answer is a refusal.
        refusal: its status.
    """

    bucket = "drops"

    def __init__(self, server: ThreadedMotoServer) -> None:
        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket=self.bucket)
        self.fault: Callable[[str, bool], bool] = lambda _request, _is_done: False
        self.refusal = "503 Service Unavailable"
        assert server._server is not None
        self._app, server._server.app = server._server.app, self._answer

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        if self.fault(request, False):
            return self._refuse(start)
        begun: list[Any] = []

        def begin(*line: Any) -> Callable[[bytes], object]:
            begun[:] = line
            return begun.append

        answer = list(self._app(environ, begin))
        if self.fault(request, True):
            return self._refuse(start)
        start(*begun)
        return answer

    def _refuse(self, start: Callable[..., Any]) -> list[bytes]:
        start(self.refusal, [])
        return []

    def tree(self, prefix: str, *, skipped: str = ".msgpack") -> dict[str, bytes]:
        """Return the bytes of all objects below a prefix; but see `splitting.tree`."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{prefix}/"
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {
            key.removeprefix(f"{prefix}/"): self.client.get_object(Bucket=self.bucket, Key=key)[
                "Body"
            ].read()
            for key in keys
            if not key.endswith(skipped)
        }

    def put(self, key: str, data: bytes) -> None:
        """Put an object there."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def kill_at(
        self, request: str, *, count: int = 1, is_done: bool = False, number: int = signal.SIGKILL
    ) -> Callable[[subprocess.Popen[str]], None]:
        """Return what arms the server against a process.

        Args:
            request: pattern of the request that it will not outlive.
            count: of so many, the last.
            is_done: whether the server has done what was asked for by then.
            number: of the signal.
        """

        def arm(process: subprocess.Popen[str]) -> None:
            left = count

            def fault(found: str, found_is_done: bool) -> bool:
                nonlocal left
                if found_is_done == is_done and re.search(request, found):
                    left -= 1
                    if left == 0:
                        process.send_signal(number)
                        return True
                return False

            self.fault = fault

        return arm

    @contextmanager
    def refusing(
        self, request: str, *, count: int = 1, is_done: bool = False, for_good: bool = False
    ) -> Iterator[None]:
        """Answer requests with 403 for a while.

        Args:
            request: pattern of the requests.
            count: from so many on.
            is_done: whether the server does what they ask for.
            for_good: whether it refuses all others from then on, too.
        """
        seen = 0

        def fault(found: str, found_is_done: bool) -> bool:
            nonlocal seen
            is_it = found_is_done == is_done and re.search(request, found) is not None
            seen += is_it
            return seen >= count and (is_it or for_good)

        self.refusal, self.fault = "403 Forbidden", fault
        try:
            yield
        finally:
            self.fault = lambda _request, _is_done: False

    @contextmanager
    def meanwhile(self, request: str, act: Callable[[], object]) -> Iterator[None]:
        """Do something when the first request of a kind is done, before it is answered."""

        def fault(found: str, is_done: bool) -> bool:
            if is_done and re.search(request, found):
                self.fault = lambda _request, _is_done: False
                act()
            return False

        self.fault = fault
        yield


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server, which the environment names while it does."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield S3Server(server)
    server.stop()
    # A client that fsspec keeps in this process would ask it for ever, and no later server.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
