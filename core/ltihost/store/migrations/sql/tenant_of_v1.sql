-- Whose a deployment is; one that was never seen belongs to its registration's owner. Runs as the router.
CREATE OR REPLACE FUNCTION tenant_of_v1(wanted_registration text, wanted_deployment text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(
    (SELECT tenant_id FROM deployments
      WHERE registration_id = wanted_registration AND deployment_id = wanted_deployment),
    (SELECT tenant_id FROM registrations WHERE id = wanted_registration))
$$
