#!/usr/bin/env python3
"""The webhook of switchback in front of programs: it lets through what is signed, and has a program answer it, as it would
for the driver exec. The contract is in docs/custom.md.

    GATEWAY_SECRET=… gateway.py --listen 0.0.0.0:8443 --cert cert.pem --key key.pem \
        --service ./containers.py --router ./haproxy.py
"""
import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import ssl
import subprocess
import time

LARGEST = 1 << 20  # bytes of a request
OLDEST = 300  # seconds


def answer(headers, body):
    """The status and the answer for a request."""
    message, timestamp = headers.get("Webhook-Id", ""), headers.get("Webhook-Timestamp", "")
    mac = hmac.new(secret, f"{message}.{timestamp}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(mac.digest()).decode()
    if not hmac.compare_digest(signature, headers.get("Webhook-Signature", "")):
        return 401, b"it is not signed"
    if abs(time.time() - int(timestamp)) > OLDEST:
        return 401, b"it was signed too long ago"
    request = json.loads(body)
    program = {"service": args.service, "router": args.router}.get(request["port"])
    if not program:
        return 422, b"there is none here"
    try:
        done = subprocess.run([program, request["port"], request["verb"]], input=body, capture_output=True, timeout=request["seconds"])
    except subprocess.TimeoutExpired:
        return 504, b"its time was over"
    if done.returncode == 0:
        return 200, done.stdout
    if done.returncode < 0 or done.returncode == 75:
        return 503, done.stderr
    try:
        code = json.loads(done.stdout)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return 422, done.stderr
    return (409 if code in ("stale-fence", "conflict") else 422), done.stdout


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 60

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        status, text = answer(self.headers, self.rfile.read(length)) if length <= LARGEST else (413, b"too large")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


parser = argparse.ArgumentParser()
for option in ("--listen", "--service", "--router", "--cert", "--key"):
    parser.add_argument(option)
args = parser.parse_args()
secret = os.environ["GATEWAY_SECRET"].encode()
if secret.startswith(b"whsec_"):
    secret = base64.b64decode(secret[len(b"whsec_"):])
host, port = args.listen.rsplit(":", 1)
server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
if args.cert:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(args.cert, args.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"listening on {host}:{server.server_port}", flush=True)
server.serve_forever()
