"""The two sessions without I/O, each against a plain model of what its methods promise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from protocol import disconnects, engineio, socketio
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Phase, Received
from tests.fuzz.case import Case, require

# Namespaces that the steps of a case name by one byte.
_NAMESPACES: Final = ("/", "/chat", "/custom")


class EngineSessionTarget:
    """`engineio.Session`: a part is the number of a method, then the packet it is told of."""

    name = "engine-session"
    operations = 9

    def run(self, case: Case) -> str:
        """Do the steps; the phase changes only as the specification has it."""
        transport = engineio.WEBSOCKET if case[0][:1] == b"\xff" else engineio.POLLING
        session = engineio.Session(transport)
        model = _EngineModel(session.phase)
        for part in case:
            if part:
                model.check(session, part[0] % self.operations, part[1:])
        return session.phase.value


class _EngineModel:
    """What an Engine.IO session may do next, from the specification."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.probed = False
        self.polled = False
        self.posted = False

    def check(self, session: engineio.Session, operation: int, packet: bytes) -> None:
        """Do one step on the session and on the model, and compare."""
        steps: tuple[Callable[[], object], ...] = (
            lambda: session.receive(packet),
            session.open_candidate,
            lambda: session.receive_on_candidate(packet),
            session.drop_candidate,
            session.begin_poll,
            session.end_poll,
            session.begin_post,
            session.end_post,
            session.close,
        )
        allowed = self._step(operation, packet)
        try:
            outcome = steps[operation]()
        except ProtocolViolation:
            require(not allowed, f"step {operation} {packet!r} is allowed in {self.phase}")
        else:
            require(allowed, f"step {operation} {packet!r} is refused in {self.phase}")
            require(outcome is not Received.UPGRADE or self.phase is Phase.WEBSOCKET, "upgraded")
        require(session.phase is self.phase, f"the phase is {self.phase}")

    def _step(self, operation: int, packet: bytes) -> bool:
        """Move the model on; whether the step is allowed."""
        if operation == 0:
            return self.phase is not Phase.CLOSED and packet[:1] in {b"1", b"3", b"4", b"6"}
        if operation == 1:
            return self._move(Phase.POLLING, Phase.UPGRADING)
        if operation == 2:
            return self._probe(packet)
        if operation == 3:
            self._move(Phase.UPGRADING, Phase.POLLING)
        elif operation in {4, 6}:
            return self._begin("polled" if operation == 4 else "posted")
        elif operation in {5, 7}:
            setattr(self, "polled" if operation == 5 else "posted", False)
        else:
            self.phase = Phase.CLOSED
        return True

    def _move(self, before: Phase, after: Phase) -> bool:
        if self.phase is not before:
            return False
        self.phase = after
        self.probed = False
        return True

    def _probe(self, packet: bytes) -> bool:
        if self.phase is not Phase.UPGRADING:
            return False
        if packet == b"2probe":
            self.probed = True
            return True
        return self.probed and packet == b"5" and self._move(Phase.UPGRADING, Phase.WEBSOCKET)

    def _begin(self, what: str) -> bool:
        if self.phase in {Phase.CLOSED, Phase.WEBSOCKET} or getattr(self, what):
            return False
        setattr(self, what, True)
        return True


class NamespaceSessionTarget:
    """`socketio.Session`: a part is the number of a method, then that of a namespace."""

    name = "namespace-session"
    operations = 6

    def run(self, case: Case) -> str:
        """Do the steps; a namespace is unknown, asked for, joined or dismissed, never two."""
        session: socketio.Session[str] = socketio.Session()
        states = dict.fromkeys(_NAMESPACES, "unknown")
        for part in case:
            operation, which = (*part, 0, 0)[:2]
            _step(session, states, operation % self.operations, _NAMESPACES[which % 3])
            joined = sorted(name for name, state in states.items() if state == "joined")
            require(sorted(session.members()) == joined, f"those joined are {joined}")
            require(session.idle is not bool(joined), "idle is that nobody has joined")
        return "+".join(sorted(set(states.values())))


def _step(
    session: socketio.Session[str], states: dict[str, str], operation: int, namespace: str
) -> None:
    """Do one step; the server's own are done only where they make sense, as the layer does."""
    state = states[namespace]
    if operation == 0:
        new = state in {"unknown", "dismissed"}
        require(session.ask(namespace) is new, f"asking while {state}")
        states[namespace] = "asked" if new else state
    elif operation == 1 and state == "asked":
        session.join(namespace, namespace)
        states[namespace] = "joined"
    elif operation == 2 and state == "asked":
        session.refuse(namespace)
        states[namespace] = "unknown"
    elif operation == 3 and state == "joined":
        session.dismiss(namespace)
        states[namespace] = "dismissed"
    elif operation == 4:
        left = session.leave(namespace)
        require(left == (namespace if state == "joined" else None), f"leaving while {state}")
        states[namespace] = "unknown"
    elif operation == 5:
        _check_member(session, namespace, state)


def _check_member(session: socketio.Session[str], namespace: str, state: str) -> None:
    if state in {"joined", "dismissed"}:
        expected = namespace if state == "joined" else None
        require(session.member(namespace) == expected, f"the member while {state}")
        return
    with suppress(ProtocolViolation):
        session.member(namespace)
        require(False, f"{disconnects.NOT_CONNECTED.name} while {state}")
