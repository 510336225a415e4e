// Package migrate takes database changes through their phases and back.
//
// A change is a folder of paired SQL scripts (Folder, Change). A Runner compares the folder with the
// journal in the target database, makes a plan of steps (one phase of one change, forward or back),
// takes the fenced lock and runs the steps one by one. Everything it does is written to the journal:
//
//	changes/ ──LoadFolder──▶ Folder ─┐
//	                                 ├─▶ Runner.Plan ──▶ []Step ──Runner.Run──▶ target database
//	journal ──ReadJournal──▶ State ──┘                                              │
//	   ▲──────────────── a row before and after each step ──────────────────────────┘
//
// Where the engine's DDL is transactional (PostgreSQL, SQLite) a phase and its journal rows are one
// transaction. Where DDL commits by itself (MySQL, MariaDB) and for scripts that ask for it, each
// statement has an intent and an outcome of its own, and the catalogue's fingerprint tells a resumed
// run whether an interrupted statement took effect.
//
// The package speaks SQL through database/sql and knows engines only as Database, which the packages
// below drivers/database implement.
package migrate
