-- EMDC's schema for MySQL. Generated: python -m emdc.storage.ddl mysql > sql/mysql.sql
-- Use: mysql emdc < sql/mysql.sql
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
BEGIN;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE meta (
	topic_id INTEGER NOT NULL,
	metadata MEDIUMTEXT NOT NULL,
	PRIMARY KEY (topic_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE meters (
	meter_id INTEGER NOT NULL AUTO_INCREMENT,
	name VARCHAR(512) NOT NULL,
	PRIMARY KEY (meter_id),
	UNIQUE (name)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE topics (
	topic_id INTEGER NOT NULL AUTO_INCREMENT,
	topic_name VARCHAR(512) NOT NULL,
	meter_id INTEGER,
	slot INTEGER,
	PRIMARY KEY (topic_id),
	UNIQUE (topic_name)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE UNIQUE INDEX topics_meter_slot ON topics (meter_id, slot);
CREATE TABLE volttron_table_definitions (
	table_id VARCHAR(512) NOT NULL,
	table_name VARCHAR(512) NOT NULL,
	table_prefix VARCHAR(512),
	PRIMARY KEY (table_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE counter_epochs (
	topic_id INTEGER NOT NULL,
	from_ts DATETIME(6) NOT NULL,
	kind VARCHAR(16) NOT NULL,
	before_value DOUBLE,
	after_value DOUBLE,
	source VARCHAR(16) NOT NULL,
	note TEXT NOT NULL,
	PRIMARY KEY (topic_id, from_ts, source),
	FOREIGN KEY(topic_id) REFERENCES topics (topic_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE gaps (
	meter_id INTEGER NOT NULL,
	from_ts DATETIME(6) NOT NULL,
	to_ts DATETIME(6) NOT NULL,
	reason VARCHAR(64) NOT NULL,
	UNIQUE (meter_id, from_ts, to_ts, reason),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE interval_days (
	topic_id INTEGER NOT NULL,
	day DATETIME(6) NOT NULL,
	counts MEDIUMTEXT NOT NULL,
	minima MEDIUMTEXT NOT NULL,
	maxima MEDIUMTEXT NOT NULL,
	means MEDIUMTEXT NOT NULL,
	firsts MEDIUMTEXT NOT NULL,
	lasts MEDIUMTEXT NOT NULL,
	energies MEDIUMTEXT NOT NULL,
	dues MEDIUMTEXT NOT NULL,
	qualities MEDIUMTEXT NOT NULL,
	state MEDIUMTEXT,
	PRIMARY KEY (topic_id, day),
	FOREIGN KEY(topic_id) REFERENCES topics (topic_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE interval_details (
	meter_id INTEGER NOT NULL,
	ts DATETIME(6) NOT NULL,
	vals MEDIUMTEXT NOT NULL,
	PRIMARY KEY (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE interval_progress (
	meter_id INTEGER NOT NULL,
	next_ts DATETIME(6) NOT NULL,
	through_ts DATETIME(6) NOT NULL,
	states MEDIUMTEXT NOT NULL,
	PRIMARY KEY (meter_id),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE interval_rows (
	meter_id INTEGER NOT NULL,
	ts DATETIME(6) NOT NULL,
	counts MEDIUMTEXT NOT NULL,
	minima MEDIUMTEXT NOT NULL,
	maxima MEDIUMTEXT NOT NULL,
	means MEDIUMTEXT NOT NULL,
	firsts MEDIUMTEXT NOT NULL,
	lasts MEDIUMTEXT NOT NULL,
	energies MEDIUMTEXT NOT NULL,
	dues MEDIUMTEXT NOT NULL,
	qualities MEDIUMTEXT NOT NULL,
	states MEDIUMTEXT NOT NULL,
	PRIMARY KEY (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE meter_settings (
	meter_id INTEGER NOT NULL,
	from_ts DATETIME(6) NOT NULL,
	settings MEDIUMTEXT NOT NULL,
	PRIMARY KEY (meter_id, from_ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE readings (
	meter_id INTEGER NOT NULL,
	ts DATETIME(6) NOT NULL,
	read_at DATETIME(6) NOT NULL,
	scheduled BOOL NOT NULL,
	vals MEDIUMTEXT NOT NULL,
	gaps MEDIUMTEXT,
	UNIQUE (meter_id, ts),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
CREATE TABLE schedules (
	meter_id INTEGER NOT NULL,
	from_ts DATETIME(6) NOT NULL,
	interval_s DOUBLE NOT NULL,
	slots MEDIUMTEXT NOT NULL,
	PRIMARY KEY (meter_id, from_ts, interval_s),
	FOREIGN KEY(meter_id) REFERENCES meters (meter_id)
)ENGINE=InnoDB CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COLLATE utf8mb4_bin;
INSERT INTO volttron_table_definitions (table_id, table_name, table_prefix) VALUES ('data_table', 'data', '');
INSERT INTO volttron_table_definitions (table_id, table_name, table_prefix) VALUES ('meta_table', 'meta', '');
INSERT INTO volttron_table_definitions (table_id, table_name, table_prefix) VALUES ('topics_table', 'topics', '');
CREATE VIEW data AS
SELECT r.ts AS ts, t.topic_id AS topic_id,
  JSON_UNQUOTE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) AS value_string
FROM topics AS t STRAIGHT_JOIN readings AS r ON r.meter_id = t.meter_id
WHERE JSON_TYPE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) <> 'NULL';
CREATE VIEW samples AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, CASE WHEN JSON_TYPE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) <> 'STRING' THEN CAST(JSON_UNQUOTE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) AS DOUBLE) END AS value,
  JSON_UNQUOTE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) AS value_string,
  (SELECT JSON_UNQUOTE(JSON_EXTRACT(m.metadata, '$.units')) FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit,
  r.read_at AS read_at, r.scheduled AS scheduled, 'UTC' AS zone
FROM topics AS t STRAIGHT_JOIN readings AS r ON r.meter_id = t.meter_id
WHERE JSON_TYPE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) <> 'NULL';
CREATE VIEW latest AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, CASE WHEN JSON_TYPE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) <> 'STRING' THEN CAST(JSON_UNQUOTE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) AS DOUBLE) END AS value,
  JSON_UNQUOTE(JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']'))) AS value_string,
  (SELECT JSON_UNQUOTE(JSON_EXTRACT(m.metadata, '$.units')) FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit,
  r.read_at AS read_at
FROM topics AS t STRAIGHT_JOIN readings AS r ON r.meter_id = t.meter_id AND r.ts = (
  SELECT COALESCE(
    (SELECT n.ts FROM readings AS n
      WHERE n.meter_id = t.meter_id
      AND n.ts = (SELECT MAX(x.ts) FROM readings AS x WHERE x.meter_id = t.meter_id)
      AND JSON_TYPE(JSON_EXTRACT(n.vals, CONCAT('$[', t.slot, ']'))) <> 'NULL'),
    (SELECT n.ts FROM readings AS n
      WHERE n.meter_id = t.meter_id AND JSON_TYPE(JSON_EXTRACT(n.vals, CONCAT('$[', t.slot, ']'))) <> 'NULL'
      AND n.ts >= COALESCE((SELECT x.ts FROM readings AS x WHERE x.meter_id = t.meter_id
        ORDER BY x.ts DESC LIMIT 1 OFFSET 9999), '1970-01-01')
      ORDER BY n.ts DESC LIMIT 1)));
CREATE VIEW intervals AS
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, COALESCE(d.day + INTERVAL 15 * (a.n + b.n) MINUTE, r.ts) AS ts,
  CAST(COALESCE(CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.counts, r.counts), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE), 0) AS SIGNED) AS n_values,
  CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.minima, r.minima), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE) AS minimum,
  CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.maxima, r.maxima), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE) AS maximum,
  CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.means, r.means), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE) AS mean,
  CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.firsts, r.firsts), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE) AS first_value,
  CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.lasts, r.lasts), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE) AS last_value,
  CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.energies, r.energies), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE) AS consumption,
  LEAST(100, 100 * COALESCE(CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.counts, r.counts), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE), 0) / NULLIF(CAST(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.dues, r.dues), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') AS DOUBLE), 0)) AS completeness,
  CASE NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.qualities, r.qualities), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null') WHEN '0' THEN 'measured' WHEN '1' THEN 'recovered' WHEN '2' THEN 'suspect' WHEN '3' THEN 'estimated' END AS quality,
  JSON_UNQUOTE(JSON_EXTRACT(m.metadata, '$.units')) AS unit
