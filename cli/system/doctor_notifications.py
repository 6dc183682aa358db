"""The check of `pix2pix doctor` for notifications; nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli.system.doctor_checks import Finding, failed, passed

if TYPE_CHECKING:
    from workflows.settings.configuration import Configuration


def notifications(configuration: Configuration) -> Iterator[Finding]:
    """Check that the services of notifications are ones that Apprise knows."""
    from workflows.errors import RunInputError
    from workflows.notifications.sender import check_services
    from workflows.settings.notify import services_of

    try:
        services = services_of(configuration.notify)
        check_services(services)
    except RunInputError as error:
        yield failed("notifications", str(error), "see docs/trigger.md, [notify]")
        return
    names = ", ".join(service.name for service in services)
    yield passed("notifications", f"{names}; nothing was sent" if names else "none: notify.urls is not set")
