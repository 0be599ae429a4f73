"""The least an agent can be: one connection, one shell tool, streamed replies, nothing but the standard library.

python benchmarks/floor.py BASE_URL PROMPT
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": PARAMETERS}}]


def main(base_url: str, prompt: str) -> None:
    """Works on the prompt and prints the answer."""
    url = urlsplit(base_url)
    connection = http.client.HTTPConnection(url.netloc)
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    while True:
        body = json.dumps({"model": "bench", "messages": messages, "tools": TOOLS, "stream": True})
        connection.request("POST", f"{url.path}/chat/completions", body, {"Content-Type": "application/json"})
        text = ""
        calls: list[dict[str, Any]] = []
        for line in connection.getresponse():
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["delta"].get("content") or ""
                    calls += choice["delta"].get("tool_calls") or []
        if not calls:
            print(text)
            return
        messages.append({"role": "assistant", "content": text, "tool_calls": calls})
        for call in calls:
            command = json.loads(call["function"]["arguments"])["command"]
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout + done.stderr})


if __name__ == "__main__":
    main(*sys.argv[1:])
