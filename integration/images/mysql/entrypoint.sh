#!/bin/sh
# A stand-in for the official image's entry point: MYSQL_ROOT_PASSWORD, MYSQL_DATABASE.
set -eu
if [ ! -d /var/lib/mysql/mysql ]; then
  mkdir -p /var/lib/mysql
  cp -a /usr/share/fresh/data/. /var/lib/mysql/
  rm -f /var/lib/mysql/auto.cnf # the server's identity is not to be shared
fi
mkdir -p /var/run/mysqld && chown -R mysql:mysql /var/lib/mysql /var/run/mysqld
cat >/tmp/init.sql <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD:?must be set}';
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD}';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS \`${MYSQL_DATABASE:-test}\`;
SQL
chown mysql:mysql /tmp/init.sql
server=$1
shift
exec "$server" --no-defaults --user=mysql --datadir=/var/lib/mysql --bind-address=0.0.0.0 --port=3306 --socket=/var/run/mysqld/mysqld.sock --init-file=/tmp/init.sql --local-infile=1 "$@"
