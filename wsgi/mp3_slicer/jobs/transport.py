"""The transport of messages through Redis, for workers: any message that is not Slicer's is dropped unread.

Otherwise a writer to Redis could end every worker by one broken message, which is delivered again after each restart.
"""

import base64
import binascii
import json
import logging
from queue import Empty
from typing import Any

import redis as _  # noqa: F401 - where it is missing, Kombu does not say so
from kombu.transport import redis

from mp3_slicer.jobs.order import ID

_LOG = logging.getLogger("slicer")
#: The one task.
TASK = "slicer.job"
#: Headers by which a message could cause more than its job; Slicer sends none of them.
_NOTHING = ("eta", "expires", "group", "group_index", "stamps", "stamped_headers")
_MOST_BYTES = 16 << 10
#: The suffix of the names of queues that hold commands.
_COMMANDS = ".pidbox"


class _Channel(redis.Channel):  # type: ignore[misc, unused-ignore]
    """Takes messages from their queues."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call, unused-ignore]
        except (ValueError, RecursionError):
            # It has left its queue, and is in no other list yet.
            _LOG.error("a message was dropped that is no JSON")
            raise Empty from None


class Transport(redis.Transport):  # type: ignore[misc, unused-ignore]
    """Gives messages to the worker."""

    Channel = _Channel

    def _deliver(self, message: Any, queue: Any) -> None:
        if is_command(message) if str(queue).endswith(_COMMANDS) else is_message(message):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call, unused-ignore]
        else:
            _LOG.error("a message was dropped that names no job as Slicer does")


def is_command(message: Any) -> bool:
    """Return whether this is a message as Celery's own commands send it, like `celery inspect`."""
    try:
        properties = message["properties"]
        command = json.loads(base64.b64decode(message["body"], validate=True))
        return (
            message["content-type"] == "application/json"
            and properties["body_encoding"] == "base64"
            and isinstance(properties["delivery_tag"], str)
            and isinstance(message["headers"], dict)
            and isinstance(command["method"], str)
        )
    except (KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        return False


def is_message(message: Any) -> bool:
    """Return whether this is a message as Slicer sends it: the one task, the name of a job, and nothing else with an effect."""
    try:
        properties, headers = message["properties"], message["headers"]
        places = properties["delivery_info"]
        if not (
            message["content-type"] == "application/json"
            and message["content-encoding"] == "utf-8"
            and properties["body_encoding"] == "base64"
            and headers["task"] == TASK
            and all(isinstance(text, str) for text in (headers["id"], properties["delivery_tag"]))
            and all(isinstance(places[name], str) for name in ("exchange", "routing_key"))
            and all(headers.get(name) in (None, [], {}) for name in _NOTHING)
            and headers.get("timelimit") in (None, [None, None])
            and headers.get("retries") in (None, 0)
            and len(message["body"]) <= _MOST_BYTES
        ):
            return False
        arguments, named, more = json.loads(base64.b64decode(message["body"], validate=True))
        return (
            len(arguments) == 1
            and isinstance(arguments[0], str)
            and ID.fullmatch(arguments[0]) is not None
            and named == {}
            and not any(more.values())
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        return False
