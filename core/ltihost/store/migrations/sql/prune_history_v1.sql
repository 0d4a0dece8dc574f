-- Delete what is kept for a month: tries to deliver, keys of requests, events and notices; a slice of each at a time. Runs
-- as the router. A time in the future is taken for one at most five minutes ahead.
CREATE OR REPLACE FUNCTION prune_history_v1(given_now float8, seconds float8, slice integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH oldest AS (
    SELECT least(given_now, extract(epoch FROM clock_timestamp()) + 300) - greatest(seconds, 86400) AS at),
  old_tries AS (
    DELETE FROM delivery_tries WHERE (tenant_id, id) IN
      (SELECT tenant_id, id FROM delivery_tries
        WHERE started_at < (SELECT at FROM oldest) ORDER BY started_at, id LIMIT slice)
    RETURNING 1),
  old_keys AS (
    DELETE FROM idempotency_keys WHERE (tenant_id, api_key_id, key) IN
      (SELECT tenant_id, api_key_id, key FROM idempotency_keys
        WHERE created_at < (SELECT at FROM oldest) ORDER BY created_at, key LIMIT slice)
    RETURNING 1),
  old_events AS (
    DELETE FROM events WHERE (tenant_id, id) IN
      (SELECT tenant_id, id FROM events WHERE at < (SELECT at FROM oldest) ORDER BY at, id LIMIT slice)
    RETURNING 1),
  old_notices AS (
    DELETE FROM notices WHERE (tenant_id, registration_id, notice_id) IN
      (SELECT tenant_id, registration_id, notice_id FROM notices WHERE received_at < (SELECT at FROM oldest) LIMIT slice)
    RETURNING 1)
  SELECT (SELECT count(*) FROM old_tries) + (SELECT count(*) FROM old_keys) + (SELECT count(*) FROM old_events)
       + (SELECT count(*) FROM old_notices)
$$
