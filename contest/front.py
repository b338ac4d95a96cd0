"""The Nginx in front: one configuration for all, which neither caches nor limits nor tries again."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

from support.server import free_port, until

#: Seconds after which Nginx gives an answer up: longer than anybody waits.
READ_TIMEOUT = 60

_CONF = """
worker_processes 1;
worker_rlimit_nofile 8192;
daemon off;
pid {work}/nginx.pid;
error_log {work}/nginx.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  proxy_http_version 1.1;
  proxy_set_header Host $host;
  # A connection for each request: what a server makes of connections that are kept is not the question here.
  proxy_set_header Connection close;
  proxy_connect_timeout 5s;
  proxy_read_timeout {timeout}s;
  fastcgi_read_timeout {timeout}s;
  uwsgi_read_timeout {timeout}s;
  proxy_next_upstream off;
  # A whole clip, so that no server waits for a client.
  proxy_buffers 64 8k;
  fastcgi_buffers 64 8k;
  uwsgi_buffers 64 8k;
{upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
{locations}
  }}
}}
"""
_FASTCGI = """
      fastcgi_pass {to};
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param REQUEST_URI $request_uri;
      fastcgi_param SCRIPT_NAME "";
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $args;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param SERVER_PROTOCOL $server_protocol;
      fastcgi_param SERVER_NAME $host;
      fastcgi_param SERVER_PORT $server_port;
      fastcgi_param REMOTE_ADDR $remote_addr;
      fastcgi_param HTTP_HOST $host;
"""
_UWSGI = """
      uwsgi_pass {to};
      uwsgi_param REQUEST_METHOD $request_method;
      uwsgi_param REQUEST_URI $request_uri;
      uwsgi_param PATH_INFO $uri;
      uwsgi_param QUERY_STRING $args;
      uwsgi_param CONTENT_LENGTH $content_length;
      uwsgi_param CONTENT_TYPE $content_type;
      uwsgi_param SERVER_PROTOCOL $server_protocol;
      uwsgi_param SERVER_NAME $host;
      uwsgi_param SERVER_PORT $server_port;
      uwsgi_param REMOTE_ADDR $remote_addr;
"""
_PASS = {"http": "\n      proxy_pass http://{to};\n", "fastcgi": _FASTCGI, "uwsgi": _UWSGI}


class Front:
    """One running Nginx."""

    def __init__(self, work: str, ports: list[int], protocol: str, renders_connections: int = 0) -> None:
        self.port = free_port()
        servers = "".join(f" server 127.0.0.1:{port} max_fails=0;" for port in ports)
        upstreams = f"  upstream all {{{servers} }}\n"
        locations = f"    location / {{{_PASS[protocol].format(to='all')}    }}\n"
        if renders_connections:
            limited = servers.replace(" max_fails=0", f" max_fails=0 max_conns={renders_connections}")
            # max_conns counts for all workers together only in shared memory.
            upstreams += f"  upstream renders {{ zone renders 64k;{limited} }}\n"
            upstream = _PASS[protocol].format(to="renders")
            locations += f"    location /renders/ {{{upstream}      error_page 502 =503 /refused;\n    }}\n"
            locations += "    location = /refused { internal; add_header Retry-After 2 always; return 503; }\n"
        conf = os.path.join(work, "nginx.conf")
        pathlib.Path(conf).write_text(
            _CONF.format(work=work, port=self.port, timeout=READ_TIMEOUT, upstreams=upstreams, locations=locations),
            encoding="ascii",
        )
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "nginx is missing: apt-get install nginx"
        self.process = subprocess.Popen(
            [program, "-p", work, "-e", os.path.join(work, "nginx.log"), "-c", conf], stdin=subprocess.DEVNULL
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextlib.contextmanager
def front(work: str, ports: list[int], protocol: str, renders_connections: int = 0) -> Iterator[Front]:
    """An Nginx before the server on these ports, stopped at the end."""
    nginx = Front(work, ports, protocol, renders_connections)
    try:
        until(lambda: os.path.exists(os.path.join(work, "nginx.pid")), 20, "Nginx runs")
        yield nginx
    finally:
        nginx.stop()
