-- EMDC's schema for PostgreSQL. Generated: python -m emdc.storage.ddl postgresql > sql/postgresql.sql
-- Use: psql -d emdc -f sql/postgresql.sql
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
	meter_id SERIAL NOT NULL,
	name VARCHAR(512) NOT NULL,
	PRIMARY KEY (meter_id),
	UNIQUE (name)
);
CREATE TABLE topics (
	topic_id SERIAL NOT NULL,
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
	from_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	kind VARCHAR(16) NOT NULL,
	before_value DOUBLE PRECISION,
	after_value DOUBLE PRECISION,
	source VARCHAR(16) NOT NULL,
	note TEXT NOT NULL,
	PRIMARY KEY (topic_id, from_ts, source),
	FOREIGN KEY(topic_id) REFERENCES topics (topic_id)
);
CREATE TABLE gaps (
	meter_id INTEGER NOT NULL,
	from_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	to_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	reason VARCHAR(64) NOT NULL,
	UNIQUE (meter_id, from_ts, to_ts, reason),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE interval_days (
	topic_id INTEGER NOT NULL,
	day TIMESTAMP WITH TIME ZONE NOT NULL,
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
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	vals TEXT NOT NULL,
	PRIMARY KEY (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE interval_progress (
	meter_id INTEGER NOT NULL,
	next_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	through_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	states TEXT NOT NULL,
	PRIMARY KEY (meter_id),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE interval_rows (
	meter_id INTEGER NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
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
	from_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	settings TEXT NOT NULL,
	PRIMARY KEY (meter_id, from_ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE TABLE readings (
	meter_id INTEGER NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	read_at TIMESTAMP WITH TIME ZONE NOT NULL,
	scheduled BOOLEAN NOT NULL,
	vals DOUBLE PRECISION[] NOT NULL,
	gaps TEXT,
	texts JSONB,
	UNIQUE (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
);
CREATE INDEX readings_ts ON readings (ts);
CREATE TABLE schedules (
	meter_id INTEGER NOT NULL,
	from_ts TIMESTAMP WITH TIME ZONE NOT NULL,
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
  COALESCE(r.vals[t.slot + 1]::text, r.texts ->> t.slot::text) AS value_string
FROM topics AS t JOIN readings AS r ON r.meter_id = t.meter_id
WHERE (r.vals[t.slot + 1] IS NOT NULL OR r.texts ? t.slot::text);
CREATE VIEW samples AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, r.vals[t.slot + 1] AS value,
  COALESCE(r.vals[t.slot + 1]::text, r.texts ->> t.slot::text) AS value_string,
  (SELECT m.metadata::json ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit,
  r.read_at AS read_at, r.scheduled AS scheduled, 'UTC' AS zone
FROM topics AS t JOIN readings AS r ON r.meter_id = t.meter_id
WHERE (r.vals[t.slot + 1] IS NOT NULL OR r.texts ? t.slot::text);
CREATE VIEW latest AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, r.vals[t.slot + 1] AS value,
  COALESCE(r.vals[t.slot + 1]::text, r.texts ->> t.slot::text) AS value_string,
  (SELECT m.metadata::json ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit,
  r.read_at AS read_at
FROM topics AS t JOIN readings AS r ON r.meter_id = t.meter_id AND r.ts = (
  SELECT b.ts FROM (
    SELECT n.ts, n.vals, n.texts FROM readings AS n WHERE n.meter_id = t.meter_id
    ORDER BY n.ts DESC LIMIT 10000) AS b
  WHERE b.vals[t.slot + 1] IS NOT NULL OR b.texts ? t.slot::text
  ORDER BY b.ts DESC LIMIT 1);
CREATE VIEW intervals AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, c.ts AS ts,
  COALESCE(c.counts::float8, 0)::integer AS n_values,
  c.minima::float8 AS minimum,
  c.maxima::float8 AS maximum,
  c.means::float8 AS mean,
  c.firsts::float8 AS first_value,
  c.lasts::float8 AS last_value,
  c.energies::float8 AS consumption,
  CASE WHEN c.dues::float8 > 0
    THEN LEAST(100, 100 * COALESCE(c.counts::float8, 0) / c.dues::float8) END AS completeness,
  CASE c.qualities WHEN '0' THEN 'measured' WHEN '1' THEN 'recovered' WHEN '2' THEN 'suspect' WHEN '3' THEN 'estimated' END AS quality,
  (SELECT m.metadata::json ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit
FROM topics AS t CROSS JOIN LATERAL (
  SELECT d.day + (k.n - 1) * interval '15 minutes' AS ts, k.counts, k.minima, k.maxima, k.means, k.firsts, k.lasts, k.energies, k.dues, k.qualities
  FROM interval_days AS d CROSS JOIN LATERAL ROWS FROM (
    json_array_elements_text(d.counts::json),
    json_array_elements_text(d.minima::json),
    json_array_elements_text(d.maxima::json),
    json_array_elements_text(d.means::json),
    json_array_elements_text(d.firsts::json),
    json_array_elements_text(d.lasts::json),
    json_array_elements_text(d.energies::json),
    json_array_elements_text(d.dues::json),
    json_array_elements_text(d.qualities::json)
  ) WITH ORDINALITY AS k (counts, minima, maxima, means, firsts, lasts, energies, dues, qualities, n)
  WHERE d.topic_id = t.topic_id AND NOT EXISTS (SELECT 1 FROM interval_rows AS x
    WHERE x.meter_id = t.meter_id AND x.ts = d.day + (k.n - 1) * interval '15 minutes')
  UNION ALL
  SELECT r.ts, r.counts::json ->> t.slot, r.minima::json ->> t.slot, r.maxima::json ->> t.slot, r.means::json ->> t.slot, r.firsts::json ->> t.slot, r.lasts::json ->> t.slot, r.energies::json ->> t.slot, r.dues::json ->> t.slot, r.qualities::json ->> t.slot
  FROM interval_rows AS r WHERE r.meter_id = t.meter_id
) AS c
WHERE COALESCE(c.counts, c.energies, c.dues) IS NOT NULL;
INSERT INTO alembic_version (version_num) VALUES ('c46b07d2f95e');
COMMIT;
