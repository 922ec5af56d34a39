"""The audit trail is append-only in the database too (M7).

Two acts pass the triggers: deleting rows older than 400 days (the purge), and emptying the name,
label, address and client of a row (erasing a person). Everything else raises, `manage.py flush` on
SQLite too. SQLite loses triggers when Django makes a table anew: whoever alters the table calls
`guard` again in that migration (tests/accounts/test_audit.py would tell).
"""

from django.db import migrations

TABLE = "accounts_auditentry"
KEPT = ("id", "created_at", "action", "actor_id", "target_kind", "target_id", "before", "after", "request_id")
EMPTIED = ("actor_name", "target_label", "address", "client")
SAID = "audit entries are append-only"


def _forged(same):
    """SQL that is true for an UPDATE that does more than empty."""
    kept = [f'NEW."{name}" {same} OLD."{name}"' for name in KEPT]
    emptied = [f"NEW.\"{name}\" IN (OLD.\"{name}\", '')" for name in EMPTIED]
    return f"NOT ({' AND '.join(kept + emptied)})"


SQLITE = (
    f"""CREATE TRIGGER {TABLE}_update BEFORE UPDATE ON {TABLE} WHEN {_forged("IS")}
        BEGIN SELECT RAISE(ABORT, '{SAID}'); END""",
    f"""CREATE TRIGGER {TABLE}_delete BEFORE DELETE ON {TABLE}
        WHEN OLD.created_at >= datetime('now', '-400 days')
        BEGIN SELECT RAISE(ABORT, '{SAID}'); END""",
    # REPLACE removes the old row without a word to the trigger above.
    f"""CREATE TRIGGER {TABLE}_insert BEFORE INSERT ON {TABLE}
        WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, '{SAID}'); END""",
)
POSTGRESQL = (
    f"""CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{SAID}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    f"""CREATE TRIGGER {TABLE}_update BEFORE UPDATE ON {TABLE} FOR EACH ROW
        WHEN ({_forged("IS NOT DISTINCT FROM")}) EXECUTE FUNCTION {TABLE}_refuse()""",
    f"""CREATE TRIGGER {TABLE}_delete BEFORE DELETE ON {TABLE} FOR EACH ROW
        WHEN (OLD.created_at >= now() - interval '400 days') EXECUTE FUNCTION {TABLE}_refuse()""",
)


def guard(apps, schema_editor):
    statements = SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL
    with schema_editor.connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def unguard(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    of_table = f" ON {TABLE}" if on_postgresql else ""
    with schema_editor.connection.cursor() as cursor:
        for act in ("update", "delete") if on_postgresql else ("update", "delete", "insert"):
            cursor.execute(f"DROP TRIGGER {TABLE}_{act}{of_table}")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_audit")]

    operations = [migrations.RunPython(guard, unguard)]
