"""Networks have the sizes that are said, take what is said, and normalise inside."""

from __future__ import annotations

import attrs
import pytest
import torch

from ringfence import plugins, recipe, training
from ringfence.errors import BadOption, UnknownName
from ringfence_vision.models.inputs import CONSTANTS, Normalise

NAMES = [
    "alexnet",
    "cnn5",
    "cnn9",
    "lenet",
    "lenet5",
    "resnet18",
    "resnet34",
    "squeezenet",
    "torchvision",
]
SMALLEST = {
    "alexnet": 8,
    "cnn5": 11,
    "cnn9": 8,
    "lenet": 16,
    "lenet5": 12,
    "resnet18": 8,
    "resnet34": 8,
    "squeezenet": 17,
    "torchvision": 1,
}
LARGE = ["alexnet", "resnet18", "resnet34", "squeezenet", "torchvision"]
SLOW_FAMILIES = [
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "regnet_x_400mf",
    "shufflenet_v2_x0_5",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_16",
]


def made(plugin, /, shape=(1, 28, 28), num_classes=10, **options):
    torch.manual_seed(0)
    return plugins.build("models", plugin, options).make(num_classes, shape)


def size(model):
    return sum(weights.numel() for weights in model.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("lenet5", (1, 28, 28), 61_706),
        ("lenet", (1, 28, 28), 431_080),
        ("cnn5", (1, 28, 28), 683_522),
        ("cnn9", (3, 32, 32), 5_852_170),
        ("alexnet", (1, 28, 28), 5_140_682),
        ("alexnet", (3, 224, 224), 57_044_810),
        ("resnet18", (3, 32, 32), 11_173_962),
        ("resnet18", (3, 224, 224), 11_181_642),
        ("resnet34", (3, 32, 32), 21_282_122),
        ("squeezenet", (3, 224, 224), 727_626),
    ],
)
def test_network_has_the_number_of_parameters_that_is_said(name, shape, parameters):
    assert size(made(name, shape)) == parameters


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", NAMES)
def test_small_images_give_finite_logits(name, shape):
    model = made(name, shape).eval()

    logits = model(torch.rand(2, *shape))

    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LARGE)
def test_large_images_give_finite_logits(name, channels):
    with torch.no_grad():
        logits = made(name, (channels, 224, 224), 7).eval()(torch.rand(2, channels, 224, 224))

    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", LARGE)
def test_first_size_above_the_small_stems_works(name):
    with torch.no_grad():
        assert made(name, (3, 65, 65)).eval()(torch.rand(1, 3, 65, 65)).shape == (1, 10)


@pytest.mark.parametrize("name", NAMES)
def test_smallest_image_that_is_said_works(name):
    side = SMALLEST[name]
    model = made(name, (1, side, side))

    assert model(torch.rand(2, 1, side, side)).shape == (2, 10)


@pytest.mark.parametrize("name", [name for name in NAMES if SMALLEST[name] > 1])
def test_image_below_the_smallest_is_refused_with_the_smallest(name):
    side = SMALLEST[name] - 1

    with pytest.raises(BadOption, match=f"'{name}' cannot take.*1x40x{side}.*{side + 1}x"):
        made(name, (1, 40, side))


@pytest.mark.parametrize("shape", [(2, 28, 28), (4, 28, 28), (28, 28), (784,), (1, 28, 28, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_shape_that_is_no_image_is_refused(name, shape):
    with pytest.raises(BadOption, match=r"1 or 3 channels.* Choose another"):
        made(name, shape)


@pytest.mark.parametrize("name", NAMES)
def test_images_need_not_be_square(name):
    assert made(name, (3, 24, 32)).eval()(torch.rand(1, 3, 24, 32)).shape == (1, 10)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_makes_the_same_model_again(name):
    images = torch.rand(2, 1, 28, 28)
    model, other = made(name).eval(), made(name).eval()
    with torch.no_grad():
        for weights in other.parameters():
            weights.zero_()

    other.load_state_dict(model.state_dict())

    assert torch.equal(other(images), model(images))


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_makes_the_same_weights(name):
    pairs = zip(made(name).parameters(), made(name).parameters(), strict=True)

    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalisation_is_the_formula(channels):
    images = torch.full((2, channels, 5, 5), 0.25)
    mean, std = CONSTANTS[channels]

    normalised = Normalise(channels)(images)

    for channel in range(channels):
        expected = torch.full((2, 5, 5), (0.25 - mean[channel]) / std[channel])
        torch.testing.assert_close(normalised[:, channel], expected)


@pytest.mark.parametrize("name", NAMES)
def test_network_sees_normalised_images(name):
    model = made(name, (3, 32, 32)).eval()
    seen = []
    model.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean, std = (torch.tensor(values) for values in CONSTANTS[3])

    model(torch.full((1, 3, 32, 32), 0.5))

    torch.testing.assert_close(seen[0][0, :, 9, 7], (0.5 - mean) / std)


def test_grey_images_become_colour_where_the_network_takes_colour():
    grey = torch.rand(2, 1, 224, 224)
    model = made("squeezenet", (1, 224, 224)).eval()

    torch.testing.assert_close(model(grey), model(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_valid_and_leaves_augmentation_to_the_data_set(name):
    own = type(plugins.build("models", name)).recipe

    assert isinstance(own, recipe.Recipe)
    assert (own.shift, own.flip) == (0, False)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_means(name):
    options = attrs.fields(type(plugins.build("models", name)))

    assert all(option.metadata["help"] for option in options)


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of_training_changes_the_weights(name):
    model = made(name, (3, 32, 32), 4)
    before = torch.cat([weights.detach().flatten() for weights in model.parameters()])
    step = recipe.Recipe(epochs=1, batch_size=8, lr=0.01)

    training.fit(model, torch.rand(8, 3, 32, 32), torch.arange(8) % 4, step)

    after = torch.cat([weights.detach().flatten() for weights in model.parameters()])
    assert after.isfinite().all()
    assert not torch.equal(after, before)


def test_small_alexnet_has_no_weights_of_torchvision():
    with pytest.raises(BadOption, match="none for this model at this image size"):
        made("alexnet", pretrained="imagenet")


def test_unknown_name_in_torchvision_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'resnet50'"):
        made("torchvision", name="resnet5o")


def test_size_that_a_network_of_torchvision_cannot_take_is_refused():
    with pytest.raises(BadOption, match=r"'inception_v3' cannot take .*3x32x32 .*Choose"):
        made("torchvision", (3, 32, 32), name="inception_v3")


def test_rehearsal_of_a_size_leaves_no_trace():
    model = made("torchvision", (3, 32, 32), name="resnet18")

    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert model.net.bn1.num_batches_tracked == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_FAMILIES)
def test_families_of_torchvision_train_without_warnings(name):
    model = made("torchvision", (3, 224, 224), 4, name=name)

    model(torch.rand(2, 3, 224, 224)).sum().backward()

    assert model.eval()(torch.rand(1, 3, 224, 224)).shape == (1, 4)
