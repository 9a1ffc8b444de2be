"""The adaptive strategy: ask more of what was worth asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from attrs import define, evolve, field
from torch import Generator, Tensor, nn

from ringfence.inference import logits
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence_knockoffnet import rewards
from ringfence_knockoffnet.bandit import Bandit
from ringfence_knockoffnet.clusters import clusters
from ringfence_knockoffnet.rewards import Baseline, Window
from ringfence_knockoffnet.stock import Stock

CLUSTERS = 30  #: as many as the paper has coarse classes, about


@define(eq=False)
class Adaptive:
    """Draws classes of the pool by a gradient bandit, and images of a class at random.

    Orekondy, Schiele, Fritz, CVPR 2019, section 4.1.2, without the hierarchy above the classes.
    """

    pool: Tensor
    kinds: Sequence[str]  #: of rewards
    stock: Stock
    bandit: Bandit
    random: Generator
    baseline: Baseline
    answers: Window
    online: nn.Module  #: a substitute that learns alongside, for what surprises it
    recipe: Recipe
    training: Generator
    _drawn: tuple[Tensor, Tensor] = field(init=False)  #: what choose() drew, by which odds

    def choose(self, count: int) -> Tensor:
        """Return the next rows of the pool, ``count`` or what is left of it."""
        if not self.stock.left.any():
            self.stock.refill()
        count = min(count, int(self.stock.left.sum()))
        odds = self.bandit.policy(self.stock.left > 0)
        actions = self.bandit.draw(self.stock.left, count, self.random)
        self._drawn = (actions, odds)
        return self.stock.take(actions).to(self.pool.device)

    def learn(self, rows: Tensor, answers: Tensor) -> None:
        """Learn from the ``answers`` ``(B, K)`` to the rows chosen last."""
        actions, odds = self._drawn
        images, labels = self.pool[rows], rewards.as_labels(answers)
        worth = [self._worth(kind, images, labels) for kind in self.kinds]
        advantages = self.baseline.advantages(torch.stack(worth, 1).cpu())
        self.bandit.update(actions, advantages, odds)
        if "loss" in self.kinds:
            fit(
                self.online,
                images,
                answers,
                self.recipe,
                generator=self.training,
                name="online",
            )

    def report(self) -> Mapping[str, float]:
        """Say how many actions there are, and the entropy of the policy over them, in nats."""
        odds = self.bandit.policy(torch.ones(self.bandit.number, dtype=torch.bool))
        entropy = torch.special.entr(odds).sum().item()
        return {"actions": self.bandit.number, "policy_entropy": entropy}

    def _worth(self, kind: str, images: Tensor, labels: Tensor) -> Tensor:
        if kind == "certainty":
            return rewards.certainty(labels)
        if kind == "diversity":
            return rewards.diversity(labels, self.answers.mean(labels))
        return rewards.loss(labels, logits(self.online, images))


def adaptive(
    run: AttackRun, recipe: Recipe, number: int | None, kinds: Sequence[str], window: int
) -> Adaptive:
    """Return the strategy for the pool of ``run``.

    Its actions are ``number`` clusters; without a number the pool's own classes.
    """
    stock = Stock(_actions(run, number), host(run, "stock"))
    return Adaptive(
        pool=run.pool,
        kinds=kinds,
        stock=stock,
        bandit=Bandit(len(stock.left)),
        random=host(run, "bandit"),
        baseline=Baseline(Window(window)),
        answers=Window(window),
        online=run.new_model().eval(),
        recipe=evolve(recipe, epochs=1, schedule="constant"),
        training=run.generator("online"),
    )


def _actions(run: AttackRun, number: int | None) -> Tensor:
    """Return the action ``(P,)`` that each image belongs to, numbered from 0, none empty."""
    if number is None and run.pool_labels is not None:
        numbers: Tensor = run.pool_labels.cpu().unique(return_inverse=True)[1]
        return numbers
    return clusters(run.pool, number or CLUSTERS, host(run, "clusters"))


def host(run: AttackRun, name: str) -> Generator:
    """Return a random stream for the host: the bandit is small, and alike on every device."""
    return torch.Generator().manual_seed(run.generator(name).initial_seed())
