"""What happens on this deployment, in numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Sum
from django.utils import timezone

from accounts.services import people
from chat.models import Conversation, Message, Turn
from common.money import as_decimal
from models_registry.models import ChatModel
from quotas.models import UsageRecord

if TYPE_CHECKING:
    from accounts.models import User


def statistics(*, days: int) -> dict[str, Any]:
    """Who and what there is, and what was used in the last `days`. Costs are money as text."""
    everyone = people.statistics()
    since = timezone.now() - timedelta(days=days)
    used = UsageRecord.objects.filter(started_at__gte=since)
    sums = used.aggregate(
        turns=Count("pk"),
        askers=Count("user_id", distinct=True),
        prompt=Sum("prompt_tokens", default=0),
        completion=Sum("completion_tokens", default=0),
        cost=Sum("cost", default=0),
    )
    outcomes = dict(used.order_by("outcome").values_list("outcome").annotate(Count("pk")))
    return {
        "people": everyone.total,
        "people_active": everyone.active,
        **{f"people_{role}": count for role, count in everyone.by_role.items()},
        "conversations": Conversation.objects.count(),
        "messages": Message.objects.of_whole().count(),
        "models": ChatModel.objects.filter(owner=None).enabled().count(),
        "models_personal": ChatModel.objects.exclude(owner=None).count(),
        "turns_running": Turn.objects.running().count(),
        "days": days,
        "turns": sums["turns"],
        **{f"turns_{outcome}": count for outcome, count in outcomes.items()},
        "people_who_asked": sums["askers"],
        "prompt_tokens": sums["prompt"],
        "completion_tokens": sums["completion"],
        "cost": as_decimal(sums["cost"]),
    }


def by_model(*, days: int) -> list[dict[str, Any]]:
    """The same use, model by model, the dearest first."""
    since = timezone.now() - timedelta(days=days)
    rows = (
        UsageRecord.objects.filter(started_at__gte=since)
        .order_by()
        .values("model")
        .annotate(
            turns=Count("pk"),
            prompt_tokens=Sum("prompt_tokens"),
            completion_tokens=Sum("completion_tokens"),
            spent=Sum("cost"),
        )
        .order_by("-spent", "model")
    )
    return [
        {
            "model": row["model"],
            "turns": row["turns"],
            "prompt_tokens": row["prompt_tokens"],
            "completion_tokens": row["completion_tokens"],
            "cost": as_decimal(row["spent"]),
        }
        for row in rows
    ]


def statistics_of(user: User) -> dict[str, Any]:
    """Conversations and messages are those that are there; tokens and cost are all that was used,
    by the ledger: what came from a file was not used here."""
    there = Conversation.objects.visible_to(user).aggregate(
        conversations=Count("id"), messages=Sum("message_count", default=0)
    )
    used = UsageRecord.objects.filter(user_id=user.pk).aggregate(
        prompt=Sum("prompt_tokens", default=0),
        completion=Sum("completion_tokens", default=0),
        cost=Sum("cost", default=0),
    )
    average = there["messages"] / there["conversations"] if there["conversations"] else 0.0
    return {
        **there,
        "tokens": used["prompt"] + used["completion"],
        "cost": as_decimal(used["cost"]),
        "average_messages_per_conversation": round(average, 2),
    }
