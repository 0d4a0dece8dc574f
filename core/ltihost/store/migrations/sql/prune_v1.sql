-- Delete what expired, of every tenant, a slice at a time. Runs as the router. A time in the future is taken for one at
-- most five minutes ahead: whoever may call this cannot make spent nonces usable again.
CREATE OR REPLACE FUNCTION prune_v1(now float8, slice integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH latest AS (SELECT least(now, extract(epoch FROM clock_timestamp()) + 300) AS at),
  old_nonces AS (
    DELETE FROM nonces WHERE (registration_id, nonce_hash) IN
      (SELECT registration_id, nonce_hash FROM nonces
        WHERE expires_at <= (SELECT at FROM latest) LIMIT slice FOR UPDATE SKIP LOCKED)
    RETURNING 1),
  old_codes AS (
    DELETE FROM one_time_codes WHERE code_hash IN
      (SELECT code_hash FROM one_time_codes
        WHERE expires_at <= (SELECT at FROM latest) LIMIT slice FOR UPDATE SKIP LOCKED)
    RETURNING 1),
  old_sessions AS (
    DELETE FROM sessions WHERE (tenant_id, id) IN
      (SELECT tenant_id, id FROM sessions
        WHERE expires_at <= (SELECT at FROM latest) LIMIT slice FOR UPDATE SKIP LOCKED)
    RETURNING 1)
  SELECT (SELECT count(*) FROM old_nonces) + (SELECT count(*) FROM old_codes) + (SELECT count(*) FROM old_sessions)
$$
