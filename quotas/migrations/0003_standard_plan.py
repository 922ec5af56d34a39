"""A generous plan for everybody; when open holds began, and who pays for them."""

from django.db import migrations
from django.db.models import F

TOKENS_A_DAY = 10_000_000


def seed(apps, schema_editor):
    plan = apps.get_model("quotas", "Plan").objects.create(name="Standard", is_default=True)
    apps.get_model("quotas", "PlanLimit").objects.create(
        plan=plan, metric="tokens", period="day", amount=TOKENS_A_DAY
    )


def fill_holds(apps, schema_editor):
    holds = apps.get_model("quotas", "Hold").objects.all()
    holds.update(started_at=F("created_at"))
    for hold in holds.filter(status="open").iterator():
        people = [each["id"] for each in hold.subjects or () if each["kind"] == "user"]
        hold.user_id = people[0] if people else None
        hold.save(update_fields=["user_id"])


class Migration(migrations.Migration):
    dependencies = [("quotas", "0002_plans_and_windows")]

    operations = [
        migrations.RunPython(seed, migrations.RunPython.noop),
        migrations.RunPython(fill_holds, migrations.RunPython.noop),
        # The columns stay while an older version may run beside this one (F18).
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField("hold", "subjects"),
                migrations.RemoveField("usagerecord", "subjects"),
            ]
        ),
    ]
