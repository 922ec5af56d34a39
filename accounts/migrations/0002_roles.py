"""The four roles and what they may do with people. Other apps add their own permissions."""

from django.db import migrations

ROLES = ("admin", "supervisor", "agent", "member")
# An administrator may do everything (User.is_superuser), so that role needs no list.
GRANTS = {"supervisor": ["view_user"]}


def seed(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        for codename in GRANTS.get(role, []):
            # Django makes permissions after the last migration: this one is needed now, and
            # Django then finds it made.
            kind, _ = ContentType.objects.get_or_create(app_label="accounts", model="user")
            permission, _ = Permission.objects.get_or_create(
                content_type=kind, codename=codename, defaults={"name": "Can view user"}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
