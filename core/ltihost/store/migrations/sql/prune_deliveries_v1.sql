-- Delete what is only kept to be looked up for a month: tries that ended, and keys of requests; a slice at a time. Runs
-- as the router. A time in the future is taken for one at most five minutes ahead.
CREATE OR REPLACE FUNCTION prune_deliveries_v1(given_now float8, seconds float8, slice integer) RETURNS bigint
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
    RETURNING 1)
  SELECT (SELECT count(*) FROM old_tries) + (SELECT count(*) FROM old_keys)
$$
