"""VGG16 made narrow: the channels that can best be done without go, as many as is allowed, and the others take over."""

import itertools

import numpy as np
import pytest
from catdog.backbones.vgg16_weights import LAYERS
from catdog.data.images import read_photo
from catdog.engines import open_engine
from catdog.engines.base import TENSORFLOW
from catdog.pruning import Pruner, gmacs
from catdog.pruning.budget import arithmetic, widths_within
from catdog.pruning.elimination import Elimination, of_channels
from catdog.pruning.refitting import refit
from catdog.pruning.sensitivity import importance
from catdog.pruning.statistics import Moments
from catdog.pruning.vgg16_layers import CHAIN, Sample, as_kernel, as_rows, batches, centered, stage, whole, widths_of
from conftest import drawing


@pytest.fixture(scope="module")
def photos():
    return np.stack([read_photo(drawing("cat" if seed % 2 else "dog", seed)) for seed in range(6)])


@pytest.fixture(scope="module")
def slender():
    """A chain like VGG16 with 32 channels a layer, of which every second is nearly a double of the one before."""
    chance, weights, entering = np.random.default_rng(0), {}, 3
    for layer in LAYERS:
        kernel = chance.normal(0, (2 / (9 * entering)) ** 0.5, (3, 3, entering, 32))
        kernel[..., 1::2] = kernel[..., ::2] * 0.7 + chance.normal(0, 1e-3, kernel[..., ::2].shape)
        weights |= {f"{layer}/kernel": kernel.astype(np.float32), f"{layer}/bias": np.zeros(32, np.float32)}
        entering = 32
    return weights


def activations(weights, photos):
    values = centered(photos)
    for layer in CHAIN:
        values = stage(layer, *layer.of(weights))(values)
    return values


def features(weights, photos):
    return activations(weights, photos).max(axis=(2, 3))


def data(channels=6, out=4, photos=2000, seed=0):
    """What a layer sees, its kernel, and what it gives."""
    chance = np.random.default_rng(seed)
    inputs = chance.normal(0, 1, (photos, channels * 9)).astype(np.float32)
    kernel = chance.normal(0, 1, (channels * 9, out)).astype(np.float32)
    return inputs, kernel, (inputs @ kernel + 3).astype(np.float32)


def gathered(inputs, outputs):
    moments = Moments()
    for part in np.array_split(np.arange(len(inputs)), 3):
        moments.add(inputs[part], outputs[part])
    return moments


def test_a_channel_that_others_can_replace_goes_first():
    inputs, kernel, _ = data()
    inputs[:, of_channels(np.array([2]))] = (
        inputs[:, of_channels(np.array([0]))] - 2 * inputs[:, of_channels(np.array([5]))]
    )
    found = gathered(inputs, inputs @ kernel).eliminated(3)
    assert found.order[0] in (0, 2, 5)
    assert found.error(5) < 1e-3 < found.error(4) < found.error(3)
    assert len(found.kept(3)) == 3
    assert found.kept(6).tolist() == list(range(6))


@pytest.mark.parametrize(("channels", "numbers"), [(6, (5, 3, 2)), (60, (57, 40, 20))])
def test_the_loss_is_that_of_least_squares(channels, numbers):
    """Of many channels several go at a time."""
    inputs, _, outputs = data(channels, photos=4000)
    moments = gathered(inputs, outputs)
    found = moments.eliminated(2)
    for number in numbers:
        kept = found.kept(number)
        seen = inputs[:, of_channels(kept)]
        best = np.linalg.lstsq(np.c_[seen, np.ones(len(seen))], outputs, rcond=None)[0]
        lost = ((np.c_[seen, np.ones(len(seen))] @ best - outputs) ** 2).sum() / (
            (outputs - outputs.mean(0)) ** 2
        ).sum()
        assert found.error(number) == pytest.approx(lost, abs=2e-3)
        rows, bias = moments.fitted(kept)
        assert np.abs(rows - best[:-1]).max() < 0.01
        assert np.abs(bias - best[-1]).max() < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_the_first_to_go_is_the_one_that_costs_least(seed):
    inputs, _, outputs = data(seed=seed)
    inputs *= np.repeat(np.float32([1, 2, 0.5, 2, 0.5, 1]), 9)  # how large a weight is tells nothing
    found = gathered(inputs, outputs).eliminated(5)
    losses = []
    for gone in range(6):
        seen = inputs[:, of_channels(np.delete(np.arange(6), gone))]
        seen = np.c_[seen, np.ones(len(seen))]
        losses.append(((seen @ np.linalg.lstsq(seen, outputs, rcond=None)[0] - outputs) ** 2).sum())
    assert found.order.tolist() == [int(np.argmin(losses))]


def test_refitting_leaves_a_kernel_that_is_right_as_it_is():
    inputs, kernel, outputs = data()
    rows, bias = refit(kernel, inputs, np.cov(inputs.T, bias=True), outputs)
    assert np.abs(rows - kernel).max() < 1e-4
    assert np.abs(bias - 3).max() < 1e-3


def test_refitting_makes_up_for_what_is_gone_where_relu_lets_it_be_seen():
    inputs, kernel, outputs = data(photos=6000)
    double = of_channels(np.array([1]))
    inputs[:, of_channels(np.array([0]))] = inputs[:, double]
    outputs = inputs @ kernel - 6
    kept = of_channels(np.arange(1, 6))
    seen, without = inputs[:, kept], kernel[kept]
    rows, bias = refit(without, seen, np.cov(seen.T, bias=True), outputs)
    lost = [
        ((np.maximum(seen @ rows_ + bias_, 0) - np.maximum(outputs, 0)) ** 2).mean()
        for rows_, bias_ in ((without, outputs.mean(axis=0)), (rows, bias))
    ]
    assert lost[1] < 0.2 * lost[0]


