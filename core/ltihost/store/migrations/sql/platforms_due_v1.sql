-- The platforms with scores to send that are not left alone at the moment, the longest waiting first. Runs as the
-- router: it says whose work there is; the work itself is claimed and read as that tenant.
CREATE OR REPLACE FUNCTION platforms_due_v1(given_now float8, most integer)
RETURNS TABLE (tenant_id text, registration_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT platform.of_tenant, platform.of_registration FROM (
    SELECT h.tenant_id AS of_tenant, h.registration_id AS of_registration,
           (SELECT min(s.due_at) FROM grade_slots s
             WHERE s.tenant_id = h.tenant_id AND s.registration_id = h.registration_id
               AND s.state IN ('pending', 'leased', 'waiting_enrolment', 'blocked')) AS due_at
      FROM platform_health h WHERE h.kind = 'score' AND h.open_until <= given_now) AS platform
   WHERE platform.due_at <= given_now ORDER BY platform.due_at LIMIT most
$$
