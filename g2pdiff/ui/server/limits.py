"""How much a request may hold: FastAPI reads a body into memory before anything of ours sees it."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAXIMUM_BYTES = 8_000_000  # of a request: eight times the longest FASTA text, so that one too long is named

TOO_LARGE = f"The request is larger than {MAXIMUM_BYTES // 1_000_000} MB: send less at a time."


class LimitedBodies:
    """ASGI middleware that refuses a request of more than `MAXIMUM_BYTES` with status 413 and a sentence,
    whether it says its length or not."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        came = 0

        async def receive_some() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > MAXIMUM_BYTES:
                raise HTTPException(413, TOO_LARGE)
            return message

        length = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if length.isdecimal() and int(length) > MAXIMUM_BYTES:
            await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
        else:
            await self.app(scope, receive_some, send)
