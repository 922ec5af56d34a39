"""The built-in model, so that the first conversation needs neither key nor network."""

from django.db import migrations


def seed(apps, schema_editor):
    Connection = apps.get_model("models_registry", "Connection")
    ChatModel = apps.get_model("models_registry", "ChatModel")
    connection, _ = Connection.objects.get_or_create(
        provider="offline", owner=None, defaults={"name": "offline"}
    )
    ChatModel.objects.get_or_create(
        name="offline",
        owner=None,
        defaults={
            "connection": connection,
            "upstream_name": "offline",
            "everyone": True,
            "capabilities": ["tools"],
        },
    )


class Migration(migrations.Migration):
    dependencies = [("models_registry", "0001_initial")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
