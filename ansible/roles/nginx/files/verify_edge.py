"""Asks Nginx on this machine for a clip of each site, as a client would, and compares its bytes with what the slicer sent.

    python3 -I verify_edge.py <CLIPS

Standard input has a list in JSON: objects with address, port, tls, host, target and sha256. Prints a line for each that is wrong; the exit
status is then 1. Needs the standard library alone.
"""

import hashlib
import http.client
import json
import socket
import ssl
import sys
from typing import Any

WAIT_SECONDS = 120


def fetch(clip: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of the answer to a GET."""
    connection = http.client.HTTPConnection(clip["host"], timeout=WAIT_SECONDS)
    connection.sock = socket.create_connection((clip["address"], clip["port"]), WAIT_SECONDS)
    if clip["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Whether clients trust it is not asked here.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.sock = context.wrap_socket(connection.sock, server_hostname=clip["host"])
    connection.request("GET", clip["target"])
    answer = connection.getresponse()
    return answer.status, answer.read()


def main() -> bool:
    """Ask for all of them."""
    ill = []
    for clip in json.load(sys.stdin):
        try:
            status, body = fetch(clip)
        except (OSError, http.client.HTTPException) as error:
            ill.append(f"{clip['host']}: {error}")
            continue
        if status != 200:
            ill.append(f"{clip['host']}: {status} {body[:300].decode(errors='replace').strip()}")
        elif hashlib.sha256(body).hexdigest() != clip["sha256"]:
            ill.append(
                f"{clip['host']}: a clip has other bytes than the slicer sent: do all slicers have the same media?"
            )
    print("\n".join(ill))
    return bool(ill)


if __name__ == "__main__":
    sys.exit(main())
