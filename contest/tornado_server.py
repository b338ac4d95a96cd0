"""Tornado, in the four ways people use it for work that keeps a CPU busy. Run as a program: KIND PORT."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import tornado.httpserver
import tornado.netutil
import tornado.process
import tornado.web
import tornado.wsgi

#: Seconds that a child of the way `subprocess` may work.
TIMEOUT = 30


class Child(tornado.web.RequestHandler):
    """Each request is the work of a new process of its own, which is killed when it takes too long."""

    async def get(self) -> None:
        """Answer what the child prints: a line with the status, and the body."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            os.path.join(os.path.dirname(__file__), "one_request.py"),
            self.request.uri,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
            self.send_error(504)
            return
        head, _, body = out.partition(b"\n")
        self.set_status(int(head))
        self.finish(body)


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    sockets = tornado.netutil.bind_sockets(port, "127.0.0.1", backlog=1024)
    if kind == "processes":
        tornado.process.fork_processes(os.cpu_count())

    async def serve() -> None:
        if kind == "subprocess":
            application = tornado.web.Application([(r"/.*", Child)])
        else:
            from contest.work import application as wsgi  # after the fork: every process opens its own files

            executor = ThreadPoolExecutor(2 * (os.cpu_count() or 1)) if kind == "threads" else None
            application = tornado.wsgi.WSGIContainer(wsgi, executor)
        server = tornado.httpserver.HTTPServer(application)
        server.add_sockets(sockets)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
