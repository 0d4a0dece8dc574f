-- Lease jobs that are due, across tenants: at most so many per platform, and of a partition only the oldest while none
-- is leased. The end of a lease is judged and set by this server's clock. Runs as the router, which does not see what
-- a job is about: the worker reads that as the job's tenant.
CREATE OR REPLACE FUNCTION claim_jobs_v1(
  given_owner text, kinds text[], given_now float8, lease_seconds float8, per_platform integer, most integer)
RETURNS TABLE (tenant_id text, id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  here float8 := extract(epoch FROM clock_timestamp());
BEGIN
  RETURN QUERY
  WITH candidates AS (
    SELECT c.tenant_id, c.id,
           row_number() OVER (PARTITION BY c.registration_id ORDER BY c.due_at, c.id) AS place
      FROM jobs c
     WHERE c.kind = ANY (kinds)
       AND (c.state = 'leased' AND c.lease_until <= here
            OR c.state = 'pending' AND c.due_at <= given_now AND NOT EXISTS (
              SELECT 1 FROM jobs o
               WHERE o.tenant_id = c.tenant_id AND o.partition_key = c.partition_key
                 AND (o.state = 'leased'
                      OR o.state = 'pending' AND (o.created_at, o.id) < (c.created_at, c.id))))),
  chosen AS (
    SELECT j.tenant_id, j.id FROM jobs j JOIN candidates c ON c.tenant_id = j.tenant_id AND c.id = j.id
     WHERE c.place <= per_platform
       AND (j.state = 'leased' AND j.lease_until <= here OR j.state = 'pending' AND j.due_at <= given_now)
     ORDER BY j.due_at, j.id LIMIT most FOR UPDATE OF j SKIP LOCKED)
  UPDATE jobs j SET state = 'leased', lease_owner = given_owner, lease_no = j.lease_no + 1,
                    lease_until = here + lease_seconds
    FROM chosen WHERE j.tenant_id = chosen.tenant_id AND j.id = chosen.id
  RETURNING j.tenant_id, j.id;
END
$$
