"""What our child processes run under, given to Python on its command line: see process.rs.

Without arguments it is ministack; with arguments it runs them as a command.
"""

import os
import signal
import socketserver
import subprocess
import sys
import threading

command = None


def stop_with_the_parent():
    # Standard input is a pipe that our parent holds and never writes to. It closes when the parent lets go of it or
    # dies in any way, even by SIGKILL; then everything in this process group ends: for ministack, the function
    # processes that it started.
    os.read(0, 1)
    if command is not None:
        # It may have started process groups of its own, and is the one that knows them.
        command.terminate()
        try:
            command.wait(timeout=3)
        except subprocess.TimeoutExpired:
            pass
    os.killpg(0, signal.SIGKILL)


if sys.argv[1:]:
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

threading.Thread(target=stop_with_the_parent, daemon=True).start()

if command is not None:
    sys.exit(command.wait())

# ministack's Lambda runtime API writes a response's head and body apart, and Nagle's algorithm then holds the body back
# for the client's delayed acknowledgement: about 40 ms an invocation.
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

from ministack.app import main  # noqa: E402 (after the line above)

main()
