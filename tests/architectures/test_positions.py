import math

import pytest
import torch

from hf_seq2seq.architectures.positions import (
    LearnedPositions,
    RelativeBias,
    SinusoidalPositions,
    angles,
    positions_of,
    rotate,
    rotation,
)


def test_positions_count_real_tokens():
    embedded = torch.zeros(3, 4, 2)
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [1, 0, 1, 0]])
    found = positions_of(embedded, mask)
    assert found[mask != 0].tolist() == [0, 1, 2, 3, 0, 1, 0, 1]
    assert positions_of(embedded, None, past=3).tolist() == [[3, 4, 5, 6]]
    assert positions_of(embedded[:, :2], mask)[mask[:, 2:] != 0].tolist() == [2, 3, 0, 1, 1]


@pytest.mark.parametrize("kind", [bool, float])
def test_positions_are_read_off_a_full_mask(kind):
    real = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]).bool()
    seen = torch.ones(4, 4).tril().bool() & real[:, None, None, :]
    mask = seen if kind is bool else torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    found = positions_of(torch.zeros(2, 4, 2), mask)
    assert found[real].tolist() == [0, 1, 2, 0, 1, 2, 3]


def test_sines_are_the_papers():
    found = SinusoidalPositions()(torch.zeros(2, 7, 6), torch.arange(7)[None])
    for position in range(7):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            assert found[1, position, pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[1, position, 3 + pair].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_learned_table_ends_somewhere():
    positions = LearnedPositions(4, 6)
    embedded = torch.zeros(1, 4, 6)
    assert torch.equal(positions(embedded, torch.tensor([[0, 3, 1, 2]]))[0], positions.table.weight[[0, 3, 1, 2]])
    with pytest.raises(ValueError, match="5 tokens, but max_position_embeddings=4"):
        positions(torch.zeros(1, 5, 6), torch.arange(5)[None])


def test_rotation_turns_each_pair_by_its_angle():
    torch.manual_seed(1)
    heads, positions = torch.randn(2, 3, 5, 8), torch.randint(9, (2, 5))
    found = rotate(heads, rotation(positions, 8, torch.float32))
    pairs = torch.complex(heads[..., :4], heads[..., 4:])
    turned = pairs * torch.polar(torch.ones(2, 1, 5, 4), angles(positions, 8)[:, None])
    torch.testing.assert_close(found, torch.cat([turned.real, turned.imag], -1))


def test_rotated_products_depend_on_distance_alone():
    query, key = torch.randn(2, 1, 1, 1, 8)

    def product(query_place, key_place):
        places = torch.tensor([[query_place]]), torch.tensor([[key_place]])
        turned_query, turned_key = (
            rotate(part, rotation(place, 8, torch.float32)) for part, place in zip((query, key), places, strict=True)
        )
        return (turned_query * turned_key).sum()

    for shift in (5, 90):
        torch.testing.assert_close(product(7 + shift, 3 + shift), product(7, 3), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(product(7, 4), product(7, 3))


def bucket(distance: int, buckets: int, furthest: int, bidirectional: bool) -> int:
    """Exact for the first half, then logarithmic up to the furthest distance; later keys have the upper half."""
    start = 0
    if bidirectional:
        buckets //= 2
        start = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return start + distance
    grown = exact + int(math.log(distance / exact) / math.log(furthest / exact) * (buckets - exact))
    return start + min(grown, buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_are_exact_near_and_coarse_far(bidirectional):
    bias = RelativeBias(2, buckets=8, max_distance=21, bidirectional=bidirectional)
    distances = torch.arange(-40, 41)
    assert bias.bucket(distances).tolist() == [bucket(d, 8, 21, bidirectional) for d in distances.tolist()]


def test_buckets_equal_t5s():
    from transformers.models.t5.modeling_t5 import T5Attention

    distances = torch.arange(-300, 301)
    for bidirectional in (True, False):
        found = RelativeBias(2, 32, 128, bidirectional).bucket(distances)
        assert torch.equal(found, T5Attention._relative_position_bucket(distances, bidirectional, 32, 128))


def test_bias_follows_positions_not_places():
    bias = RelativeBias(2, 8, 16, bidirectional=True)
    straight = bias(torch.arange(4)[None], torch.arange(4)[None])
    assert straight.shape == (1, 2, 4, 4)
    mixed = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(bias(mixed[None], mixed[None]), straight[:, :, mixed][..., mixed])
