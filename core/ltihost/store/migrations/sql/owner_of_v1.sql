-- The tenant in which an application has an object of this kind and id; NULL when there is none. Without a tenant all
-- those are searched in which the application is deployed. Runs as the router.
CREATE OR REPLACE FUNCTION owner_of_v1(kind text, wanted text, application text, tenant text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH placed AS (
    SELECT DISTINCT d.tenant_id FROM deployments d
     WHERE d.application_id = application AND (tenant IS NULL OR d.tenant_id = tenant))
  SELECT t.tenant_id FROM placed t
   WHERE CASE kind
     WHEN 'context' THEN EXISTS (
       SELECT 1 FROM contexts o JOIN deployments d USING (registration_id, deployment_id)
        WHERE o.tenant_id = t.tenant_id AND o.id = wanted AND d.tenant_id = t.tenant_id AND d.application_id = application)
     WHEN 'resource_link' THEN EXISTS (
       SELECT 1 FROM resource_links o JOIN deployments d USING (registration_id, deployment_id)
        WHERE o.tenant_id = t.tenant_id AND o.id = wanted AND d.tenant_id = t.tenant_id AND d.application_id = application)
     WHEN 'registration' THEN EXISTS (
       SELECT 1 FROM deployments o
        WHERE o.tenant_id = t.tenant_id AND o.registration_id = wanted AND o.application_id = application)
     WHEN 'line_item' THEN EXISTS (
       SELECT 1 FROM line_items o WHERE o.tenant_id = t.tenant_id AND o.id = wanted AND o.application_id = application)
     WHEN 'delivery' THEN EXISTS (
       SELECT 1 FROM grade_slots s JOIN line_items o ON o.tenant_id = s.tenant_id AND o.id = s.line_item_id
        WHERE s.tenant_id = t.tenant_id AND s.id = wanted AND o.application_id = application)
     WHEN 'session' THEN EXISTS (
       SELECT 1 FROM sessions o WHERE o.tenant_id = t.tenant_id AND o.id = wanted AND o.application_id = application)
     WHEN 'deep_link' THEN EXISTS (
       SELECT 1 FROM sessions o WHERE o.tenant_id = t.tenant_id AND o.launch_id = wanted AND o.application_id = application)
     WHEN 'content_item' THEN EXISTS (
       SELECT 1 FROM content_items o WHERE o.tenant_id = t.tenant_id AND o.id = wanted AND o.application_id = application)
     WHEN 'roster_run' THEN EXISTS (
       SELECT 1 FROM roster_runs r JOIN contexts o ON o.tenant_id = r.tenant_id AND o.id = r.context_id
         JOIN deployments d USING (registration_id, deployment_id)
        WHERE r.tenant_id = t.tenant_id AND r.id = wanted AND d.tenant_id = t.tenant_id AND d.application_id = application)
     ELSE false END
   LIMIT 1
$$
