import torch

from hf_seq2seq.architectures.dropout import Dropout


def test_drops_the_share_it_was_given_and_keeps_the_mean():
    dropped = Dropout(0.3)(torch.ones(200, 500))
    assert abs((dropped == 0).float().mean() - 0.3) < 0.01
    assert dropped.unique().tolist() == torch.tensor([0, 2**16 / (2**16 - round(0.3 * 2**16))]).tolist()


def test_gradient_is_dropped_where_the_value_is():
    values = torch.ones(50, 50, requires_grad=True)
    dropped = Dropout(0.5)(values)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, dropped.detach())


def test_a_mask_serves_several_steps():
    dropout = Dropout(0.5)
    mask = dropout.mask(torch.full((100, 100), 7.0))
    assert mask.unique().tolist() == [0, 2]
    assert Dropout(0.0).mask(mask) is None
    assert dropout.eval().mask(mask) is None


def test_does_nothing_when_not_training():
    values = torch.randn(4, 4)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)
