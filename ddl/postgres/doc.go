// Package postgres writes the SQL scripts of package ddl for PostgreSQL.
package postgres
