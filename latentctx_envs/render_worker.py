"""A process that renders tickets for `latentctx_envs.render_pool`; its parent starts it."""

import os
import pickle
import select
import signal
import sys

import mujoco
import numpy as np

from latentctx_envs.render_pool import POSE, TICKET, SharedFrames
from latentctx_envs.rendering import RenderingUnavailableError

PATIENCE = 5.0  # [s] between two looks at whether the parent lives


def main(memory: int, tickets: int, done: int) -> None:
    """Render what the tickets name until their pipe closes or the parent is gone.

    Args:
        memory: descriptor of the shared memory.
        tickets: pipe of indices to render.
        done: pipe of indices that were rendered.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end is ours
    parent = os.getppid()
    renderer, count = pickle.loads(sys.stdin.buffer.read())  # from the parent alone, through a private pipe
    model = renderer.model
    data = mujoco.MjData(model)
    size = (renderer.height, renderer.width)
    shared = SharedFrames(memory, count, mujoco.mj_stateSize(model, POSE), size)
    while os.getppid() == parent:
        if not select.select([tickets], [], [], PATIENCE)[0]:
            continue
        ticket = os.read(tickets, TICKET)
        if not ticket:
            break
        index = int.from_bytes(ticket, sys.byteorder)
        pose(model, data, shared.states[index])
        renderer.render(data, out=shared.frames[index])
        os.write(done, ticket)
    renderer.close()


def pose(model: mujoco.MjModel, data: mujoco.MjData, state: np.ndarray) -> None:
    """Bring what is drawn up to date with a pose, and nothing else."""
    mujoco.mj_setState(model, data, state, POSE)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)  # cameras and lights may follow a centre of mass
    mujoco.mj_camlight(model, data)
    if model.ntendon:
        mujoco.mj_tendon(model, data)


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:]))
    except RenderingUnavailableError as error:
        sys.exit(f"latentctx: {error}")
    except BrokenPipeError:
        sys.exit(1)  # the parent is gone
