-- Remember an unknown deployment as pending; of a known one only what is not known yet is filled in.
CREATE OR REPLACE FUNCTION note_deployment_v1(
  given_registration text, given_deployment text, guid text, url text, name text, now float8) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  tenant text := tenant_of_v1(given_registration, given_deployment);
BEGIN
  IF tenant IS NULL THEN
    RETURN;
  END IF;
  PERFORM set_config('app.tenant', tenant, true);
  -- A hundred wait at most: one platform cannot fill the table with deployments of its invention.
  IF (SELECT count(*) FROM deployments WHERE registration_id = given_registration AND state = 'pending') >= 100
     AND NOT EXISTS (SELECT 1 FROM deployments
                      WHERE registration_id = given_registration AND deployment_id = given_deployment) THEN
    RETURN;
  END IF;
  INSERT INTO deployments (tenant_id, registration_id, deployment_id, state, instance_guid, instance_url, instance_name,
                           first_seen_at)
  VALUES (tenant, given_registration, given_deployment, 'pending', guid, url, name, now)
  ON CONFLICT (registration_id, deployment_id) DO UPDATE SET
    instance_guid = coalesce(deployments.instance_guid, excluded.instance_guid),
    instance_url = coalesce(deployments.instance_url, excluded.instance_url),
    instance_name = coalesce(deployments.instance_name, excluded.instance_name);
END
$$
