-- Store attempts that did not end as launches, up to the cap of their minute; beyond it they are only counted.
CREATE OR REPLACE FUNCTION record_attempts_v1(attempts jsonb) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  replaced boolean;
  too_many integer;
BEGIN
  FOR w IN SELECT * FROM jsonb_to_recordset(attempts) AS given (
    id text, tenant text, code text, kind text, outcome text, at float8, refusal text, registration text,
    deployment text, message text, rung text, checks text, warnings text, remote_address text, user_agent text,
    "user" text, minute integer, cap integer)
  LOOP
    PERFORM set_config('app.tenant', w.tenant, true);
    DELETE FROM launches WHERE tenant_id = w.tenant AND id = w.id AND outcome <> 'accepted';
    replaced := FOUND OR drop_unbound_attempt_v1(w.id);
    IF NOT replaced THEN
      INSERT INTO attempt_counters AS known (tenant_id, registration_id, kind, minute, stored, dropped)
      VALUES (w.tenant, CASE w.kind WHEN 'login' THEN '' ELSE coalesce(w.registration, '') END, w.kind, w.minute,
              (w.cap > 0)::integer, (w.cap <= 0)::integer)
      ON CONFLICT (tenant_id, registration_id, kind, minute) DO UPDATE SET
        stored = known.stored + (known.stored < w.cap)::integer,
        dropped = known.dropped + (known.stored >= w.cap)::integer
      RETURNING dropped INTO too_many;
    END IF;
    IF replaced OR too_many = 0 THEN
      -- A registration or user that is not this tenant's (or does not exist) is not named: the row is still worth having.
      INSERT INTO launches (
        tenant_id, id, code, kind, outcome, at, refusal, registration_id, deployment_id, message, rung, checks,
        warnings, remote_address, user_agent, user_id)
      VALUES (
        w.tenant, w.id, w.code, w.kind, w.outcome, w.at, w.refusal,
        (SELECT id FROM registrations WHERE id = w.registration AND tenant_id IN (w.tenant, 'host')),
        w.deployment, w.message, w.rung, w.checks::json, w.warnings::json, w.remote_address, w.user_agent,
        (SELECT id FROM users WHERE tenant_id = w.tenant AND id = w."user"))
      ON CONFLICT DO NOTHING;
    END IF;
  END LOOP;
END
$$
