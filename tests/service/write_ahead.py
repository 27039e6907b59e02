"""How much of PostgreSQL's write-ahead log a task takes: ``python -m tests.service.write_ahead``.

A front end with a store recognises pages of digits of some sizes.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import sqlalchemy
from PIL import Image, JpegImagePlugin

from tests.service import postgres
from tests.service.digits import IMAGE, SOURCE, all_ended, client_of, publish, wait_for_kernels
from tests.service.objects import made
from tests.service.running import running

_TASKS = 20


def tiled(count: int) -> bytes:
    """Return a JPEG of the page so many times across and down, compressed as it is."""
    with Image.open(io.BytesIO(IMAGE)) as page, io.BytesIO() as target:
        whole = Image.new(page.mode, (page.width * count, page.height * count))
        for place in range(count * count):
            whole.paste(page, (place % count * page.width, place // count * page.height))
        sampling = JpegImagePlugin.get_sampling(page)
        whole.save(target, "JPEG", qtables=page.quantization, subsampling=sampling)  # type: ignore[attr-defined]
        return target.getvalue()


def main() -> None:
    """Measure, and print bytes."""
    programs = postgres.binaries()
    if programs is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    with (
        tempfile.TemporaryDirectory(prefix="postproc-") as name,
        postgres.cluster(programs) as server,
        running(
            Path(name, "data"),
            "--database",
            server.url(),
            "--store",
            f"file://{name}/store",
            start_seconds=300,
        ) as service,
        client_of(service) as client,
    ):
        engine = sqlalchemy.create_engine(server.url().replace("postgresql:", "postgresql+psycopg:"))
        wait_for_kernels(service.host)
        version = publish(client).version
        for count in (1, 2, 4):
            image, before = tiled(count), written(engine)
            posts = [
                client.post(
                    f"/recognition/versions/{version}/inference",
                    files={SOURCE: ("page.jpg", image, "image/jpeg")},
                )
                for _ in range(_TASKS)
            ]
            rows = all_ended(client, [made(post)["task_id"] for post in posts])
            assert {row["status"] for row in rows.values()} == {"success"}, rows
            took = (written(engine) - before) / _TASKS
            sys.stdout.write(
                f"{len(image) / 1000:.0f} KB of an image: {took / 1000:.0f} KB of the log for each task, "
                f"{took / len(image):.2f} times\n"
            )


def written(engine: sqlalchemy.Engine) -> int:
    """Return how many bytes the log has had so far."""
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT pg_current_wal_lsn() - '0/0'")).scalar_one()
    return int(found)


if __name__ == "__main__":
    main()
