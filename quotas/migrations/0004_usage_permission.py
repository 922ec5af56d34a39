"""Administrators may see everybody's usage: an entry that shows in the list of the role's rights."""

from django.db import migrations

ROLE = "admin"
CODENAME = "view_usagerecord"


def seed(apps, schema_editor):
    # Django makes permissions after the last migration: this one is needed now, and Django then
    # finds it made.
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="quotas", model="usagerecord"
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=CODENAME, defaults={"name": "Can view usage record"}
    )
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=ROLE)
    group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("quotas", "0003_standard_plan"),
        ("accounts", "0002_roles"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
