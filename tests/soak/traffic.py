"""Clients that ask and look at what they get."""

import contextlib
import hashlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from typing import NamedTuple, Self

from soak.questions import Question, Questions
from soak.stack import Stack

#: Longer than any answer may take, with its retries by Nginx.
PATIENCE = 100.0
#: What a server may say to a request that is right, when it has too much to do or something is broken; with a time to come back.
REFUSALS = frozenset([429, 503, 504])
#: What it says where the process that worked on a POST was killed: such a request is not made twice by Nginx.
LOST = frozenset([502])
#: Seconds that a job may take, faults included.
JOB_SECONDS = 300


class Result(NamedTuple):
    """One request: what became of it. Times are of time.monotonic()."""

    began: float
    ended: float
    kind: str
    target: str
    #: "right", "refused" (politely), "broken" (no whole answer), "wrong" (an answer that is not the right one)
    outcome: str
    detail: str = ""


class Traffic:
    """So many clients, each of which asks one thing after another while the block runs, and one that has jobs done."""

    def __init__(self, stack: Stack, clients: int, pause: float, seed: int) -> None:
        self._stack = stack
        self._pause = pause
        self._end = threading.Event()
        self._lock = threading.Lock()
        #: What was not right; and how often everything was, by kind and outcome.
        self.notable: list[Result] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.slowest = 0.0
        self._threads = [
            threading.Thread(target=self._client, args=(Questions(stack.media, seed + number),), daemon=True)
            for number in range(clients)
        ]
        self._threads.append(threading.Thread(target=self._jobs, args=(Questions(stack.media, seed - 1),), daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE + JOB_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads), "a request was not answered"

    def _keep(self, result: Result) -> None:
        with self._lock:
            self.counts[result.kind, result.outcome] += 1
            self.slowest = max(self.slowest, result.ended - result.began)
            if result.outcome != "right":
                self.notable.append(result)

    # -------------------------------------------------------------------------------------------------------------- requests

    def _client(self, questions: Questions) -> None:
        while not self._end.wait(self._pause):
            self._keep(self._ask(questions.next()))

    def _ask(self, question: Question) -> Result:
        began = time.monotonic()

        def result(outcome: str, detail: str = "") -> Result:
            return Result(began, time.monotonic(), question.kind, question.target, outcome, detail)

        if question.leaves:
            return result("right" if self._leave(question) else "broken")
        try:
            status, headers, data = self._exchange("GET", question.target, question.headers, slow=question.slow)
        except (OSError, http.client.HTTPException) as error:
            return result("right" if question.may_break else "broken", f"{type(error).__name__}: {error}"[:100])
        return result(*judge(question, status, headers, data))

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], sent: bytes | None = None, *, slow: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own. Raises OSError or HTTPException where there is no whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._stack.edge.port, timeout=PATIENCE)
        try:
            connection.request(method, target, sent, {"Connection": "close", **headers})
            answer = connection.getresponse()
            data = b""
            while slow and (block := answer.read(8192)):
                data += block
                time.sleep(0.05)
            data += answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data
        finally:
            connection.close()

    def _leave(self, question: Question) -> bool:
        """Ask, take a little, and go."""
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self._stack.edge.port), timeout=PATIENCE) as connection:
                connection.sendall(f"GET {question.target} HTTP/1.1\r\nHost: soak\r\n\r\n".encode())
                connection.recv(1000)
            return True
        return False

    # ------------------------------------------------------------------------------------------------------------------ jobs

    def _jobs(self, questions: Questions) -> None:
        while not self._end.wait(1):
            self._keep(self._job(questions.job()))

    def _job(self, question: Question) -> Result:
        """Have something made as a job, however often one has to ask."""
        began = time.monotonic()
        order = json.dumps({"request": question.target}).encode()
        said = "nothing"
        while time.monotonic() < began + JOB_SECONDS:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, headers, data = self._exchange(
                    "POST", "/jobs", {"Content-Type": "application/json"}, sent=order
                )
                said = f"{status} {data[:200]!r}"
                if status == 303:
                    status, headers, data = self._exchange("GET", headers["location"], {})
                    outcome, detail = judge(question, status, headers, data)
                    if outcome != "refused":
                        return Result(began, time.monotonic(), question.kind, question.target, outcome, detail)
                elif status != 202 and status not in REFUSALS | LOST:
                    break
                elif status == 202 and self._failed(headers["location"]):
                    said = "a job failed"
                    break
            time.sleep(0.5)
        return Result(began, time.monotonic(), question.kind, question.target, "wrong", said)

    def _failed(self, job: str) -> bool:
        status, _, data = self._exchange("GET", job, {})
        return status == 200 and bool(json.loads(data)["state"] in {"failed", "cancelled"})


def judge(question: Question, status: int, headers: dict[str, str], data: bytes) -> tuple[str, str]:
    """What an answer is worth, and why."""
    if status in REFUSALS:
        polite = headers.get("retry-after", "").isdigit() and headers.get("content-type") == "application/problem+json"
        return ("refused" if polite else "wrong"), f"{status} {data[:200]!r}"
    if status in question.other:
        polite = headers.get("content-type") == "application/problem+json"
        return ("right" if polite else "wrong"), f"{status} {data[:200]!r}"
    if status not in (200, 206):
        return "wrong", f"{status} {data[:200]!r}"
    if question.bodies is None or (len(data), hashlib.sha256(data).digest()) in question.bodies:
        return "right", ""
    return "wrong", f"{status} with {len(data)} bytes that are none of {[length for length, _ in question.bodies]}"
