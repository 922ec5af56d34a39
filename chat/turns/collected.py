"""What comes back from one request to a model, put together from its pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models_registry.tokens import count

if TYPE_CHECKING:
    from models_registry.providers.base import ToolCallDelta


@dataclass(slots=True)
class Collected:
    """What the model was asked, and what came of it so far."""

    asked: list[dict[str, Any]]
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    pieces: dict[int, dict[str, Any]] = field(default_factory=dict)

    def take(self, delta: ToolCallDelta) -> dict[str, Any]:
        """Add a piece; the piece itself as the wire shows it."""
        call = self.pieces.setdefault(delta.index, {"id": "", "name": "", "arguments": []})
        call["id"] = call["id"] or delta.id
        call["name"] = call["name"] or delta.name
        call["arguments"].append(delta.arguments)
        return {"id": call["id"], "name": call["name"], "arguments": delta.arguments}

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.reasoning or self.pieces)

    def tokens_said(self, encoding: str) -> int:
        """Our estimate of what the answer takes. Not on the event loop."""
        said = ["".join(self.text), "".join(self.reasoning)]
        said += [call["name"] + call["arguments"] for call in self.calls()]
        return sum(count(each, encoding) for each in said)

    def calls(self) -> list[dict[str, Any]]:
        """The whole calls, as a message keeps them."""
        return [
            {
                "id": call["id"],
                "name": call["name"],
                "arguments": "".join(call["arguments"]),
                "result": None,
                "status": "requested",
                "seconds": None,
            }
            for _index, call in sorted(self.pieces.items())
        ]
