-- Spend a one-time code; answers whose launch it was for. Runs as the router: the code says which tenant it is.
CREATE OR REPLACE FUNCTION spend_code_v1(
  given_hash bytea, application text, tenant text, now float8, OUT tenant_id text, OUT launch_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  DELETE FROM one_time_codes c
   WHERE c.code_hash = given_hash AND c.expires_at > now
     AND (application IS NULL OR c.application_id = application) AND (tenant IS NULL OR c.tenant_id = tenant)
  RETURNING c.tenant_id, c.launch_id
$$
