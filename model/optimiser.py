"""The optimiser: AdamW, with one second moment for all weights of the first layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class SharedMomentAdamW(torch.optim.AdamW):
    """AdamW in which some parameters each have one second moment for all their weights, and not one for each weight.

    Adam moves every weight by about as much, however little its input varies: the first layer then leans on tens of
    thousands of genes that few cells show, and these tell studies apart better than types. Under one second moment a
    gene counts by its gradient, thus by how much it varies, as in ridge regression. Second moments over blocks of
    weights are those of Zhang et al. 2024 (Adam-mini, arXiv:2406.16793). What it changes is in docs/log.md.

    Parameters
    ----------
    parameters
        Parameters with the usual second moments.
    shared
        Parameters with one second moment each.
    lr, weight_decay
        As in AdamW, of both.
    shared_scale
        Factor on `lr` for the shared ones: the step of a typical weight is smaller than Adam's where a few take most
        of the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        shared: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float,
        shared_scale: float,
    ) -> None:
        first: dict[str, Any] = {"params": list(shared), "lr": lr * shared_scale}
        super().__init__([{"params": list(parameters)}, first], lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; of the shared parameters first, which the usual step then does not see."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[1]
        taken = [(parameter, parameter.grad) for parameter in group["params"]]
        for parameter, gradient in taken:
            if gradient is not None:
                self._step_shared(parameter, gradient, group)
                parameter.grad = None
        super().step()
        for parameter, gradient in taken:
            parameter.grad = gradient
        return loss

    def _step_shared(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros((), device=parameter.device)
        beta_one, beta_two = group["betas"]
        state["step"] += 1
        n_steps = float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - beta_one)
        state["exp_avg_sq"].lerp_(gradient.square().mean(), 1 - beta_two)
        root = (state["exp_avg_sq"] / (1 - beta_two**n_steps)).sqrt_() + group["eps"]
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(state["exp_avg"] * (group["lr"] / (1 - beta_one**n_steps) / root))
