// Package nginx drives an NGINX somebody else runs and configures: [Router] splits the traffic of a release, and
// [Upstreams] follow service discovery. Both go about it in the same way; what follows is of a Router.
//
// A Router owns one path, which the user's nginx.conf includes in its http block, and the folder beside it:
//
//	switchback.conf                    a symbolic link to the generation in force
//	switchback.conf.d/gen-7.conf       upstreams, split_clients and the beacon of generation 7
//	switchback.conf.d/gen-7.written    the same, to tell an edit by
//	switchback.conf.d/gen-7.json       the routing it stands for
//	switchback.conf.d/state.json       the fence, the proven generation, and the one on its way
//
// A shift goes through steps, each of which may be the last of a killed process:
//
//	write gen-8 ──▶ flip the link ──▶ nginx -t ──▶ nginx -s reload ──▶ beacon answers 8 ──▶ proven
//	                     └──────── on a failure: flip back, reload, beacon answers 7 ◀─┘
//
// A reload returns before it has happened, and a configuration that cannot be loaded leaves the old workers
// running without a word. So each generation carries a beacon, a listener on the loopback that answers with its
// number, and a shift has happened once new connections meet no other.
//
// [Router.Observe] reads the routing from that beacon, so it tells what serves traffic, whatever a killed process
// has left in the files.
package nginx
