"""
Text files that a person would open: packaged ones word for word, templates filled in.

The only importer of jinja2. Manifests are never text here: they are built as data.
"""

from functools import cache
from importlib import resources

import jinja2

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
    """The file `templates/<name>` word for word."""
    folder = resources.files("streaming_operator.render").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def filled(template: str, **values: object) -> str:
    """The template `templates/<template>` with its values; a missing one raises."""
    return _ENVIRONMENT.get_template(template).render(**values)
