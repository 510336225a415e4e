// Package postgres writes the SQL scripts of package ddl for PostgreSQL.
//
//	diff.Result ──nodes──▶ objects of both sides, with what each has need of
//	                          │ plan: what is made, dropped, altered; what stands on something
//	                          │       that has to go is taken away first and made again
//	                          ▼
//	                       []ddl.Step ──ddl.Order──▶ ddl.Script
//
// A file holds what is special about one kind of object.
package postgres
