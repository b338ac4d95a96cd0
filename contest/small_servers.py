"""Servers that are started from Python. Run as a program: KIND PORT."""

import os
import sys


def wsgiref(port: int) -> None:
    """The standard library's: one request at a time."""
    from socketserver import TCPServer
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from contest.work import application

    TCPServer.request_queue_size = 128
    WSGIRequestHandler.log_message = lambda *_: None
    with make_server("127.0.0.1", port, application, WSGIServer) as server:
        server.serve_forever()


def cheroot(port: int) -> None:
    """CherryPy's own server: threads in one process."""
    from cheroot.wsgi import Server

    from contest.work import application

    server = Server(("127.0.0.1", port), application, numthreads=10, request_queue_size=128, timeout=30)
    server.safe_start()


def bjoern(port: int) -> None:
    """A loop in C: a process for each CPU listens on one socket."""
    import bjoern

    listener = bjoern.bind_and_listen("127.0.0.1", port)
    for _ in range((os.cpu_count() or 1) - 1):
        if not os.fork():
            break
    from contest.work import application

    bjoern.server_run(listener, application)


def flup(port: int) -> None:
    """FastCGI, a process for each request that runs."""
    from flup.server.fcgi_fork import WSGIServer

    from contest.work import application

    most = 2 * (os.cpu_count() or 1)
    server = WSGIServer(application, bindAddress=("127.0.0.1", port), minSpare=1, maxSpare=most, maxChildren=most)
    server.run()


def eventlet(port: int) -> None:
    """Green threads by patching the standard library, in one process."""
    import eventlet

    eventlet.monkey_patch()
    from eventlet import wsgi

    from contest.work import application

    wsgi.server(eventlet.listen(("127.0.0.1", port), backlog=1024), application, log_output=False)


if __name__ == "__main__":
    {each.__name__: each for each in (wsgiref, cheroot, bjoern, flup, eventlet)}[sys.argv[1]](int(sys.argv[2]))
