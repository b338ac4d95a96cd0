"""Answers one request of the application in a process of its own: prints the status, and then the body."""

import sys

from werkzeug.test import Client

from contest.work import application

if __name__ == "__main__":
    answer = Client(application).get(sys.argv[1])
    sys.stdout.buffer.write(b"%d\n" % answer.status_code + answer.data)
