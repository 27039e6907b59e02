"""Numbers of labels as a data frame, by whichever library there is."""

from __future__ import annotations

from typing import Any


def frame_of(rows: list[dict[str, Any]]) -> Any:
    """Give a `pandas.DataFrame`, or a `polars.DataFrame` where pandas is not installed.

    Parameters
    ----------
    rows : list of dict
        A row a label, with the same columns each.

    Raises
    ------
    ImportError
        If neither is installed.
    """
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        return pd.DataFrame(rows)
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError(f"a data frame needs pandas or polars: pip install pandas ({error})") from error
    return pl.DataFrame(rows, infer_schema_length=None)
