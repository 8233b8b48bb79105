import pytest
import torch
from torch import nn

from model.optimiser import SharedMomentAdamW


def parameter(*values):
    return nn.Parameter(torch.tensor(values))


def make(usual, shared, weight_decay=0.0):
    return SharedMomentAdamW([usual], [shared], lr=0.1, weight_decay=weight_decay, shared_scale=2.0)


def test_the_first_step_of_shared_weights_goes_along_the_gradient():
    usual, shared = parameter(1.0, 1.0), parameter(1.0, 1.0)
    optimiser = make(usual, shared)
    usual.grad, shared.grad = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.0])
    optimiser.step()
    root = (12.5) ** 0.5  # of the mean of 9 and 16
    assert shared.tolist() == pytest.approx([1 - 0.2 * 3 / root, 1 - 0.2 * 4 / root], rel=1e-6)
    assert usual.tolist() == pytest.approx([0.9, 0.9], rel=1e-6)


def test_the_second_step_weighs_the_first_as_adam_does():
    shared = parameter(0.0, 0.0)
    optimiser = make(parameter(0.0), shared)
    for gradient in ([3.0, 4.0], [0.0, 2.0]):
        before = shared.detach().clone()
        shared.grad = torch.tensor(gradient)
        optimiser.step()
    mean = [(0.9 * 0.3) / 0.19, (0.9 * 0.4 + 0.1 * 2) / 0.19]
    square = (0.999 * 0.001 * 12.5 + 0.001 * 2.0) / (1 - 0.999**2)
    assert (shared - before).tolist() == pytest.approx([-0.2 * m / square**0.5 for m in mean], rel=1e-5)


def test_weight_decay_is_decoupled_and_scaled_by_the_rate():
    shared = parameter(1.0, -2.0)
    optimiser = make(parameter(0.0), shared, weight_decay=0.5)
    shared.grad = torch.zeros(2)
    optimiser.step()
    assert shared.tolist() == pytest.approx([0.9, -1.8])


def test_the_other_weights_move_as_in_adamw():
    torch.manual_seed(0)
    ours, theirs = parameter(1.0, -1.0, 0.5), parameter(1.0, -1.0, 0.5)
    optimiser = make(ours, parameter(0.0), weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.1)
    for _ in range(5):
        ours.grad = theirs.grad = torch.randn(3)
        optimiser.step()
        reference.step()
    assert torch.equal(ours, theirs)


def test_it_goes_on_from_its_state():
    gradients = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    whole, broken, going_on = (parameter(1.0, 1.0, 1.0) for _ in range(3))
    one, two, three = (make(parameter(0.0), shared) for shared in (whole, broken, going_on))
    for i, gradient in enumerate(gradients):
        if i == 2:
            three.load_state_dict(two.state_dict())
            going_on.data.copy_(broken)
        for optimiser, shared in ((one, whole), (two, broken) if i < 2 else (three, going_on)):
            shared.grad = gradient.clone()
            optimiser.step()
    assert torch.equal(whole, going_on)


def test_the_closure_is_asked_once_and_gradients_are_left():
    usual, shared = parameter(1.0), parameter(1.0)
    optimiser, asked = make(usual, shared), []

    def closure():
        asked.append(torch.is_grad_enabled())
        usual.grad, shared.grad = torch.ones(1), torch.ones(1)
        return torch.tensor(7.0)

    assert float(optimiser.step(closure)) == 7.0
    assert asked == [True]
    assert shared.grad.tolist() == [1.0]
