"""A real RabbitMQ for tests, of one node, in its own folder and on free ports."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.jobs import Authority
from support.server import free_port, until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 90


class Rabbit:
    """One running node, for clients on this machine (user guest)."""

    def __init__(self, *, authority: Authority | None = None, names: str = "IP:127.0.0.1") -> None:
        """With an authority it speaks TLS alone, with a certificate for `names`."""
        self.work = tempfile.mkdtemp(prefix="slicer-rabbit-")
        self.port, distribution, mapper = free_port(), free_port(), free_port()
        self._mapper = f"ERL_EPMD_PORT={mapper}".encode()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._tls = authority is not None
        lines = ["loopback_users.guest = true", f"listeners.{'ssl' if self._tls else 'tcp'}.1 = 127.0.0.1:{self.port}"]
        if authority is not None:
            self.url = f"amqps{self.url.removeprefix('amqp')}?ssl_ca_certs={authority.certificate}"
            chain, key = authority.issue(names)
            lines += ["listeners.tcp = none", f"ssl_options.certfile = {chain}", f"ssl_options.keyfile = {key}"]
            lines += [f"ssl_options.cacertfile = {authority.certificate}", "ssl_options.verify = verify_none"]
        Path(self.work, "rabbitmq.conf").write_text("\n".join([*lines, ""]))
        Path(self.work, "enabled_plugins").write_text("[].\n")
        self._environ = {
            **os.environ,
            "HOME": self.work,
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"slicer{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": os.path.join(self.work, "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": os.path.join(self.work, "none.config"),
            "RABBITMQ_CONF_ENV_FILE": os.path.join(self.work, "none.env"),
            "RABBITMQ_MNESIA_BASE": os.path.join(self.work, "data"),
            "RABBITMQ_LOG_BASE": os.path.join(self.work, "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.work, "enabled_plugins"),
            "RABBITMQ_PID_FILE": os.path.join(self.work, "pid"),
            "RABBITMQ_FEATURE_FLAGS_FILE": os.path.join(self.work, "flags"),
            # Erlang's port mapper, which RabbitMQ starts and never ends: one of this node's own, known by this.
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-start_epmd false -erl_epmd_port {distribution}",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with open(os.path.join(self.work, "out"), "ab") as out:
            self.process = subprocess.Popen(
                [SERVER], env=self._environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        try:
            until(self.answers, START_SECONDS, "RabbitMQ answers")
        except BaseException:
            print(Path(self.work, "out").read_text(errors="replace")[-3000:])
            self.stop()
            raise

    def answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, Path(self.work, "out").read_text(errors="replace")[-3000:]
        # Whether it answers at all: whom it is, tests look at.
        unchecked = ssl._create_unverified_context()
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), 2))
            connection.settimeout(5)
            if self._tls:
                connection = stack.enter_context(unchecked.wrap_socket(connection))
            # A node that cannot yet work closes the connection instead of naming its version (AMQP 0-9-1, 2.2.4).
            connection.sendall(b"AMQP\0\0\x09\x01")
            return bool(connection.recv(1))
        return False

    def kill(self) -> None:
        assert self.process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mapper in (place / "environ").read_bytes().split(b"\0"):
                    os.kill(int(place.name), 9)
        shutil.rmtree(self.work, ignore_errors=True)


@contextlib.contextmanager
def rabbit_of(**options: Any) -> Iterator[Rabbit]:
    rabbit = Rabbit(**options)
    try:
        yield rabbit
    finally:
        rabbit.stop()
