-- What emdc_writer may do in EMDC's tables on PostgreSQL. Run as emdc_owner, once the tables are
-- there and again after each `emdc migrate`; see postgresql-roles.sql:
--
--   psql -h localhost -U emdc_owner -d emdc -f sql/postgresql-grants.sql
\set ON_ERROR_STOP on
BEGIN;

GRANT SELECT ON alembic_version, volttron_table_definitions, meters, meter_settings, topics, meta,
  readings, gaps, schedules, interval_rows, interval_days, interval_details, interval_progress,
  counter_epochs, data, samples, latest, intervals TO emdc_writer;
-- Rows of the old collector, in upgraded databases only.
SELECT format('GRANT SELECT ON %I TO emdc_writer', tablename) FROM pg_tables
WHERE schemaname = 'public' AND tablename IN ('data_old', 'data_old_zone') \gexec

GRANT INSERT ON meters, meter_settings, topics, meta, readings, gaps, schedules TO emdc_writer;
SELECT format('GRANT USAGE ON SEQUENCE %s TO emdc_writer', sequence)
FROM (VALUES (pg_get_serial_sequence('meters', 'meter_id')),
             (pg_get_serial_sequence('topics', 'topic_id'))) AS numbers (sequence)
WHERE sequence IS NOT NULL \gexec

-- A topic of the old collector gets its meter, a metric its unit, and what was planned for later
-- may be planned anew. Readings and gaps are never changed.
GRANT UPDATE (meter_id, slot) ON topics TO emdc_writer;
GRANT UPDATE (metadata) ON meta TO emdc_writer;
GRANT UPDATE (settings) ON meter_settings TO emdc_writer;
GRANT UPDATE (slots) ON schedules TO emdc_writer;

-- Quarter hours are made of the readings, and made again when one comes late.
GRANT INSERT, UPDATE, DELETE ON interval_rows, interval_days, interval_details, interval_progress,
  counter_epochs TO emdc_writer;

COMMIT;
