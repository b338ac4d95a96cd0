"""Everything an operator can set, read once from the environment into one frozen object.

Each field of `Settings` is one environment variable; `docs/settings.md` has the table, and a test holds the two together.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, Self

from mp3_slicer.errors import SlicerError

PREFIX = "SLICER_"

#: Syntax of numbers. Python's own conversions accept more: "1e999999999" would fill the memory, "1/3" and "1_0" are not plain, and
#: digits of other scripts are ambiguous.
_NUMBERS = {int: re.compile(r"[0-9]{1,20}", re.ASCII), Fraction: re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?", re.ASCII)}
_NANO = 10**9
# As browsers write it in the Origin field: lower case, ASCII, no path (RFC 6454 section 6.2).
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)
#: Options that turn off the check of certificates or their names.
_UNCHECKED = re.compile(
    r"[?&]ssl_(?:cert_reqs=(?!(?:CERT_REQUIRED|required)(?:&|$))|check_hostname=(?!true(?:&|$)))", re.IGNORECASE
)
#: Options of TLS in the URL of a RabbitMQ, but for the only one there is.
_AMQP_TLS = re.compile(r"[?&]ssl(?!_ca_certs=)", re.IGNORECASE)
_REDIS, _AMQP = ("redis://", "rediss://", "unix://"), ("amqp://", "amqps://")
_NAME = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[^\x00-\x1f]{0,800})?", re.ASCII)
_SERVICE = re.compile(
    r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/(?:[A-Za-z0-9._~/!$&'()*+,;=:@-]|%[0-9A-F]{2})*)?",
    re.ASCII,
)
_PUBLISHER = re.compile(r"http://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]):([0-9]{1,5})(?:/[a-z0-9/_-]*)?", re.ASCII)
_MOST_PORT = 65_535


class SettingsError(SlicerError):
    """A variable is invalid; the message names it, its value and the allowed values."""


#: The folders that are made if missing, by field: the name of each in the cache by default.
CACHES = {"index_dir": "index", "results_dir": "results", "scratch_dir": "scratch"}


def default_dir(field: str, environ: Mapping[str, str]) -> str:
    """Return the default folder of a field: in the system's cache for root, else in the user's own (XDG Base Directory)."""
    if os.geteuid() == 0:
        return os.path.join("/var/cache/slicer", CACHES[field])
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", "/tmp"), ".cache")  # noqa: S108
    return os.path.join(cache, "slicer", CACHES[field])


def _variable(default: Any, doc: str, low: int | Fraction | None = None, high: int | Fraction | None = None) -> Any:
    """A field with its sentence and, for numbers, its range (both ends allowed)."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the application. Every value is within its range; nothing changes after start."""

    media: str = _variable(
        "", "Folder whose MP3 files can be cut, s3://BUCKET/PREFIX, or the URL of an HTTP origin. Required."
    )
    objects_endpoint: str = _variable(
        "", "URL of the store of s3:// media, such as https://store.example.org. Empty: that of AWS."
    )
    objects_region: str = _variable("", "Region of s3:// media. Empty: as the environment or profile of AWS has it.")
    objects_style: str = _variable(
        "", "Where the bucket stands in URLs: path or host. Empty: path for a named endpoint, else host."
    )
    objects_ca: str = _variable("", "File with the CA of the store's or origin's certificate. Empty: the system's CAs.")
    objects_header: str = _variable(
        "", "File with header lines that are sent to an HTTP origin, such as Authorization: Bearer TOKEN. Empty: none."
    )
    objects_seconds: Fraction = _variable(
        Fraction(5),
        "Longest wait for the next bytes of a store's answer, in seconds.",
        Fraction(1, 10),
        Fraction(60),
    )
    shared_indexes: str = _variable(
        "",
        "s3://BUCKET/PREFIX with indexes that several slicers share, for media in a store and outside of them. Empty: none.",
    )
    index_dir: str = _variable(
        "", "Folder for indexes; made if missing. Empty: a slicer folder in the system's or user's cache."
    )
    min_clip_seconds: Fraction = _variable(
        Fraction(1, 10),
        "Shortest clip, in seconds. Below 0.1 some decoders trim wrongly.",
        Fraction(1, 10),
        Fraction(60),
    )
    max_clip_seconds: Fraction = _variable(Fraction(7200), "Longest clip, in seconds.", Fraction(1), Fraction(360_000))
    max_source_bytes: int = _variable(4 << 30, "Largest source file, in bytes.", 1, 1 << 42)
    index_seconds: Fraction = _variable(
        Fraction(20), "Longest time a request spends on a missing index, in seconds.", Fraction(1, 10), Fraction(3600)
    )
    index_memory_bytes: int = _variable(16 << 20, "Indexes each process keeps in memory, in bytes.", 1 << 16, 1 << 34)
    clip_max_age: int = _variable(
        86_400, "Seconds a cache may reuse a clip, a render or a waveform before it asks again.", 0, 31_536_000
    )
    max_render_seconds: Fraction = _variable(
        Fraction(600), "Longest total of a render's spans, in seconds.", Fraction(1), Fraction(36_000)
    )
    max_render_bytes: int = _variable(128 << 20, "Largest render or waveform, in bytes.", 1 << 16, 1 << 36)
    render_seconds: Fraction = _variable(
        Fraction(25),
        "Longest time a request spends on a render or a waveform, in seconds.",
        Fraction(1, 10),
        Fraction(3600),
    )
    render_memory_bytes: int = _variable(
        96 << 20, "Memory that a render may use above its idle process, in bytes.", 16 << 20, 1 << 34
    )
    results_dir: str = _variable(
        "",
        "Folder for finished renders and waveforms; made if missing. Empty: a slicer folder in the system's or user's cache.",
    )
    results_bytes: int = _variable(1 << 30, "Largest total of stored results, in bytes; 0 stores none.", 0, 1 << 42)
    shared_results: str = _variable(
        "",
        "s3://BUCKET/PREFIX with finished renders and waveforms that servers and workers share. Empty: none.",
    )
    scratch_dir: str = _variable(
        "",
        "Folder for nameless files while a render is made; made if missing. Empty: a slicer folder in the system's or user's cache.",
    )
    cors_origins: str = _variable(
        "", "Comma-separated CORS origins whose pages may read answers; * allows all. Empty: none."
    )
    transcript_encoding: str = _variable(
        "windows-1252",
        "Encoding of transcripts and chapters that are not UTF-8, by its name in Python, like `gb18030`.",
    )
    list_library: int = _variable(1, "1: /library lists the media folder. 0: listing is disabled.", 0, 1)
    signing_keys: str = _variable("", "File with the keys of signed URLs. Empty: no URL needs a signature.")
    signed: str = _variable("/", "Comma-separated folders whose files need signed URLs if keys are set; / for all.")
    metrics_from: str = _variable(
        "127.0.0.0/8,::1", "Comma-separated addresses and networks that may read /metrics; others get 404. -: none."
    )
    hosts: str = _variable(
        "",
        "Comma-separated host names accepted besides addresses and the machine's own. Empty: any, except for /metrics.",
    )
    proxies: str = _variable(
        "127.0.0.0/8,::1",
        "Comma-separated addresses and networks of proxies whose X-Slicer-Address and traceparent are trusted. -: none.",
    )
    request_log: str = _variable(
        "",
        "Log file with a line of JSON for each request, or for each job of a worker. /dev/stdout: standard output. Empty: none.",
    )
    jobs_broker: str = _variable(
        "", "URL of the job broker: redis://, rediss://, unix:// or amqp://. Empty: jobs are disabled."
    )
    jobs_store: str = _variable("", "URL of the Redis that stores jobs. Empty: the broker, if that is Redis.")
    jobs_name: str = _variable("slicer", "Prefix of keys and queues; unique for each site that shares a Redis.")
    jobs_publish: str = _variable(
        "", "Comma-separated Nginx URLs to which job updates are published. Empty: clients are not held."
    )
    jobs_life_seconds: int = _variable(
        20, "Interval of keep-alive updates to held clients, in seconds; each client then asks again.", 5, 300
    )
    job_span_seconds: Fraction = _variable(
        Fraction(14_400), "Longest total of the spans of a job's render, in seconds.", Fraction(1), Fraction(360_000)
    )
    job_bytes: int = _variable(512 << 20, "Largest result of a job, in bytes.", 1 << 16, 1 << 40)
    job_seconds: Fraction = _variable(
        Fraction(1800), "Longest time a worker spends on a job, in seconds.", Fraction(1), Fraction(86_400)
    )
    job_short_seconds: Fraction = _variable(
        Fraction(10),
        "Most work of a short job, in seconds; short jobs never wait behind longer ones.",
        Fraction(0),
        Fraction(86_400),
    )
    job_from_seconds: Fraction = _variable(
        Fraction(5),
        "Work, in seconds, from which a render becomes a job if its client would wait.",
        Fraction(0),
        Fraction(86_400),
    )
    job_keep_seconds: int = _variable(86_400, "Retention of finished jobs, in seconds.", 60, 31_536_000)
    jobs_waiting: int = _variable(1000, "Jobs of each lane that may be queued or running at once.", 1, 1_000_000)
    jobs_client: int = _variable(
        100, "Jobs of one client that may be queued or running at once, or were cancelled minutes ago.", 1, 1_000_000
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables, check every one and resolve the folders.

        Raises SettingsError, naming the variable, on a value that does not parse, is out of range, or names no folder.
        """
        values: dict[str, Any] = {}
        for item in fields(cls):
            name = PREFIX + item.name.upper()
            text = environ.get(name, "")
            if text.strip():
                values[item.name] = _parse(name, text, item)
        media = values.get("media")
        if not media:
            raise SettingsError(f"{PREFIX}MEDIA is not set: name the folder that holds the MP3 files")
        if not is_remote(media):
            if not os.path.isdir(media):
                raise SettingsError(f"{PREFIX}MEDIA={media!r} is not a folder that can be read")
            values["media"] = os.path.realpath(media)
        if values.get("signing_keys"):
            values["signing_keys"] = os.path.abspath(values["signing_keys"])
        for name in CACHES:
            values[name] = os.path.abspath(values.get(name) or default_dir(name, environ))
        settings = cls(**values)
        if settings.min_clip_seconds > settings.max_clip_seconds:
            raise SettingsError(f"{PREFIX}MIN_CLIP_SECONDS is larger than {PREFIX}MAX_CLIP_SECONDS")
        _check_objects(settings)
        _check_jobs(settings)
        _check_signed(settings)
        _check_encoding(settings)
        _check_watching(settings)
        for origin in settings.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise SettingsError(
                    f"{PREFIX}CORS_ORIGINS holds {origin!r}: an origin is like https://example.org, with no path"
                )
        return settings

    @property
    def is_remote(self) -> bool:
        """Whether the media are in a store of objects or behind an HTTP origin, and in no folder."""
        return is_remote(self.media)

    @property
    def needs_store(self) -> bool:
        """Whether anything is read from or written to a store of objects or an HTTP origin."""
        return self.is_remote or bool(self.shared_results)

    @property
    def media_name(self) -> str:
        """What tells these media from others in folders that several servers share."""
        return f"{self.objects_endpoint} {self.media}" if self.is_remote and self.objects_endpoint else self.media

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed CORS origins, in the order given."""
        return tuple(part.strip() for part in self.cors_origins.split(",") if part.strip())

    @property
    def signed_folders(self) -> tuple[bytes, ...]:
        """Folders of media, from its top, whose files need signed URLs, as bytes like paths; b"/" is the top itself."""
        return tuple(os.fsencode(part.strip()) for part in self.signed.split(",") if part.strip())

    @property
    def metrics_readers(self) -> tuple[str, ...]:
        """The addresses and networks that may read `/metrics`, in the order given."""
        return _networks(self.metrics_from)

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names that the server answers to, in lower case; none where any will do."""
        return tuple(part.strip().lower().rstrip(".") for part in self.hosts.split(",") if part.strip())

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """The addresses and networks of proxies that name their client, in the order given."""
        return _networks(self.proxies)

    @property
    def jobs_state(self) -> str:
        """The URL of the Redis that remembers jobs; empty where there are none."""
        return self.jobs_store or self.jobs_broker

    @property
    def publishers(self) -> tuple[str, ...]:
        """The Nginx URLs to which job updates are published, in the order given, without a slash at the end."""
        return tuple(part.strip().rstrip("/") for part in self.jobs_publish.split(",") if part.strip())

    def to_environ(self) -> dict[str, str]:
        """The variables that `from_environ` reads back as this object; seconds to the nanosecond."""
        return {PREFIX + item.name.upper(): _text(getattr(self, item.name)) for item in fields(self)}


def _networks(text: str) -> tuple[str, ...]:
    """The parts of a list of addresses and networks; - is none."""
    return tuple(part.strip() for part in text.split(",") if part.strip() not in {"", "-"})


def is_remote(media: str) -> bool:
    """Return whether a text names a store of objects or an HTTP origin."""
    return media.startswith(("s3://", "https://", "http://"))


def _check_objects(settings: Settings) -> None:
    """Raise SettingsError where the settings of a store are not what they must be. URLs may hold a password: those are not shown."""
    if settings.media.startswith("s3:") and not _BUCKET.fullmatch(settings.media):
        raise SettingsError(f"{PREFIX}MEDIA={settings.media[:80]!r} is not like s3://bucket/prefix")
    for name, url in (("MEDIA", settings.media), ("OBJECTS_ENDPOINT", settings.objects_endpoint)):
        is_url = name != "MEDIA" or url.startswith("http")
        if url and is_url and settings.needs_store and not _SERVICE.fullmatch(url):
            raise SettingsError(
                f"{PREFIX}{name} is not like https://store.example.org/path: no user, query or fragment, and all of it escaped"
            )
    _check_shared(settings)
    if settings.objects_style not in {"", "path", "host"}:
        raise SettingsError(f"{PREFIX}OBJECTS_STYLE={settings.objects_style[:40]!r} is neither path nor host")
    for name, path in (("CA", settings.objects_ca), ("HEADER", settings.objects_header)):
        if path and not os.path.isfile(path):
            raise SettingsError(f"{PREFIX}OBJECTS_{name}={path[:80]!r} is not a file that can be read")


def _check_shared(settings: Settings) -> None:
    """Raise SettingsError where the places of shared indexes and results are not what they must be."""
    for name, place in (("INDEXES", settings.shared_indexes), ("RESULTS", settings.shared_results)):
        if place and not _BUCKET.fullmatch(place):
            raise SettingsError(f"{PREFIX}SHARED_{name}={place[:80]!r} is not like s3://bucket/prefix")
        if place and (place.rstrip("/") + "/").startswith(settings.media.rstrip("/") + "/"):
            raise SettingsError(f"{PREFIX}SHARED_{name}={place[:80]!r} is within the media: name another prefix")
    if settings.shared_indexes and not settings.is_remote:
        raise SettingsError(f"{PREFIX}SHARED_INDEXES is for media in a store, and {PREFIX}MEDIA is a folder")
    if settings.shared_results and not settings.results_bytes:
        raise SettingsError(f"{PREFIX}SHARED_RESULTS needs room on local disk, and {PREFIX}RESULTS_BYTES is 0")


def _check_signed(settings: Settings) -> None:
    """Raise SettingsError unless the folders that need signed URLs are valid."""
    if not settings.signed_folders:
        raise SettingsError(f"{PREFIX}SIGNED={settings.signed[:80]!r} names no folder; / stands for all")
    for folder in settings.signed_folders:
        if {b".", b".."} & set(folder.split(b"/")):
            raise SettingsError(
                f"{PREFIX}SIGNED holds {os.fsdecode(folder)[:80]!r}: a folder is like /members, without . and .."
            )
        if settings.signing_keys and not settings.is_remote and not is_folder_of(settings.media, folder):
            raise SettingsError(
                f"{PREFIX}SIGNED holds {os.fsdecode(folder)[:80]!r}, which is no folder of the media: nothing would be protected by it; "
                f"make it, or correct the name"
            )


def is_folder_of(media: str, folder: bytes) -> bool:
    """Return whether `folder` names a folder of the media, a real path; True while the media folder is empty or cannot be read."""
    path = os.path.realpath(os.path.join(os.fsencode(media), folder.strip(b"/")))
    root = os.fsencode(media).rstrip(b"/")
    if os.path.isdir(path):
        return path == root or path.startswith(root + b"/")
    try:
        with os.scandir(root or b"/") as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _check_jobs(settings: Settings) -> None:
    """Raise SettingsError unless the settings of jobs are valid. Their URLs may hold a password, so they are never shown."""
    if settings.jobs_broker and not settings.jobs_broker.startswith(_REDIS + _AMQP):
        raise SettingsError(f"{PREFIX}JOBS_BROKER is no URL that begins with {', '.join(_REDIS + _AMQP)}")
    for name, url in (("BROKER", settings.jobs_broker), ("STORE", settings.jobs_store)):
        if url.startswith("rediss://") and _UNCHECKED.search(url):
            raise SettingsError(
                f"{PREFIX}JOBS_{name} turns the check of Redis's certificate off; name its CA in ssl_ca_certs instead"
            )
    if settings.jobs_broker.startswith(_AMQP) and _AMQP_TLS.search(settings.jobs_broker):
        raise SettingsError(
            f"{PREFIX}JOBS_BROKER has an option of TLS that it does not take: with amqps:// there is ssl_ca_certs alone"
        )
    if settings.jobs_store and not settings.jobs_store.startswith(_REDIS):
        raise SettingsError(f"{PREFIX}JOBS_STORE is no URL that begins with {', '.join(_REDIS)}")
    if settings.jobs_broker.startswith(_AMQP) and not settings.jobs_store:
        raise SettingsError(
            f"{PREFIX}JOBS_STORE is not set: with {_AMQP[0]} as the broker, name the Redis that remembers jobs"
        )
    if not _NAME.fullmatch(settings.jobs_name):
        raise SettingsError(f"{PREFIX}JOBS_NAME={settings.jobs_name[:40]!r} is not 1 to 40 of a to z, 0 to 9, _ and -")
    for url in settings.publishers:
        found = _PUBLISHER.fullmatch(url)
        if found is None or int(found[1]) > _MOST_PORT:
            raise SettingsError(f"{PREFIX}JOBS_PUBLISH holds {url[:80]!r}: it is like http://127.0.0.1:8082")


def _check_encoding(settings: Settings) -> None:
    """Raise SettingsError where no text can be decoded by the encoding of transcripts."""
    try:
        bytes(range(256)).decode(settings.transcript_encoding, "replace")
    except (LookupError, ValueError):
        raise SettingsError(
            f"{PREFIX}TRANSCRIPT_ENCODING={settings.transcript_encoding[:40]!r} is no text encoding of Python, like windows-1252"
        ) from None


def _check_watching(settings: Settings) -> None:
    """Raise SettingsError unless the settings of host names, networks and the request log are valid."""
    for host in settings.host_names:
        if not _HOST.fullmatch(host):
            raise SettingsError(
                f"{PREFIX}HOSTS holds {host[:80]!r}: a name is like audio.example.org, without port and path"
            )
    for name, texts in (("METRICS_FROM", settings.metrics_readers), ("PROXIES", settings.trusted_proxies)):
        for text in texts:
            try:
                ipaddress.ip_network(text)
            except ValueError:
                raise SettingsError(
                    f"{PREFIX}{name} holds {text[:80]!r}: it is like 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
                ) from None
    if settings.request_log and not os.path.isabs(settings.request_log):
        raise SettingsError(f"{PREFIX}REQUEST_LOG={settings.request_log[:80]!r} does not begin with /")
    if settings.request_log and os.path.isdir(settings.request_log):
        raise SettingsError(f"{PREFIX}REQUEST_LOG={settings.request_log[:80]!r} is a folder: name a file")


def _parse(name: str, text: str, item: Any) -> Any:
    """One variable's text as the field's type, within its range."""
    kind = type(item.default)
    if kind is str:
        if any(character < " " or character == "\x7f" for character in text):
            raise SettingsError(f"{name} holds a control character")
        return text
    text = text.strip()
    low, high = item.metadata["low"], item.metadata["high"]
    value = kind(text) if _NUMBERS[kind].fullmatch(text) else None
    if value is None or not low <= value <= high:
        expected = f"{'a whole number' if kind is int else 'a number'} from {_text(low)} to {_text(high)}"
        raise SettingsError(f"{name}={text[:40]!r} is not {expected}")
    return value


def _text(value: str | int | Fraction) -> str:
    """A value as its variable's text: plain decimals, which is all that `from_environ` reads."""
    if not isinstance(value, Fraction):
        return str(value)
    whole, rest = divmod(round(value * _NANO), _NANO)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else str(whole)
