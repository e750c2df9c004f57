"""Actions that videos tell: rounding, codes that carry what leads on, the policy, the actions of codes."""

import numpy as np
import pytest
import torch
from tiny_pvdr import TINY

from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.latent_actions import (
    LatentActionConfig,
    LatentActions,
    learn_from_videos,
    rounded,
)


def test_numbers_are_rounded_to_their_levels_and_gradients_pass():
    values = torch.linspace(-9.0, 9.0, 200, requires_grad=True)
    found = rounded(values, 5)
    assert sorted(set(found.tolist())) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    found.sum().backward()
    assert torch.allclose(values.grad, 1.0 - values.detach().tanh().square(), atol=1e-6)


class Drifting:
    """Clips for tests: token 1 goes left or right on a line, as hidden actions say; the rest is token 0."""

    def __init__(self, clips, frames, rng):
        self.moves = rng.integers(2, size=(clips, frames - 1)) * 2 - 1
        places = 36 + np.concatenate([np.zeros((clips, 1), int), self.moves.cumsum(1)], axis=1)
        self.tokens = np.zeros((clips, frames, 64), np.int16)
        np.put_along_axis(self.tokens, places[..., None], 1, axis=-1)

    def windows(self, clips, starts, length, stride):
        frames = starts[:, None] + stride * np.arange(length)
        return torch.from_numpy(self.tokens[clips[:, None], frames].astype(np.int64))


def test_codes_tell_hidden_actions_and_the_policy_goes_to_the_goal():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    clips = Drifting(300, 4, rng)
    codes, policy = (OptimizerConfig(steps=200, batch_size=32, learning_rate=rate) for rate in (1e-2, 3e-3))
    learner = LatentActions(VideoModel(TINY), LatentActionConfig(codes=codes, policy=policy), 1)
    told = learn_from_videos(learner, clips, np.arange(300), 1, rng)
    assert told["code_accuracy_changed"] > 0.9
    windows = clips.windows(np.arange(300), np.zeros(300, int), 3, 1)
    codes, now = learner.codes(windows).detach(), windows[:, :2]
    places, moves = now[:, 1].argmax(1), torch.from_numpy(clips.moves[:, 1])
    for place in (35, 37):
        usual = [codes[(places == place) & (moves == move)].median(dim=0).values for move in (-1, 1)]
        here = places == place
        ways = torch.stack([(codes[here] - each).norm(dim=1) for each in usual]).argmin(0) * 2 - 1
        assert (ways == moves[here]).float().mean() > 0.9
        for side, move in enumerate((-1, 1)):
            goal = torch.zeros(int(here.sum()), 1, 64, dtype=torch.int64)
            goal[..., place + move] = 1
            wanted = learner.wanted(torch.cat([now[here], goal], dim=1))
            apart = torch.stack([(wanted - each).norm(dim=1) for each in usual])
            assert (apart.argmin(0) == side).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"levels": 4}, "levels are odd"), ({"ahead": 0}, "start at 1"), ({"steps": -1}, "steps at 0")],
)
def test_codes_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        LatentActionConfig(**wrong)
