"""What was stated about grades is only ever added; and tables that change all the time are tidied sooner."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: On PostgreSQL the serving role has no right to do either (`access.py`).
#: Whatever seals these rows anew, or takes a person out of them, needs a way round: there the owner's role, here the
#: triggers dropped and made again in one transaction. A migration that has Alembic copy the table (`batch_alter_table`)
#: has to make them again too: SQLite drops them with the old table.
SQLITE_FACTS = (
    """
    CREATE TRIGGER grade_events_not_deleted BEFORE DELETE ON grade_events
    BEGIN SELECT RAISE(ABORT, 'stated grades are never deleted'); END
    """,
    """
    CREATE TRIGGER grade_events_not_changed BEFORE UPDATE ON grade_events
    BEGIN SELECT RAISE(ABORT, 'stated grades are never changed'); END
    """,
)
#: Work waits in these tables, and each row of them changes several times. By PostgreSQL's own measure a fifth of a
#: table may be dead before it is tidied: with a million slots a claim would step over two hundred thousand dead rows.
POSTGRES_QUEUES = ("grade_slots", "jobs", "platform_health")
_SOON = (
    "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, "
    "autovacuum_analyze_scale_factor = 0.02"
)


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        for statement in SQLITE_FACTS:
            op.execute(statement)
        return
    for table in POSTGRES_QUEUES:
        op.execute(f"ALTER TABLE {table} SET ({_SOON})")
    # Room on each page, so that a changed row stays there and the indexes need not learn of it.
    for table in ("jobs", "platform_health", "delivery_tries"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 80)")
