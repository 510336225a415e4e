//go:build !failpoint

// Package failpoint marks the places at which a crash is interesting: each journal boundary, each
// step towards the outside. In an ordinary build a mark costs nothing. Built with the tag
// "failpoint", the process kills itself with SIGKILL at the mark chosen by the environment, so that
// the crash tests can run the real binary and kill it at every one of them in turn.
package failpoint

// Hit marks a place. It does nothing in this build.
func Hit(string) {}
