"""Runs Alembic on the connection that `migrations.migrate` opened, or writes the SQL as text."""

from __future__ import annotations

from alembic import context

from ltihost.store.tables import Base

if context.is_offline_mode():
    context.configure(
        dialect_name=context.config.attributes["dialect"],
        target_metadata=Base.metadata,
        literal_binds=True,
        output_buffer=context.config.output_buffer,
        render_as_batch=True,
    )
else:
    context.configure(
        connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
    )

with context.begin_transaction():
    context.run_migrations()
