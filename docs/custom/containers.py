#!/usr/bin/env python3
"""A service for switchback: containers by the command line of podman, nerdctl or docker, and a pattern for any other
program that starts and stops things. The contract is in docs/custom.md.

settings: engine  the program: podman
          state   a folder for the highest fence and for who was healthy before
"""
import fcntl
import http.client
import json
import os
import subprocess
import sys


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def engine(*args, env=None):
    done = subprocess.run([settings["engine"], *args], capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise Refused("", f"{settings['engine']} {args[0]}: {done.stderr.strip()}")
    return done.stdout


def name(instance):
    return f"{request['application']}-{instance}"


def find(instance):
    """The container of an instance, or None."""
    ids = engine("ps", "--all", "--quiet", "--filter", f"label=custom.application={request['application']}", "--filter", f"label=custom.instance={instance}").split()
    return json.loads(engine("inspect", ids[0]))[0] if ids else None


def told(c):
    """An instance as switchback wants it told."""
    label, state = c["Config"]["Labels"], c["State"]
    i = {key: label["custom." + key] for key in ("release", "version", "slot")}
    i |= {"id": label["custom.instance"], "address": "", "started": state["StartedAt"] if not state["StartedAt"].startswith("0001") else c["Created"]}
    if not state["Running"]:
        return i | {"state": "stopped", "detail": f"exited with code {state['ExitCode']}; its output: {settings['engine']} logs {name(i['id'])}"}
    published = c["NetworkSettings"]["Ports"].get(label["custom.port"] + "/tcp") or []
    if not published:
        return i | {"state": "starting", "detail": "its port is not published yet"}
    i["address"] = f"127.0.0.1:{published[0]['HostPort']}"
    was_healthy = os.path.join(settings["state"], i["id"] + ".healthy")
    try:
        probe = http.client.HTTPConnection(i["address"], timeout=2)
        probe.request("GET", label["custom.health"])
        status = probe.getresponse().status
        if status // 100 != 2:
            raise OSError(f"GET {label['custom.health']} answers {status}")
    except (OSError, http.client.HTTPException) as e:
        return i | {"state": "failing" if os.path.exists(was_healthy) else "starting", "detail": str(e)}
    open(was_healthy, "w").close()
    return i | {"state": "healthy"}


def run(args, env, tries=5):
    """Makes a container and starts it; again, where the engine has chosen a port that somebody else uses."""
    try:
        engine(*args, env=env)
    except Refused as r:
        if tries == 1 or "address already in use" not in str(r):
            raise
        engine("rm", "--force", name(request["instance"]))
        run(args, env, tries - 1)


def start(v):
    c = find(request["instance"])
    if c is None:
        port = str(v["port"])
        fill = lambda text: text.replace("{{host}}", "0.0.0.0").replace("{{port}}", port)
        labels = {"application": request["application"], "instance": request["instance"], "release": v["release"],
                  "version": v["name"], "slot": v["slot"], "port": port, "health": v.get("health", "/")}
        args = ["run", "--detach", "--name", name(request["instance"]), "--publish", f"127.0.0.1::{port}"]
        for key, value in labels.items():
            args += ["--label", f"custom.{key}={value}"]
        for key in v.get("env", {}):
            args += ["--env", key]  # the value goes by the environment: arguments are seen by everybody
        args += [v["image"], *map(fill, v.get("command", []))]
        run(args, {k: fill(x) for k, x in v.get("env", {}).items()})
    elif not c["State"]["Running"]:
        engine("start", c["Id"])
    return {"instance": told(find(request["instance"]))}


def fenced():
    """Keeps out a run that has lost its lock."""
    file, fence, seen = os.path.join(settings["state"], "fence"), request["operation"]["fence"], 0
    if os.path.exists(file):
        with open(file) as f:
            seen = int(f.read())
    if fence < seen:
        raise Refused("stale-fence", f"fence {fence}, seen {seen}")
    if fence > seen:
        with open(file + ".tmp", "w") as f:
            f.write(str(fence))
        os.replace(file + ".tmp", file)


def change():
    fenced()
    if request["verb"] == "start":
        return start(request["version"])
    c = find(request["instance"])
    if request["verb"] == "stop" and c and c["State"]["Running"]:
        engine("stop", "--time", str(round(request.get("grace", 0))), c["Id"])
    if request["verb"] == "remove" and c:
        if c["State"]["Running"]:
            raise Refused("", "it is running: stop it first")
        engine("rm", "--volumes", c["Id"])
    return {}


def main():
    os.makedirs(settings["state"], exist_ok=True)
    match request["verb"]:
        case "check":
            engine("image", "inspect", request["version"]["image"])
            return {}
        case "observe":
            c = find(request["instance"])
            return {"instance": told(c) if c else {"id": request["instance"], "state": "absent"}}
        case "list":
            ids = engine("ps", "--all", "--quiet", "--filter", f"label=custom.application={request['application']}").split()
            return {"instances": [told(c) for c in json.loads(engine("inspect", *ids))] if ids else []}
        case "start" | "stop" | "remove":
            with open(os.path.join(settings["state"], "lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return change()
    raise Refused("", f"verb {request['verb']} is not known here")


request = json.load(sys.stdin)
settings = {"engine": "podman", "state": "."} | request.get("settings", {})
try:
    print(json.dumps(main()))
except Refused as r:
    print(json.dumps({"error": {"code": r.code, "message": str(r)}}))
    sys.exit(1)
