// Package proxy is the router Switchback brings along: a reverse proxy that splits requests between
// blue and green by weight, and the client that moves those weights.
//
// A [Server] listens in two places. The data path takes requests for the application:
//
//	client ──▶ forwarder ──▶ table.pick ──▶ backend (blue | green) ──▶ upstream connection
//
// The table is an immutable snapshot behind an atomic pointer, so a request takes no lock to find
// its backend, and a request either follows the old routing or the new one, never a mixture. Each
// backend counts what is under way there, WebSockets included, which makes a drain exact: once the
// new table is in force and the count of the old backend is zero, nothing reaches it any more.
//
// The admin path is HTTP over a Unix socket that only its owner may open:
//
//	Router.Shift ──PUT /routing──▶ validate, fence ──▶ state file (fsync, rename) ──▶ swap the table
//
// The state file is written before the table changes hands, so a proxy that dies and starts again
// serves what it had acknowledged.
//
// [Router] implements strategies.Router on top of that socket; it reads the routing from the table
// that serves requests, not from the file.
package proxy
