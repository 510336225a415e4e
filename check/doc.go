// Package check is the gate before a deploy: it answers, with evidence, whether a change would hurt the
// target, whether both versions of the application work in every phase, and whether the rollback brings
// everything back.
//
// Each part of the gate (lint, and the proofs of rollback, workload and release) looks at the changes and gives
// a Part: what it looked at, and its findings. A Report holds the parts of one run; the writers of package
// check/report make of it what a terminal, a pull request or a CI service reads.
package check
