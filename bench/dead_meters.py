"""Dead meters in a process of their own: PORT...

The first third refuses connections, the second one drops every SYN, and the last one accepts and is
mute.
Prints "ready" when all listen; ends with its parent or by a signal.
"""

import selectors
import socket
import sys
from contextlib import ExitStack, suppress

from bench import rig


def hole(port: int) -> ExitStack:
    """A port whose connections hang: its queue is full, so the kernel drops each further SYN."""
    stack = ExitStack()
    listener = stack.enter_context(rig.bound(port))
    listener.listen(0)
    parked = stack.enter_context(socket.socket())
    parked.connect(listener.getsockname())
    return stack


def main(ports: list[int]) -> None:
    third = len(ports) // 3
    with ExitStack() as stack:
        for port in ports[:third]:
            stack.enter_context(rig.refusing(port))
        for port in ports[third : 2 * third]:
            stack.enter_context(hole(port))
        selector = stack.enter_context(selectors.DefaultSelector())
        mutes = {stack.enter_context(rig.bound(port)) for port in ports[2 * third :]}
        for mute in mutes:
            mute.listen(64)
            selector.register(mute, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                found = key.fileobj
                assert isinstance(found, socket.socket)
                if found in mutes:
                    selector.register(found.accept()[0], selectors.EVENT_READ)
                    continue
                heard = b""
                with suppress(ConnectionError):
                    heard = found.recv(4096)
                if not heard:
                    selector.unregister(found)
                    found.close()


if __name__ == "__main__":
    rig.end_with_parent()
    main([*map(int, sys.argv[1:])])
