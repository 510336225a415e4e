// Package schema is the model of a database's structure: plain data, no SQL, no I/O.
//
// Inspectors (drivers/database) read a catalogue into a Database. Everything that works on all kinds of
// objects alike, such as package diff, the fingerprint and the JSON form, walks the tree through the
// small interface Object. A new kind of object is one struct with its Properties, and one query of an
// inspector.
//
//	catalogue ──Inspect──▶ Database ──▶ Fingerprint
//	                          │
//	                          └──▶ diff.Compare
package schema
