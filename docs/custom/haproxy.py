#!/usr/bin/env python3
"""A router for switchback: HAProxy, told by its runtime API. The contract is in docs/custom.md.

settings: socket   HAProxy's stats socket, of level admin
          backend  the backend whose servers are ours: server-template s 4 127.0.0.1:1 disabled
          state    the file in which it is kept who has put the routing in force
"""
import csv
import fcntl
import json
import os
import socket
import sys


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def ask(command):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect(settings["socket"])
        s.sendall((command + "\n").encode())
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def tell(*commands):
    for line in commands:
        said = ask(line).strip()
        if said and not said.startswith(("IP changed", "port changed", "no need to change")):
            raise Refused("", f"HAProxy: {line}: {said}")


def servers():
    """What HAProxy does: a row for each server, by name."""
    rows = csv.DictReader(ask("show stat").removeprefix("# ").splitlines())
    return {r["svname"]: r for r in rows if r["pxname"] == settings["backend"] and r["svname"] not in ("FRONTEND", "BACKEND")}


def weight(row):
    return 0 if row["status"].startswith(("MAINT", "DRAIN")) else int(row["weight"])


def apply(backends):
    """Puts a routing in force, and may be repeated. New weights come before old ones go, so that there is always one."""
    rows = servers()
    at = {row["addr"]: name for name, row in rows.items()}
    free = [name for name, row in rows.items() if weight(row) == 0 and row["scur"] == "0" and row["addr"] not in {b["address"] for b in backends}]
    server = lambda name: f"set server {settings['backend']}/{name} "
    wanted = {}
    for b in backends:
        name = at.get(b["address"])
        if name is None:
            if not free:
                raise Refused("", "no server is free: all still have requests under way")
            name = free.pop()
            host, port = b["address"].rsplit(":", 1)
            tell(server(name) + f"addr {host} port {port}", server(name) + "weight 0", server(name) + "state ready")
        wanted[name] = b["weight"]
    for name, share in sorted(wanted.items(), key=lambda w: -w[1]):
        tell(server(name) + f"weight {share}", server(name) + "state ready")
    for name, row in rows.items():
        if name not in wanted and weight(row) > 0:
            tell(server(name) + "weight 0")


def observe(state):
    """The routing in force. One that was cut off on its way is brought to its end first, and so is one that HAProxy has
    forgotten because it was restarted; any other difference is somebody else's doing."""
    rows = servers()
    restarted = all(row["status"].startswith("MAINT") for row in rows.values())
    if "pending" in state or restarted and state["routing"]["backends"]:
        state["routing"] = state.pop("pending", state["routing"])
        apply(state["routing"]["backends"])
        keep(state)
        rows = servers()
    has = {row["addr"]: weight(row) for row in rows.values() if weight(row) > 0}
    told = {b["address"]: b["weight"] for b in state["routing"]["backends"] if b["weight"] > 0}
    if has != told:
        raise Refused("conflict", f"HAProxy has the weights {has}, and was told {told}: somebody has changed them")
    return state["routing"]


def shift(state):
    now, op = observe(state), request["operation"]
    if op["fence"] < now["fence"]:
        raise Refused("stale-fence", f"fence {op['fence']}, seen {now['fence']}")
    same = now["backends"] == request["backends"]
    if now["operation"] == op["id"] and not same:
        raise Refused("", "the operation was already carried out with other backends")
    if now["operation"] != op["id"] and now["generation"] != request["over"]:
        raise Refused("conflict", f"generation {now['generation']} is in force, not {request['over']}")
    generation = now["generation"] + (0 if now["operation"] == op["id"] else 1)
    state["pending"] = {"backends": request["backends"], "generation": generation, "operation": op["id"], "fence": op["fence"]}
    keep(state)  # before, so that a run that is killed in between is brought to its end by the next
    return observe(state)


def keep(state):
    with open(settings["state"] + ".tmp", "w") as f:
        json.dump(state, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(settings["state"] + ".tmp", settings["state"])


def main():
    with open(settings["state"] + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = {"routing": {"backends": [], "generation": 0, "operation": "", "fence": 0}}
        if os.path.exists(settings["state"]):
            with open(settings["state"]) as f:
                state = json.load(f)
        match request["verb"]:
            case "observe":
                return {"routing": observe(state)}
            case "shift":
                return {"routing": shift(state)}
            case "drain":
                return {"left": sum(int(row["scur"]) for row in servers().values() if row["addr"] == request["address"])}
        raise Refused("", f"verb {request['verb']} is not known here")


request = json.load(sys.stdin)
settings = request["settings"]
try:
    print(json.dumps(main()))
except Refused as r:
    print(json.dumps({"error": {"code": r.code, "message": str(r)}}))
    sys.exit(1)
except OSError as e:  # HAProxy does not answer: the same may work in a moment
    print(f"HAProxy at {settings['socket']}: {e}", file=sys.stderr)
    sys.exit(75)
