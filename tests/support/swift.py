"""OpenStack Swift with its S3 API: Debian's package python3-swift, and the four servers of a cluster of one disk.

Debian's packages of the servers bring services that start with the machine, so they are started from the library alone.
"""

import os
import pwd
import subprocess

from support.server import folder, free_port
from support.store import SECRET, Store

#: Debian's packages are there for Debian's Python.
PYTHON = "/usr/bin/python3"
SERVERS = ("proxy", "account", "container", "object")
#: Arguments: the folder of swift.conf, and the server.
RUN = """
import sys
from swift.common import utils
from swift.common.wsgi import run_wsgi
place, name = sys.argv[1:]
utils.set_swift_dir(place)
sys.exit(run_wsgi(f"{place}/{name}.conf", f"{name}-server"))
"""
#: Arguments: the folder for rings, then the name and the port of each server that has one.
RINGS = """
import sys
from swift.common.ring import RingBuilder
place, *pairs = sys.argv[1:]
for name, port in zip(pairs[::2], pairs[1::2]):
    ring = RingBuilder(1, 1, 0)
    ring.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(f"{place}/{name}.ring.gz")
"""
COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
workers = 0
swift_dir = {work}
devices = {work}
mount_check = false
disable_fallocate = true
log_level = WARNING
log_address = {work}/no-syslog
"""
# Without memcached, which tempauth wants to know and S3 does without: what is asked there is refused at once. A proxy that has started
# before the other servers would ask them for nothing for a minute, after so many errors.
PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_slicer = {secret} .admin
"""
FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "copy", "slo", "dlo", "versioned_writes", "symlink")
BACKEND = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""


def missing() -> str:
    """Return why Swift cannot be started here; empty where it can."""
    if subprocess.run([PYTHON, "-I", "-c", "import swift"], capture_output=True, check=False).returncode:
        return f"OpenStack Swift: Debian's package python3-swift is not installed for {PYTHON}"
    try:
        os.setxattr(folder(), "user.slicer", b"x")
    except OSError as error:
        return f"OpenStack Swift: the file system of temporary files has no extended attributes ({error.strerror})"
    return ""


class Swift(Store):
    """Swift: a proxy, and a server each of accounts, containers and objects, on one disk without replicas."""

    key = "test:slicer"
    # Each takes ten times as long as with SeaweedFS.
    most_replacements = 200
    has_claims = False

    def prepare(self) -> None:
        ports = {name: free_port() for name in SERVERS}
        self.port = ports["proxy"]
        os.mkdir(f"{self.work}/disk")
        self._write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = tests\n")
        user = pwd.getpwuid(os.geteuid()).pw_name
        for name, port in ports.items():
            rest = PROXY if name == "proxy" else BACKEND
            if name == "proxy":
                rest += "".join(f"[filter:{each}]\nuse = egg:swift#{each}\n" for each in FILTERS)
            self._write(
                f"{name}.conf", (COMMON + rest).format(name=name, port=port, user=user, work=self.work, secret=SECRET)
            )
        pairs = [text for name, port in ports.items() if name != "proxy" for text in (name, str(port))]
        subprocess.run([PYTHON, "-I", "-c", RINGS, self.work, *pairs], check=True, timeout=60)

    def _write(self, name: str, text: str) -> None:
        with open(os.path.join(self.work, name), "w", encoding="ascii") as file:
            file.write(text)

    def commands(self) -> list[list[str]]:
        return [[PYTHON, "-I", "-c", RUN, self.work, name] for name in SERVERS]
