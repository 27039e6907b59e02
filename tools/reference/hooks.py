"""What MkDocs calls while it builds the site: the pages of the reference are made then, and never kept."""

from __future__ import annotations

import commands
import fields
import names
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of docs/."""
    made = {"commands.md": commands.page(), "documents.md": fields.page(), **names.pages()}
    for path, text in made.items():
        files.append(File.generated(config, f"reference/{path}", content=text))
    return files
