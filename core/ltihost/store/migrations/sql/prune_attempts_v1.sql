-- Delete attempts that ended as no launch, and their counters, once they are so many days old; a slice at a time.
-- Runs as the router. A time in the future is taken for one at most five minutes ahead, and the last day always stays.
CREATE OR REPLACE FUNCTION prune_attempts_v1(given_now float8, days integer, slice integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH oldest AS (
    SELECT least(given_now, extract(epoch FROM clock_timestamp()) + 300) - 86400.0 * greatest(days, 1) AS at),
  old_attempts AS (
    DELETE FROM launches WHERE (tenant_id, id) IN
      (SELECT tenant_id, id FROM launches
        WHERE outcome <> 'accepted' AND at < (SELECT at FROM oldest) ORDER BY at, id LIMIT slice)
    RETURNING 1),
  old_counters AS (
    DELETE FROM attempt_counters WHERE (tenant_id, registration_id, kind, minute) IN
      (SELECT tenant_id, registration_id, kind, minute FROM attempt_counters
        WHERE minute < (SELECT at FROM oldest) / 60 - 1 ORDER BY 1, 2, 3, 4 LIMIT slice)
    RETURNING 1)
  SELECT (SELECT count(*) FROM old_attempts) + (SELECT count(*) FROM old_counters)
$$
