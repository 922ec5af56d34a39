"""TRUNCATE asks no trigger of rows: on PostgreSQL it emptied the audit trail past those of 0004 (M7).

SQLite has no such statement. A restore switches this table's triggers off while it loads.
"""

from django.db import migrations

TABLE = "accounts_auditentry"


def guard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            f"""CREATE TRIGGER {TABLE}_truncate BEFORE TRUNCATE ON {TABLE}
            FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()"""
        )


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER {TABLE}_truncate ON {TABLE}")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_audit_append_only")]

    operations = [migrations.RunPython(guard, unguard)]