FROM topics AS t JOIN (SELECT 0 AS n UNION ALL SELECT 1) AS p
  LEFT JOIN meta AS m ON m.topic_id = t.topic_id
  LEFT JOIN (interval_days AS d
    STRAIGHT_JOIN (SELECT 0 AS n UNION ALL SELECT 8 UNION ALL SELECT 16 UNION ALL SELECT 24 UNION ALL SELECT 32 UNION ALL SELECT 40 UNION ALL SELECT 48 UNION ALL SELECT 56 UNION ALL SELECT 64 UNION ALL SELECT 72 UNION ALL SELECT 80 UNION ALL SELECT 88) AS a
    STRAIGHT_JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7) AS b) ON p.n = 0 AND d.topic_id = t.topic_id
  LEFT JOIN interval_rows AS r ON p.n = 1 AND r.meter_id = t.meter_id
WHERE COALESCE(NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.counts, r.counts), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null'), NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.energies, r.energies), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null'), NULLIF(JSON_UNQUOTE(JSON_EXTRACT(COALESCE(d.dues, r.dues), CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']'))), 'null')) IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM interval_rows AS x
    WHERE x.meter_id = t.meter_id AND x.ts = d.day + INTERVAL 15 * (a.n + b.n) MINUTE);
INSERT INTO alembic_version (version_num) VALUES ('c46b07d2f95e');
COMMIT;
