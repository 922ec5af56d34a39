"""The LiteLLM proxy from the package index, in an environment of its own, under the same load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.mock_upstream import MODEL, SLOW_MODEL
from bench.processes import ROOT, Server, free_port, say

REQUIREMENTS = ROOT / "bench" / "requirements-peers.txt"
_KEY = "sk-measured"


def python_of(folder: Path) -> Path:
    """The Python of an environment with what REQUIREMENTS names, made at its first use."""
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        say(f"installing {REQUIREMENTS.name} into {folder} ...")
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", str(folder)], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(REQUIREMENTS)],
            check=True,
        )
        stamp.write_text(wanted, encoding="utf-8")
    return python


def version_of(python: Path) -> str:
    script = "from importlib.metadata import version; print(version('litellm'))"
    done = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def litellm(python: Path, *, upstream: str, core: int, folder: Path) -> Server:
    """One worker, a master key, no database: it stores nothing and knows nobody."""
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": f"{upstream}/v1",
                "api_key": "none",
            },
        }
        for name in (MODEL, SLOW_MODEL)
    ]
    config = folder / "litellm.json"  # JSON is YAML
    settings = {"master_key": _KEY}
    config.write_text(json.dumps({"model_list": models, "general_settings": settings}))
    port = free_port()
    return Server(
        [f"--config={config}", "--host=127.0.0.1", f"--port={port}", "--num_workers=1"],
        port=port,
        core=core,
        ready="/health/liveliness",
        environment={"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        log=folder / "litellm.log",
        program=str(python.with_name("litellm")),
    )


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {_KEY}"}
