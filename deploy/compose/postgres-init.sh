#!/bin/sh
# Runs once, in an empty database cluster: the user of Merlon owns its database and
# nothing else. The password is read by psql, so that it is on no command line.
set -eu
psql --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres --no-psqlrc --quiet <<'SQL'
\set password `cat /run/secrets/merlon_password`
CREATE ROLE merlon LOGIN PASSWORD :'password';
CREATE DATABASE merlon OWNER merlon ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE merlon FROM PUBLIC;
SQL
