-- What emdc_writer may do in EMDC's tables on MariaDB and MySQL. Run as emdc_owner, once the tables
-- are there and again after each `emdc migrate`; see mysql-roles.sql:
--
--   mariadb -u emdc_owner -p < sql/mysql-grants.sql

GRANT INSERT ON emdc.meters TO 'emdc_writer'@'%';
-- A topic of the old collector gets its meter, a metric its unit, and what was planned for later
-- may be planned anew.
GRANT INSERT, UPDATE (meter_id, slot) ON emdc.topics TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE (metadata) ON emdc.meta TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE (settings) ON emdc.meter_settings TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE (slots) ON emdc.schedules TO 'emdc_writer'@'%';
-- A row whose key is there already is left alone by ON DUPLICATE KEY UPDATE meter_id = meter_id.
GRANT INSERT, UPDATE (meter_id) ON emdc.readings TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE (meter_id) ON emdc.gaps TO 'emdc_writer'@'%';
-- Quarter hours are made of the readings, and made again when one comes late.
GRANT INSERT, UPDATE, DELETE ON emdc.interval_rows TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE, DELETE ON emdc.interval_days TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE, DELETE ON emdc.interval_details TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE, DELETE ON emdc.interval_progress TO 'emdc_writer'@'%';
GRANT INSERT, UPDATE, DELETE ON emdc.counter_epochs TO 'emdc_writer'@'%';
