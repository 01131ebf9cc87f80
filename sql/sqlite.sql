-- EMDC's schema for SQLite. Generated: python -m emdc.storage.ddl sqlite > sql/sqlite.sql
-- Use: sqlite3 emdc.db < sql/sqlite.sql
BEGIN;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE meta (
	topic_id INTEGER NOT NULL,
	metadata TEXT NOT NULL,
	PRIMARY KEY (topic_id)
);
CREATE TABLE meters (
	meter_id INTEGER NOT NULL,
	name VARCHAR(512) NOT NULL,
	PRIMARY KEY (meter_id),
	UNIQUE (name)
);
CREATE TABLE topics (
	topic_id INTEGER NOT NULL,
	topic_name VARCHAR(512) NOT NULL,
	meter_id INTEGER,
	slot INTEGER,
	PRIMARY KEY (topic_id),
	UNIQUE (topic_name)
);
CREATE UNIQUE INDEX topics_meter_slot ON topics (meter_id, slot);
CREATE TABLE volttron_table_definitions (
	table_id VARCHAR(512) NOT NULL,
	table_name VARCHAR(512) NOT NULL,
	table_prefix VARCHAR(512),
	PRIMARY KEY (table_id)
);
CREATE TABLE counter_epochs (
	topic_id INTEGER NOT NULL,
	from_ts VARCHAR(26) NOT NULL,
	kind VARCHAR(16) NOT NULL,
	before_value DOUBLE,
	after_value DOUBLE,
	source VARCHAR(16) NOT NULL,
	note TEXT NOT NULL,
	PRIMARY KEY (topic_id, from_ts, source),
	FOREIGN KEY(topic_id) REFERENCES topics (topic_id)
);
CREATE TABLE gaps (
	meter_id INTEGER NOT NULL,
	from_ts VARCHAR(26) NOT NULL,
	to_ts VARCHAR(26) NOT NULL,
	reason VARCHAR(64) NOT NULL,
	UNIQUE (meter_id, from_ts, to_ts, reason),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE interval_days (
	topic_id INTEGER NOT NULL,
	day VARCHAR(26) NOT NULL,
	counts TEXT NOT NULL,
	minima TEXT NOT NULL,
	maxima TEXT NOT NULL,
	means TEXT NOT NULL,
	firsts TEXT NOT NULL,
	lasts TEXT NOT NULL,
	energies TEXT NOT NULL,
	dues TEXT NOT NULL,
	qualities TEXT NOT NULL,
	state TEXT,
	PRIMARY KEY (topic_id, day),
	FOREIGN KEY(topic_id) REFERENCES topics (topic_id)
);
CREATE TABLE interval_details (
	meter_id INTEGER NOT NULL,
	ts VARCHAR(26) NOT NULL,
	vals TEXT NOT NULL,
	PRIMARY KEY (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE interval_progress (
	meter_id INTEGER NOT NULL,
	next_ts VARCHAR(26) NOT NULL,
	through_ts VARCHAR(26) NOT NULL,
	states TEXT NOT NULL,
	PRIMARY KEY (meter_id),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE interval_rows (
	meter_id INTEGER NOT NULL,
	ts VARCHAR(26) NOT NULL,
	counts TEXT NOT NULL,
	minima TEXT NOT NULL,
	maxima TEXT NOT NULL,
	means TEXT NOT NULL,
	firsts TEXT NOT NULL,
	lasts TEXT NOT NULL,
	energies TEXT NOT NULL,
	dues TEXT NOT NULL,
	qualities TEXT NOT NULL,
	states TEXT NOT NULL,
	PRIMARY KEY (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE meter_settings (
	meter_id INTEGER NOT NULL,
	from_ts VARCHAR(26) NOT NULL,
	settings TEXT NOT NULL,
	PRIMARY KEY (meter_id, from_ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE readings (
	meter_id INTEGER NOT NULL,
	ts VARCHAR(26) NOT NULL,
	read_at VARCHAR(26) NOT NULL,
	scheduled BOOLEAN NOT NULL,
	vals TEXT NOT NULL,
	gaps TEXT,
	UNIQUE (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE schedules (
	meter_id INTEGER NOT NULL,
	from_ts VARCHAR(26) NOT NULL,
	interval_s FLOAT NOT NULL,
	slots TEXT NOT NULL,
	PRIMARY KEY (meter_id, from_ts, interval_s),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
INSERT INTO volttron_table_definitions (table_id, table_name, table_prefix) VALUES ('data_table', 'data', '');
INSERT INTO volttron_table_definitions (table_id, table_name, table_prefix) VALUES ('meta_table', 'meta', '');
INSERT INTO volttron_table_definitions (table_id, table_name, table_prefix) VALUES ('topics_table', 'topics', '');
CREATE VIEW data AS
SELECT r.ts AS ts, t.topic_id AS topic_id,
  CASE typeof(r.vals ->> t.slot) WHEN 'text' THEN r.vals ->> t.slot ELSE r.vals -> t.slot END AS value_string
FROM topics AS t CROSS JOIN readings AS r ON r.meter_id = t.meter_id
WHERE r.vals ->> t.slot IS NOT NULL;
CREATE VIEW samples AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, r.vals ->> t.slot AS value,
  CASE typeof(r.vals ->> t.slot) WHEN 'text' THEN r.vals ->> t.slot ELSE r.vals -> t.slot END AS value_string,
  (SELECT m.metadata ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit,
  r.read_at AS read_at, r.scheduled AS scheduled, 'UTC' AS zone
FROM topics AS t CROSS JOIN readings AS r ON r.meter_id = t.meter_id
WHERE r.vals ->> t.slot IS NOT NULL;
CREATE VIEW latest AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, r.vals ->> t.slot AS value,
  CASE typeof(r.vals ->> t.slot) WHEN 'text' THEN r.vals ->> t.slot ELSE r.vals -> t.slot END AS value_string,
  (SELECT m.metadata ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit,
  r.read_at AS read_at
FROM topics AS t CROSS JOIN readings AS r ON r.meter_id = t.meter_id AND r.ts = (
  SELECT b.ts FROM (
    SELECT n.ts, n.vals FROM readings AS n WHERE n.meter_id = t.meter_id
    ORDER BY n.ts DESC LIMIT 10000) AS b
  WHERE b.vals ->> t.slot IS NOT NULL LIMIT 1);
CREATE VIEW intervals AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, CAST(substr(d.day, 1, 11) || printf('%02d:%02d:00.000000', k.key * 15 / 60, k.key * 15 % 60) AS TEXT) AS ts,
  COALESCE(k.value, 0) AS n_values,
  d.minima ->> k.key AS minimum,
  d.maxima ->> k.key AS maximum,
  d.means ->> k.key AS mean,
  d.firsts ->> k.key AS first_value,
  d.lasts ->> k.key AS last_value,
  d.energies ->> k.key AS consumption,
  min(100.0, 100.0 * COALESCE(k.value, 0) / NULLIF(d.dues ->> k.key, 0)) AS completeness,
  CASE d.qualities ->> k.key WHEN 0 THEN 'measured' WHEN 1 THEN 'recovered' WHEN 2 THEN 'suspect' WHEN 3 THEN 'estimated' END AS quality,
  (SELECT m.metadata ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit
FROM topics AS t CROSS JOIN interval_days AS d ON d.topic_id = t.topic_id
  CROSS JOIN json_each(d.counts) AS k
WHERE COALESCE(k.value, d.energies ->> k.key, d.dues ->> k.key) IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM interval_rows AS x
    WHERE x.meter_id = t.meter_id AND x.ts = CAST(substr(d.day, 1, 11) || printf('%02d:%02d:00.000000', k.key * 15 / 60, k.key * 15 % 60) AS TEXT))
UNION ALL
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, CAST(r.ts AS TEXT) AS ts,
  COALESCE(r.counts ->> t.slot, 0) AS n_values,
  r.minima ->> t.slot AS minimum,
  r.maxima ->> t.slot AS maximum,
  r.means ->> t.slot AS mean,
  r.firsts ->> t.slot AS first_value,
  r.lasts ->> t.slot AS last_value,
  r.energies ->> t.slot AS consumption,
  min(100.0, 100.0 * COALESCE(r.counts ->> t.slot, 0) / NULLIF(r.dues ->> t.slot, 0)) AS completeness,
  CASE r.qualities ->> t.slot WHEN 0 THEN 'measured' WHEN 1 THEN 'recovered' WHEN 2 THEN 'suspect' WHEN 3 THEN 'estimated' END AS quality,
  (SELECT m.metadata ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit
FROM topics AS t CROSS JOIN interval_rows AS r ON r.meter_id = t.meter_id
WHERE COALESCE(r.counts ->> t.slot, r.energies ->> t.slot, r.dues ->> t.slot) IS NOT NULL;
INSERT INTO alembic_version (version_num) VALUES ('c46b07d2f95e');
COMMIT;
