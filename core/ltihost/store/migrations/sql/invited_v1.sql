-- Whose administrator an invitation is for, while it is good. Runs as the router: the invitation says which tenant it is.
CREATE OR REPLACE FUNCTION invited_v1(given_hash bytea, now float8) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT tenant_id FROM admins WHERE invitation_hash = given_hash AND invitation_expires_at > now
$$
