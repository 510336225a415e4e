// Package lint is the part of the gate that looks at scripts statement by statement: does one lock readers or
// writers out, does one break the version of the application that is running, can one not be taken back.
//
//	changes ──Scripts──▶ []Script ──Run──▶ check.Part, what was silenced
//	                                 ▲
//	    scratch database ──Observer──┘ locks, rewrites and scans, seen and not guessed
//
// The rules are plain data (Rules). What a rule says of a statement that it reads needs no server; the rules
// about locks ask an Observer, which runs the statements in a scratch database.
package lint
