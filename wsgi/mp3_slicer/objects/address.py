"""The address of the media: the URL of each object, from a setting such as s3://bucket/prefix or https://origin/path/."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from mp3_slicer.settings import Settings

_PORTS = {"http": 80, "https": 443}
#: Characters of a path that need no escape, as S3 has them when it checks a signature.
_SAFE = "/-_.~"


@dataclass(frozen=True, slots=True)
class Address:
    """One bucket and prefix, or one path of an origin."""

    scheme: str
    host: str
    port: int
    bucket: str  #: empty where it is in the host name, and for an origin
    prefix: bytes  #: of the keys, with a slash at its end unless it is empty; of an origin, its path without the first slash
    region: str  #: empty for an origin, whose requests are not signed

    @classmethod
    def of(cls, settings: Settings, region: str = "us-east-1", url: str | None = None) -> Self:
        """The address of `url`, by default of the media, in the store that settings name; `region` is for where they name none."""
        url = settings.media if url is None else url
        parts = urlsplit(url.replace("#", "%23").replace("?", "%3F"))
        prefix = url.split("/", 3)[3] if url.count("/") > 2 else ""
        key = prefix.strip("/").encode("utf-8", "surrogateescape")
        key += b"/" if key else b""
        if parts.scheme != "s3":
            return cls(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], "", key, "")
        bucket = parts.netloc
        region = settings.objects_region or region
        endpoint = urlsplit(settings.objects_endpoint or f"https://s3.{region}.amazonaws.com")
        host = endpoint.hostname or ""
        in_host = not settings.objects_endpoint if not settings.objects_style else settings.objects_style == "host"
        # A certificate for *.s3… is for one label more, so a bucket with dots has no place there.
        in_host = in_host and "." not in bucket
        return cls(
            endpoint.scheme,
            f"{bucket}.{host}" if in_host else host,
            endpoint.port or _PORTS[endpoint.scheme],
            "" if in_host else bucket,
            key,
            region,
        )

    @property
    def is_s3(self) -> bool:
        """Return whether it is a bucket, which can be listed, and whose requests are signed."""
        return bool(self.region)

    @property
    def netloc(self) -> str:
        """Host and port, as the field Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def root(self) -> str:
        """The target of the bucket itself."""
        return f"/{self.bucket}" if self.bucket else "/"

    def target(self, path: bytes) -> str:
        """The target of a request for the object at a path from the media: an escaped path, without a host."""
        front = f"/{self.bucket}/" if self.bucket else "/"
        if not self.is_s3:
            # The operator's own path is sent as it is written.
            return front + self.prefix.decode("ascii", "replace") + quote(path, safe=_SAFE)
        return front + quote(self.prefix + path, safe=_SAFE)

    def url(self, target: str) -> str:
        """The whole URL of a target."""
        return f"{self.scheme}://{self.netloc}{target}"
