"""Where a process is, asked again and again: which stage of a bet's route its CPU time goes to.

A timer of the process's own CPU time interrupts it, and the innermost frame of ours says the stage.
Python runs the handler between two of its instructions, so that what C code does counts for the
Python code that called it, or, where the loop called it, for the Python code that it calls next.
"""

import signal
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

# Of the process's CPU time. Kernels round it up to their clock's tick, of which there are 250 or
# 1,000 in a second.
INTERVAL_S: Final = 0.001

ELSEWHERE: Final = "elsewhere"

_ROOT: Final = f"{Path(__file__).resolve().parents[1]}/"
# Stages by the file below the root, then by the name of the function where a file has two stages.
STAGES: Final[dict[str, dict[str, str]]] = {
    "server/sockets/websocket.py": {"": "frame", "write": "ack", "frame_header": "ack"},
    "server/sockets/connection.py": {"": "frame", "send": "ack", "flush": "ack", "_take": "ack"},
    "server/sockets/client.py": {"": "packet"},
    "server/sockets/engine.py": {"": "ack"},
    "server/sockets/socket.py": {"": "ack", "__init__": "packet"},
    "protocol/socketio.py": {
        "": "packet",
        "encode_ack": "ack",
        "_encode": "ack",
        "_header": "ack",
        "_has_binary": "ack",
    },
    "server/floor.py": {"": "route", "publish": "ack"},
    "server/router.py": {"": "route", "_decode": "decode"},
    "server/budget.py": {"": "route"},
    "server/reply.py": {"": "ack", "__init__": "route"},
    "server/answer.py": {"": "ack"},
    "server/hub.py": {"": "ack"},
    "server/rooms/room.py": {"": "ack"},
    "server/rooms/passes.py": {"": "ack"},
    "server/app.py": {"now_ms": "decide"},
    "server/commands/own.py": {"": "decide"},
    "actors/runtime/answer.py": {"": "ack"},
    "actors/runtime/node.py": {
        "": "decide",
        "committed": "ack",
        "_settle": "ack",
        "_tell": "ack",
    },
    "storage/journal.py": {"": "commit"},
    "storage/lane.py": {"": "commit"},
    "storage/rows.py": {"": "encode rows"},
    "storage/writer.py": {"": "commit"},
}
# All the other rules.
_FOLDERS: Final = {"actors/": "decide", "protocol/": "decide"}


def stage_of(file: str, function: str) -> str | None:
    """The stage of a function in a file below the root; None where it belongs to no bet."""
    by_function = STAGES.get(file)
    if by_function is not None:
        return by_function.get(function, by_function.get(""))
    return next((stage for name, stage in _FOLDERS.items() if file.startswith(name)), None)


class Sampler:
    """Counts the samples of this process by stage, from `start` to `stop`."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()

    def start(self) -> None:
        """Begin. Only the main thread can."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def stop(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        while frame is not None:
            code = frame.f_code
            if code.co_filename.startswith(_ROOT):
                stage = stage_of(code.co_filename[len(_ROOT) :], code.co_name)
                if stage is not None:
                    self.samples[stage] += 1
                    return
            frame = frame.f_back
        self.samples[ELSEWHERE] += 1
