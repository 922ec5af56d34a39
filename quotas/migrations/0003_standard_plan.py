"""A generous plan for everybody, and when open holds began."""

from django.db import migrations
from django.db.models import F

TOKENS_A_DAY = 10_000_000


def seed(apps, schema_editor):
    plan = apps.get_model("quotas", "Plan").objects.create(name="Standard", is_default=True)
    apps.get_model("quotas", "PlanLimit").objects.create(
        plan=plan, metric="tokens", period="day", amount=TOKENS_A_DAY
    )
    apps.get_model("quotas", "Hold").objects.update(started_at=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("quotas", "0002_plans_and_windows")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
