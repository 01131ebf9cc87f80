-- The two users of EMDC's database on PostgreSQL, and the database. Run once, as administrator; it
-- asks for the two passwords:
--
--   sudo -u postgres psql < sql/postgresql-roles.sql          or psql -h HOST -U ADMINISTRATOR
--   emdc migrate --db_url=postgresql://emdc_owner@localhost/emdc --db_password_file=FILE
--   psql -h localhost -U emdc_owner -d emdc -f sql/postgresql-grants.sql
--
-- Where nobody can be asked: -v owner_password=… -v writer_password=…, which other users of the
-- machine can see while it runs. It can be run again; then both passwords are set anew.
--
-- emdc_owner   upgrades the tables (emdc migrate), makes sample data, deletes what is too old
-- emdc_writer  for the daemon: adds readings and what belongs to them, makes quarter hours of them,
--              reads everything, and can neither delete nor change a reading nor touch a table
--
-- The daemon's settings are then, with the password in a file:
--
--   [database]
--   url = "postgresql://emdc_writer@localhost/emdc"
--   password_file = "/etc/emdc/db_password"
--
-- For a database that is there already: edit a copy of both files where its name is not emdc, and
-- where another user made its tables, connect to it as administrator and add
--   REASSIGN OWNED BY that_user TO emdc_owner;
\set ON_ERROR_STOP on

SELECT 'CREATE ROLE emdc_owner LOGIN'
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'emdc_owner') \gexec
SELECT 'CREATE ROLE emdc_writer LOGIN'
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'emdc_writer') \gexec

\if :{?owner_password}
  ALTER ROLE emdc_owner PASSWORD :'owner_password';
\else
  \echo Password of emdc_owner
  \password emdc_owner
\endif
\if :{?writer_password}
  ALTER ROLE emdc_writer PASSWORD :'writer_password';
\else
  \echo Password of emdc_writer
  \password emdc_writer
\endif

SELECT 'CREATE DATABASE emdc ENCODING ''UTF8'' TEMPLATE template0'
WHERE NOT EXISTS (SELECT 1 FROM pg_database WHERE datname = 'emdc') \gexec
ALTER DATABASE emdc OWNER TO emdc_owner;
-- TEMPORARY: readings come through a table that ends with the connection.
GRANT CONNECT, TEMPORARY ON DATABASE emdc TO emdc_writer;

\connect emdc

ALTER SCHEMA public OWNER TO emdc_owner;
-- Before PostgreSQL 15 everybody may create tables there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO emdc_writer;
-- Tables and views that an upgrade adds can be read at once; postgresql-grants.sql gives the rest.
ALTER DEFAULT PRIVILEGES FOR ROLE emdc_owner IN SCHEMA public GRANT SELECT ON TABLES TO emdc_writer;
