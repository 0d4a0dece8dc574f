-- Approve an unknown deployment of a tenant's registration that comes from the installation of an approved one.
CREATE OR REPLACE FUNCTION adopt_deployment_v1(
  given_registration text, given_deployment text, guid text, audit_id text, now float8) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  tenant text := tenant_of_v1(given_registration, given_deployment);
BEGIN
  PERFORM set_config('app.tenant', coalesce(tenant, ''), true);
  INSERT INTO deployments (tenant_id, registration_id, deployment_id, state, application_owner, application_id,
                           instance_guid, instance_url, instance_name, first_seen_at, approved_at)
  SELECT r.tenant_id, r.id, given_deployment, 'approved', twin.application_owner, twin.application_id,
         twin.instance_guid, twin.instance_url, twin.instance_name, now, now
    FROM registrations r
    JOIN deployments twin ON twin.registration_id = r.id AND twin.tenant_id = r.tenant_id
                         AND twin.state = 'approved' AND twin.instance_guid = guid
   WHERE r.id = given_registration AND r.tenant_id <> 'host' AND r.auto_deployments = 'same_instance'
   ORDER BY twin.approved_at LIMIT 1
  ON CONFLICT (registration_id, deployment_id) DO UPDATE SET
    state = 'approved', application_owner = excluded.application_owner, application_id = excluded.application_id,
    instance_guid = excluded.instance_guid, approved_at = excluded.approved_at
    WHERE deployments.state = 'pending' AND coalesce(deployments.instance_guid, excluded.instance_guid) = guid;
  IF FOUND THEN
    INSERT INTO audit (tenant_id, id, at, actor, action, object_id, details)
    VALUES (tenant, audit_id, now, 'same_instance', 'deployment.approved', given_registration,
            json_build_object('deployment', given_deployment, 'guid', guid));
  END IF;
END
$$
