-- The two users of EMDC's database on MariaDB and MySQL, and the database. Run once, as
-- administrator, after editing a copy: put a password in quotes, such as 'correct horse', in place
-- of EDIT_ME_OWNER_PASSWORD and EDIT_ME_WRITER_PASSWORD. Unedited it ends with an error and changes
-- nothing.
--
--   sudo mariadb < copy-of-mysql-roles.sql          or mysql -h HOST -u ADMINISTRATOR -p
--   emdc migrate --db_url=mysql+pymysql://emdc_owner@localhost/emdc --db_password_file=FILE
--   mariadb -u emdc_owner -p < sql/mysql-grants.sql
--
-- emdc_owner   upgrades the tables (emdc migrate), makes sample data, deletes what is too old
-- emdc_writer  for the daemon: adds readings and what belongs to them, makes quarter hours of them,
--              reads everything, and can neither delete a reading nor change its values nor touch a
--              table
--
-- The daemon's settings are then, with the password in a file:
--
--   [database]
--   url = "mysql+pymysql://emdc_writer@localhost/emdc"
--   password_file = "/etc/emdc/db_password"
--
-- '%' lets them come from every machine: where there is one collector, write its address instead.
-- REQUIRE SSL at the end of a CREATE USER line refuses connections that are not encrypted. For a
-- database that is there already under another name, write that for emdc. What is changed here is
-- to be changed in mysql-grants.sql too.

CREATE USER IF NOT EXISTS 'emdc_owner'@'%' IDENTIFIED BY EDIT_ME_OWNER_PASSWORD;
CREATE USER IF NOT EXISTS 'emdc_writer'@'%' IDENTIFIED BY EDIT_ME_WRITER_PASSWORD;

CREATE DATABASE IF NOT EXISTS emdc CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- WITH GRANT OPTION: mysql-grants.sql is run by the owner.
GRANT ALL PRIVILEGES ON emdc.* TO 'emdc_owner'@'%' WITH GRANT OPTION;
-- Tables and views that an upgrade adds can be read at once; mysql-grants.sql gives the rest.
GRANT SELECT ON emdc.* TO 'emdc_writer'@'%';