def test_refitting_gives_nothing_for_what_relu_hides():
    """Least squares does: it is best at what stands before ReLU."""
    inputs, kernel, _ = data(photos=6000)
    outputs, kept = inputs @ kernel - 10, of_channels(np.arange(1, 6))
    seen, wanted = inputs[:, kept], np.maximum(outputs, 0)
    rows, bias = refit(kernel[kept], seen, np.cov(seen.T, bias=True), outputs)
    least = np.linalg.lstsq(np.c_[seen, np.ones(len(seen))], outputs, rcond=None)[0]
    lost = [
        ((np.maximum(given, 0) - wanted) ** 2).mean() for given in (seen @ rows + bias, seen @ least[:-1] + least[-1])
    ]
    assert lost[0] < 0.98 * lost[1]


def test_the_budget_is_kept_and_nothing_better_fits_in_it():
    sides, last = (8, 8, 4, 4), 20
    losses = [{width: weight / width for width in (4, 8, 12, 16)} for weight in (1, 5, 30)]
    everything = [(*widths, last) for widths in itertools.product(*losses)]
    for share in (0.9, 0.5, 0.3):
        allowed = share * arithmetic((16, 16, 16, last), sides)
        found = widths_within(allowed, losses, sides, last)
        loss = {widths: sum(one[width] for one, width in zip(losses, widths)) for widths in everything}
        # A price of arithmetic reaches the lower hull of what is possible: nothing is both cheaper and better.
        assert arithmetic(found, sides) <= allowed
        assert not [
            widths
            for widths in everything
            if loss[widths] < loss[found] and arithmetic(widths, sides) <= arithmetic(found, sides)
        ]


def test_a_budget_that_nothing_fits_gives_the_least():
    assert widths_within(1e-9, [{4: 1.0, 8: 0.0}] * 2, (8, 8, 8), 16) == (4, 4, 16)


def test_arithmetic_of_vgg16(backbone):
    assert gmacs(backbone.weights) == pytest.approx(15.35, abs=0.01)
    assert widths_of(backbone.weights)[::4] == (64, 256, 512, 512)


def test_the_chain_computes_what_tensorflow_does(slim, photos):
    """In bfloat16 where the processor has it."""
    *_, (_, before) = whole(slim.weights)(centered(photos))
    expected = open_engine(TENSORFLOW, slim).features(photos)
    for found in (np.maximum(before, 0), activations(slim.weights, photos)):
        pooled = slim.architecture.pool(found.transpose(0, 2, 3, 1))
        assert np.abs(pooled - expected).mean() < 0.1 * expected.std(axis=0).mean()


@pytest.mark.slow
def test_a_sample_sees_what_the_kernel_sees(slender, photos):
    layer, following = CHAIN[2:4]
    sample = Sample(len(photos), 0, 60)
    entering, before = list(whole(slender)(centered(photos)))[3]
    kernel, bias = following.of(slender)
    for batch in batches(len(photos)):
        seen = sample.inputs(following, batch, entering[batch])
        given = sample.outputs(following, batch, before[batch])
        assert np.abs(seen @ as_rows(kernel) + bias - given).max() < 0.03 * np.abs(given).max()
    assert (as_kernel(as_rows(kernel)) == kernel).all()
    assert layer.pools is False
    assert following.pools is True


@pytest.mark.slow
def test_a_layer_weighs_what_the_features_lose_for_what_it_loses_itself(slender, photos):
    looked = Pruner.__new__(Pruner)
    looked._weights, looked._photos, looked._sample = slender, photos, Sample(len(photos), 0, 600)
    moments, _ = looked._look()

    def weighed(own_loss):
        eliminations = [Elimination(np.arange(16), np.full(17, own_loss), 32) for _ in moments]
        return np.array(importance(slender, centered(photos[:2]), moments, eliminations))

    once, half, hardly = weighed(0.4), weighed(0.2), weighed(1e-9)
    assert len(once) == len(CHAIN) - 1
    assert (once > 0).all()
    assert half == pytest.approx(2 * once)
    assert hardly == pytest.approx(400 * once)


@pytest.mark.slow
def test_doubles_are_gone_and_the_features_stay(slender, photos):
    pruner = Pruner(slender, photos, seed=3)
    narrow = pruner.narrowed(0.4)
    expected, found = features(slender, photos), features(narrow, photos)
    assert gmacs(narrow) <= 0.4 * gmacs(slender)
    assert widths_of(narrow)[-1] == 32
    assert set(widths_of(narrow)[:-1]) == {16, 32}
    spread = ((expected - expected.mean(axis=0)) ** 2).sum()
    assert ((found - expected) ** 2).sum() < 0.1 * spread
    again = Pruner(slender, photos, seed=3).narrowed(0.4)
    assert all((again[name] == narrow[name]).all() for name in narrow)


@pytest.mark.slow
def test_with_all_of_the_arithmetic_nothing_that_matters_goes(slender, photos):
    expected, found = (features(weights, photos) for weights in (slender, Pruner(slender, photos).narrowed(1.0)))
    assert np.abs(found - expected).mean() < 0.03 * expected.mean()
