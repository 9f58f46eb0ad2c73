"""Writes tests/tensorboard.hex: the bytes of a small TensorBoard event file, by TensorBoard's own writer.

    python tests/make_tensorboard_golden.py        (with `tensorboard` from PyPI)

Read by the tests of src/telemetry/tensorboard.rs.
"""

import struct
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c


def record(event):
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    check = lambda part: struct.pack("<I", masked_crc32c(part))
    return length + check(length) + data + check(data)


values = [Summary.Value(tag="reward", simple_value=0.5), Summary.Value(tag="eval/B/open", simple_value=-3.25)]
events = [
    Event(wall_time=1.5, file_version="brain.Event:2"),
    Event(wall_time=1.5, step=300, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=2.5, step=300, summary=Summary(value=values)),
]
target = Path(__file__).with_name("tensorboard.hex")
target.write_text("".join(f"{record(event).hex()}\n" for event in events))
