"""Writes tests/questions.parquet: questions as datasets are handed around. Needs pyarrow."""

import pathlib

import pyarrow
import pyarrow.parquet

table = pyarrow.table(
    {
        "id": pyarrow.array([11, 12], pyarrow.int64()),
        "question": ["Who built the Old Mill?", "How many arches has it?"],
        "answers": [["Nel Zud", "Zud"], ["7"]],
        "context": [["Nel Zud built the Old Mill."], None],
        "difficulty": [0.5, None],
    }
)
pyarrow.parquet.write_table(table, pathlib.Path(__file__).with_name("questions.parquet"), compression="snappy")
