-- The line items whose results are to be read, across tenants. Runs as the router.
CREATE OR REPLACE FUNCTION results_due_v1(given_now float8, most integer) RETURNS TABLE (tenant_id text, id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT l.tenant_id, l.id FROM line_items l
   WHERE l.results_due_at <= given_now AND l.state = 'ready' ORDER BY l.results_due_at LIMIT most
$$
