"""What MkDocs calls while it builds the site: the pages of the reference are made then, and never kept."""

from __future__ import annotations

import commands
import fields
import hosts
import names
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of docs/."""
    reference = {"commands.md": commands.page(), "documents.md": fields.page(), **names.pages()}
    made = {f"reference/{path}": text for path, text in reference.items()} | hosts.pages()
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link the examples that the page of hosts names."""
    return hosts.linked(markdown) if page.file.src_uri == "hosts.md" else markdown
