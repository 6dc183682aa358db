"""The OpenAPI file describes every route of programs and no other."""

from __future__ import annotations

import json
import re

from starlette.routing import Route
from web_site import Site

from web.application import STATIC, create_application

PAGES = re.compile(r"/|/(models|pictures|commits|files|fragments|draw|upload|login)(/.*)?")
"""Routes that answer browsers with pages and files."""

DOCUMENT = json.loads((STATIC / "openapi.json").read_text())


def test_every_route_of_the_api_is_described_with_its_methods_and_no_other(empty: Site) -> None:
    routes = {}
    for route in create_application(empty.configuration()).routes:
        if isinstance(route, Route) and not PAGES.fullmatch(route.path):
            path = route.path.replace(":path}", "}")
            routes[path] = {method.lower() for method in route.methods or {"GET"}} - {"head"}
    assert {path: set(operations) for path, operations in DOCUMENT["paths"].items()} == routes


def test_every_reference_in_the_description_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)):
        place = DOCUMENT
        for part in reference.split("/"):
            place = place[part]
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            declared = {entry["name"] for entry in operation.get("parameters", []) if entry["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), path
            assert operation["summary"] and operation["responses"]
