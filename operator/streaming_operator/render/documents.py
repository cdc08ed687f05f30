"""
Text documents: packaged files verbatim, filled templates, manifests as YAML.

Besides `report.html` the only importer of jinja2. Manifests are built as data and become text only here.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources

import jinja2
import yaml

from streaming_operator.values import Manifest

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("streaming_operator.render", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


@cache
def packaged(name: str) -> str:
    """The file `templates/<name>`, verbatim."""
    folder = resources.files("streaming_operator.render").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def filled(template: str, **values: object) -> str:
    """The template `templates/<template>` with its values; a missing one raises."""
    return _ENVIRONMENT.get_template(template).render(**values)


class _Dumper(yaml.SafeDumper):
    """YAML as a person writes it: no anchors, and text of several lines as a block."""

    def ignore_aliases(self, data: object) -> bool:
        """Repeat shared values: anchors are hard to read."""
        return True


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """A literal block where there are several lines."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _block)


def as_yaml(manifests: Iterable[Manifest]) -> str:
    """The manifests as one YAML stream, in their order, keys as they were built."""
    return yaml.dump_all(
        manifests, Dumper=_Dumper, sort_keys=False, explicit_start=True, allow_unicode=True, width=110
    )
