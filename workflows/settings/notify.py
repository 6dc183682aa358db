"""The settings of notifications: the services, and where the web application is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from workflows.errors import RunInputError


@dataclass(frozen=True)
class NotifySettings:
    """Where notifications go.

    Attributes:
        urls: Apprise URLs, separated by spaces or lines. They hold secrets: not in the repr.
        urls_file: file with further ones, one per line; ``#`` begins a comment.
        page: address of the web application, for links; empty: no links.
    """

    urls: str = field(default="", repr=False)
    urls_file: str = ""
    page: str = ""


@dataclass(frozen=True)
class NotifyService:
    """A service that receives notifications.

    Attributes:
        name: scheme and number, e.g. ``mailtos-2``; holds no secret.
        url: its Apprise URL, a secret.
    """

    name: str
    url: str = field(repr=False)


def services_of(settings: NotifySettings) -> tuple[NotifyService, ...]:
    """Return the services, those of `urls` first.

    Raises:
        RunInputError: the file cannot be read, or an entry is not a URL.
    """
    urls = settings.urls.split()
    if settings.urls_file:
        urls += _content(Path(settings.urls_file))
    services = []
    for number, url in enumerate(urls, 1):
        scheme, separator, _ = url.partition("://")
        if not separator or not scheme.isalnum():
            raise RunInputError(f"notify.urls: entry {number} is not a URL; Apprise's are scheme://...")
        services.append(NotifyService(f"{scheme.lower()}-{number}", url))
    return tuple(services)


def _content(file: Path) -> list[str]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RunInputError(f"notify.urls_file = {str(file)!r} cannot be read: {reason}") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
