"""From a public address of a job to a server inside of it. Plain HTTP; no upgrades to WebSockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

_KEPT_BACK = frozenset(
    {"host", "authorization", "x-sandbox-token", "connection", "keep-alive", "transfer-encoding", "content-length"}
)


async def forward(request: Request, port: int, path: str) -> Response:
    """The answer of whatever listens on a port; 502 when nothing does. Credentials of the Hub stay outside."""
    client = httpx.AsyncClient(timeout=httpx.Timeout(60.0, connect=5.0), trust_env=False)
    url = httpx.URL(f"http://127.0.0.1:{port}/{path}", query=request.url.query.encode())
    headers = [(name, value) for name, value in request.headers.items() if name not in _KEPT_BACK]
    content = await request.body()
    try:
        answer = await client.send(
            client.build_request(request.method, url, headers=headers, content=content), stream=True
        )
    except httpx.TransportError as error:
        await client.aclose()
        return JSONResponse({"error": f"nothing answers on port {port}: {error}"}, 502)

    async def body() -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.aiter_raw():
                yield chunk
        finally:
            await answer.aclose()
            await client.aclose()

    kept = {name: value for name, value in answer.headers.items() if name not in _KEPT_BACK}
    return StreamingResponse(body(), answer.status_code, headers=kept)
