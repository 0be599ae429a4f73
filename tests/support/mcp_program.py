"""An MCP server out of the standard library alone, which starts at once and misbehaves on request.

Run as a program. Arguments say how it behaves; without any, it is a model of good conduct.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]


class Server:
    """Speaks the protocol of 2025, line by line; every call runs in a thread of its own."""

    def __init__(self, conduct: list[str]) -> None:
        self.conduct = conduct
        self.tools: dict[str, Callable[..., Any]] = {
            name.removeprefix("tool_"): getattr(self, name) for name in dir(self) if name.startswith("tool_")
        }
        self.names = list(self.tools)
        self.lock = threading.Lock()
        self.answers: dict[str, Message] = {}
        self.answered = threading.Condition()
        self.cancelled: list[Any] = []

    def serve(self) -> None:
        """Answers until the input ends, and longer if it is stubborn."""
        for line in sys.stdin:
            self.take(json.loads(line))
        while "stubborn" in self.conduct:
            time.sleep(1)

    def take(self, message: Message) -> None:
        """One message of the client."""
        method, number = message.get("method"), message.get("id")
        if method is None:
            with self.answered:
                self.answers[str(number)] = message
                self.answered.notify_all()
        elif method == "notifications/cancelled":
            self.cancelled.append(message["params"]["requestId"])
        elif method == "initialize":
            if "mute" not in self.conduct:
                version = message["params"]["protocolVersion"]
                info = {"name": "program", "version": "1"}
                capabilities = {"tools": {"listChanged": True}, "logging": {}}
                self.answer(number, {"protocolVersion": version, "serverInfo": info, "capabilities": capabilities})
        elif method == "tools/list":
            self.answer(number, {"tools": self.listing()})
        elif method == "tools/call":
            threading.Thread(target=self.run, args=(number, message["params"]), daemon=True).start()
        elif number is not None:
            self.send({"id": number, "error": {"code": -32601, "message": "no such method"}})

    def listing(self) -> list[Message]:
        """The tools, odd ones included."""
        hints = {"echo": {"readOnlyHint": True}, "crash": {"destructiveHint": True}}
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        if "slips" in self.conduct:
            pattern = {"type": "string", "pattern": "^(a+)+$"}  # takes for ever over many a and another letter
            output = {"type": "object", "required": ["word"], "properties": {"word": pattern}}
            return [{"name": "slip", "inputSchema": schema, "outputSchema": output}]
        names = [*self.names, *(json.loads(Path(self.conduct[1]).read_text()) if self.conduct[:1] == ["names"] else [])]
        tools = [
            {"name": name, "description": f"\x1b[31mDoes\x1b[0m {name}.", "inputSchema": schema}
            | ({"annotations": hints[name]} if name in hints else {})
            for name in names
        ]
        if "bad-schema" in self.conduct:
            tools.append({"name": "bad", "inputSchema": {"type": "object", "properties": {"a": {"type": 5}}}})
            tools.append({"name": "huge", "inputSchema": {"type": "object", "description": "x" * 40_000}})
        return tools

    # ---------------------------------------------------------------------------------------------- messages

    def send(self, message: Message) -> None:
        """Writes one line."""
        with self.lock:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            sys.stdout.flush()

    def answer(self, number: Any, result: Message) -> None:
        """Answers a request."""
        self.send({"id": number, "result": result})

    def ask(self, method: str, params: Message, seconds: float = 5) -> Message:
        """Asks the client something, and waits for the answer."""
        number = f"ask-{method}"
        self.send({"id": number, "method": method, "params": params})
        with self.answered:
            self.answered.wait_for(lambda: number in self.answers, timeout=seconds)
            return self.answers.pop(number)

    def run(self, number: Any, params: Message) -> None:
        """One call."""
        name, arguments = params["name"], params.get("arguments") or {}
        if name == "slip":
            self.slip(number, arguments["text"])
            return
        if name not in self.tools:
            self.send({"id": number, "error": {"code": -32602, "message": f"unknown tool {name}"}})
            return
        self.token = params.get("_meta", {}).get("progressToken")
        result = self.tools[name](**arguments)
        self.answer(
            number, result if isinstance(result, dict) else {"content": [{"type": "text", "text": str(result)}]}
        )

    def slip(self, number: Any, kind: str) -> None:
        """Answers a call with something that the protocol does not know, or the tool's own schema."""
        said = [{"type": "text", "text": "right"}]
        kinds: dict[str, Message] = {
            "number": {"result": 5},
            "words": {"error": "it went wrong"},
            "block": {"result": {"content": [{"type": "picture"}]}},
            "bare": {"result": {"content": said}},
            "pattern": {"result": {"content": said, "structuredContent": {"word": "a" * 40 + "!"}}},
        }
        self.send({"id": number, **kinds[kind]})

    # ------------------------------------------------------------------------------------------------- tools

    def tool_echo(self, text: str = "") -> str:
        return text

    def tool_environment(self) -> str:
        return json.dumps({"env": dict(os.environ), "cwd": str(Path.cwd()), "pid": os.getpid(), "argv": sys.argv})

    def tool_slow(self, text: str = "60") -> str:
        time.sleep(float(text))
        return "awake"

    def tool_cancellations(self) -> str:
        return str(len(self.cancelled))

    def tool_crash(self) -> None:
        sys.stderr.write("Traceback\nMemoryError: \x1b[1mno more\x1b[0m\n")
        sys.stderr.flush()
        os._exit(3)

    def tool_large(self, text: str = "500000") -> str:
        return "head" + "x" * int(text) + "tail"

    def tool_fail(self) -> Message:
        return {"isError": True, "content": [{"type": "text", "text": "the disk is \x1b[31mfull\x1b[0m"}]}

    def tool_structured(self) -> Message:
        return {"content": [], "structuredContent": {"rows": 3}}

    def tool_both(self) -> Message:
        return {"content": [{"type": "text", "text": '{"rows": 3}'}], "structuredContent": {"rows": 3}}

    def tool_blocks(self) -> Message:
        picture = {"data": "QUJD" * 1000, "mimeType": "image/png"}
        return {
            "content": [
                {"type": "text", "text": "first"},
                {"type": "image", **picture},
                {"type": "audio", "data": "QUJD", "mimeType": "audio/wav"},
                {"type": "resource_link", "uri": "file:///a.csv", "name": "a.csv", "description": "the table"},
                {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "inside b"}},
                {"type": "resource", "resource": {"uri": "file:///c.bin", "blob": "QUJD"}},
            ]
        }

    def tool_picture(self, text: str = "") -> Message:
        """The image in a file."""
        data = base64.b64encode(Path(text).read_bytes()).decode()
        return {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]}

    def tool_tell(self, text: str = "") -> str:
        progress = {"progressToken": self.token, "progress": 1, "total": 4, "message": "begun"}
        self.send({"method": "notifications/progress", "params": progress})
        self.send({"method": "notifications/message", "params": {"level": "warning", "data": f"careful {text}"}})
        return "told"

    def tool_ask_person(self) -> str:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        reply = self.ask("elicitation/create", {"message": "your password?", "requestedSchema": schema})
        return json.dumps(reply.get("result") or reply.get("error"))

    def tool_ask_form(self) -> str:
        properties = {
            "rows": {"type": "integer", "title": "Rows", "description": "how many", "minimum": 1},
            "split": {"type": "string", "enum": ["train", "test"], "enumNames": ["for training", "for testing"]},
            "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "maxItems": 2},
            "sure": {"type": "boolean"},
            "note": {"type": "string", "default": "none"},
        }
        schema = {"type": "object", "properties": properties, "required": ["rows", "split", "tags", "sure"]}
        reply = self.ask("elicitation/create", {"message": "which data?", "requestedSchema": schema}, 60)
        return json.dumps(reply.get("result") or reply.get("error"))

    def tool_ask_yes(self) -> str:
        schema = {"type": "object", "properties": {}}
        reply = self.ask("elicitation/create", {"message": "go on?", "requestedSchema": schema}, 60)
        return json.dumps(reply.get("result") or reply.get("error"))

    def tool_ask_visit(self, text: str = "https://example.com/pay") -> str:
        params = {"mode": "url", "message": "pay here", "url": text, "elicitationId": "1"}
        reply = self.ask("elicitation/create", params, 60)
        return json.dumps(reply.get("result") or reply.get("error"))

    def tool_ask_late(self) -> str:
        prompt = {"role": "user", "content": {"type": "text", "text": "too late"}}
        params = {"messages": [prompt], "maxTokens": 5}
        threading.Timer(
            0.1, lambda: self.send({"id": "late", "method": "sampling/createMessage", "params": params})
        ).start()
        return "asked later"

    def tool_late_answer(self) -> str:
        with self.answered:
            self.answered.wait_for(lambda: "late" in self.answers, timeout=5)
        return json.dumps(self.answers["late"].get("error"))

    def tool_ask_model(self, text: str = "hi") -> str:
        content = {"type": "text", "text": text}
        if text == "picture":
            content = {"type": "image", "data": "QUJD", "mimeType": "image/png"}
        params = {"messages": [{"role": "user", "content": content}], "systemPrompt": "be brief", "maxTokens": 50}
        reply = self.ask("sampling/createMessage", params, 60)
        return json.dumps(reply.get("result") or reply.get("error"))

    def tool_ask_roots(self) -> str:
        return json.dumps(self.ask("roots/list", {}).get("result"))

    def tool_grow(self, text: str = "grown") -> str:
        self.names.append(text)
        self.tools[text] = lambda: "new"
        self.send({"method": "notifications/tools/list_changed"})
        return "grown"


def main(conduct: list[str]) -> None:
    """Starts as it was told to."""
    if conduct[:1] == ["die"]:
        sys.exit("ModuleNotFoundError: No module named 'numpy'")
    if conduct[:1] == ["once"]:  # lives once, and never again
        if Path(conduct[1]).exists():
            sys.exit("it has been here before")
        Path(conduct[1]).touch()
    if conduct[:1] == ["after"]:  # starts when somebody makes the file
        while not Path(conduct[1]).exists():
            time.sleep(0.01)
    if conduct[:1] == ["family"]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(conduct[1]).write_text(f"{os.getpid()} {child.pid}")
    if conduct[:1] == ["stubborn"]:
        Path(conduct[1]).write_text(str(os.getpid()))
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "chatty" in conduct:
        sys.stdout.write("Welcome to my server!\n")
        sys.stderr.write("secret-free chatter\n")
    Server(conduct).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
