import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import DataError, UsageError
from cnnsweep.types import DatasetChoice

PRELUDE = """
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = rng.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])

class Items(Dataset):
    def __init__(self, items, classes=None):
        self.items = items
        if classes: self.classes = classes
    def __len__(self): return len(self.items)
    def __getitem__(self, position): return self.items[position]
"""
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)

Load = Callable[..., Dataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load what a function with this body returns."""

    def load(body: str, memory_bytes: int | None = None, **arguments: object) -> Dataset:
        file = tmp_path / "own.py"
        file.write_text(f"{PRELUDE}\ndef data({', '.join(arguments)}):\n{textwrap.indent(body, '    ')}\n")
        return load_dataset(DatasetChoice(f"{file}:data", arguments), tmp_path, memory_bytes=memory_bytes)

    return load


def pixels_of(dataset: Dataset) -> np.ndarray:
    ((pixels, _),) = dataset.train.batches([torch.arange(len(dataset.train))], torch.device("cpu"))
    return pixels.numpy()


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("PIXELS", PIXELS[:, None]),
        ("torch.tensor(PIXELS)[:, None]", PIXELS[:, None]),
        ("COLOUR", COLOUR.transpose(0, 3, 1, 2)),
        ("COLOUR.transpose(0, 3, 1, 2)", COLOUR.transpose(0, 3, 1, 2)),
        ("torch.tensor(COLOUR).permute(0, 3, 1, 2)", COLOUR.transpose(0, 3, 1, 2)),
        ("PIXELS / 255", PIXELS[:, None]),
        ("torch.tensor(COLOUR) / 255", COLOUR.transpose(0, 3, 1, 2)),
        ("[Image.fromarray(p) for p in PIXELS]", PIXELS[:, None]),
        ("[Image.fromarray(p) for p in COLOUR]", COLOUR.transpose(0, 3, 1, 2)),
        ("[p for p in COLOUR]", COLOUR.transpose(0, 3, 1, 2)),
        ("[torch.tensor(p) / 255 for p in PIXELS]", PIXELS[:, None]),
        ("np.frombuffer(PIXELS.tobytes(), np.uint8).reshape(6, 5, 4)", PIXELS[:, None]),
    ],
)
def test_images_of_every_accepted_kind_become_the_same_bytes(images: str, expected: np.ndarray, load: Load) -> None:
    dataset = load(f"return ({images}, LABELS), None")
    assert np.array_equal(pixels_of(dataset), expected)
    assert dataset.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.test is None


def test_floats_are_rounded_to_the_nearest_byte(load: Load) -> None:
    dataset = load("return (np.array([[[0.0, 0.01, 0.5, 1.0]]]), [0]), None")
    assert pixels_of(dataset).ravel().tolist() == [0, 3, 128, 255]  # 0.01 is 2.55, 0.5 is 127.5


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("[(Image.fromarray(p), l) for p, l in zip(PIXELS, LABELS)]", PIXELS[:, None]),
        ("[(Image.fromarray(p), int(l)) for p, l in zip(COLOUR, LABELS)]", COLOUR.transpose(0, 3, 1, 2)),
        ("[(p, l) for p, l in zip(COLOUR, LABELS)]", COLOUR.transpose(0, 3, 1, 2)),
        ("[[torch.tensor(p)[None] / 255, torch.tensor(l)] for p, l in zip(PIXELS, LABELS)]", PIXELS[:, None]),
    ],
)
def test_torch_data_sets_are_read_item_by_item(items: str, expected: np.ndarray, load: Load) -> None:
    dataset = load(f"return Items({items}, ['x', 'y', 'z']), None")
    assert np.array_equal(pixels_of(dataset), expected)
    assert dataset.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.classes == ("x", "y", "z")


@pytest.mark.parametrize(
    "labels",
    [
        "list(LABELS)",
        "torch.tensor(LABELS)",
        "LABELS.astype('uint8')",
        "LABELS[:, None]",  # as Keras has them
        "np.eye(3)[LABELS]",
        "np.eye(3, dtype='uint8')[LABELS]",
        "torch.nn.functional.one_hot(torch.tensor(LABELS))",
        "torch.eye(3)[LABELS]",
        "np.eye(3, dtype=bool)[LABELS]",
    ],
)
def test_labels_of_every_accepted_kind_become_the_same_numbers(labels: str, load: Load) -> None:
    assert load(f"return (PIXELS, {labels}), None").train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    dataset = load(f"return [(p, l) for p, l in zip(PIXELS, {labels})], None")
    assert dataset.train.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_list_of_two_items_is_no_pair_of_images_and_labels(load: Load) -> None:
    dataset = load("return [(PIXELS[0], 0), (PIXELS[1], 1)], None")
    assert np.array_equal(pixels_of(dataset), PIXELS[:2, None])
    assert dataset.train.labels.tolist() == [0, 1]


def test_data_sets_of_torch_and_torchvision_with_transforms_are_read(load: Load) -> None:
    body = (
        "from torchvision import datasets, transforms\n"
        "change = transforms.Compose([transforms.Resize((5, 4)), transforms.ToTensor()])\n"
        "train = datasets.FakeData(6, (3, 10, 8), 3, transform=change)\n"
        "first, rest = torch.utils.data.random_split(train, [4, 2])\n"
        "return first, torch.utils.data.TensorDataset(torch.zeros(2, 3, 5, 4), torch.tensor([0, 2]))"
    )
    dataset = load(body)
    assert (len(dataset.train), dataset.train.image_shape) == (4, (3, 5, 4))
    assert dataset.test is not None
    assert dataset.test.labels.tolist() == [0, 2]


def test_names_may_be_mapped_to_labels_as_torchvision_has_them(load: Load) -> None:
    assert load("return (PIXELS, LABELS), None, {'cat': 1, 'dog': 0, 'elk': 2}").classes == ("dog", "cat", "elk")


@pytest.mark.parametrize(
    ("returned", "classes"),
    [
        ("(PIXELS, LABELS), (PIXELS[:2], LABELS[:2])", ("0", "1", "2")),
        ("(PIXELS, LABELS), (PIXELS[:2], [3, 0])", ("0", "1", "2", "3")),
        ("[(PIXELS, LABELS), (PIXELS[:2], LABELS[:2]), ['a', 'b', 'c', 'd']]", ("a", "b", "c", "d")),
        ("dict(train=(PIXELS, LABELS), test=(PIXELS[:2], LABELS[:2]))", ("0", "1", "2")),
        ("dict(classes=['a', 'b', 'c'], train=(PIXELS, list(LABELS)), test=(PIXELS[:2], LABELS[:2]))", ("a", "b", "c")),
    ],
)
def test_parts_and_class_names_may_come_as_tuple_or_mapping(
    returned: str, classes: tuple[str, ...], load: Load
) -> None:
    dataset = load(f"return {returned}")
    assert dataset.classes == classes
    assert len(dataset.train) == 6
    assert dataset.test is not None
    assert len(dataset.test) == 2


def test_arguments_of_the_sweep_file_reach_the_function(load: Load) -> None:
    assert len(load("return (PIXELS[:count], LABELS[:count]), None", count=4).train) == 4


def test_a_function_in_a_module_is_found(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("return (PIXELS, LABELS), None")
    monkeypatch.syspath_prepend(tmp_path)
    dataset = load_dataset(DatasetChoice("own:data"), tmp_path)
    assert (dataset.name, len(dataset.train)) == ("own:data", 6)


RETURNS = (
    "expected (train, test), (train, test, classes) or a mapping with these keys, where train and test are "
    "(images, labels) or a torch Dataset, and test may be None"
)
PAIRS = (
    "This looks like (images, labels): write `return (images, labels), None`, or with images to test on "
    "`return (images, labels), (test_images, test_labels)`"
)
IMAGES = "expected uint8 from 0 to 255 or floats from 0 to 1, of shape (N, H, W), (N, H, W, C) or (N, C, H, W)"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", f": returned None; {RETURNS}"),
        ("return 7", f": returned of type int; {RETURNS}"),
        ("return (PIXELS,)", f": returned a tuple of 1; {RETURNS}"),
        ("return dict(training=1)", f": returned a mapping with training; {RETURNS}"),
        ("return PIXELS, LABELS", f": returned a tuple of 2; {RETURNS}. {PAIRS}"),
        ("return torch.tensor(PIXELS), list(LABELS)", f": returned a tuple of 2; {RETURNS}. {PAIRS}"),
        ("return [Image.fromarray(p) for p in PIXELS], LABELS", f": returned a tuple of 2; {RETURNS}. {PAIRS}"),
        ("return PIXELS, LABELS, ['a', 'b', 'c']", f": returned a tuple of 3; {RETURNS}. {PAIRS}"),
        ("return PIXELS, LABELS, PIXELS, LABELS", f": returned a tuple of 4; {RETURNS}. Put images and labels into a "
         "pair each: `return (x_train, y_train), (x_test, y_test)`"),
        ("return Items([(PIXELS[0], 0)])", f": returned of type Items; {RETURNS}. To train on all of it, write "
         "`return data, None`"),
        ("return dict(train=(PIXELS, LABELS), val=(PIXELS, LABELS))",
         f": returned a mapping with train, val; {RETURNS}. "
         "Images for validation are split off from train"),
        ("return (PIXELS, LABELS), (PIXELS, LABELS), (PIXELS, LABELS)",
         ": returned a tuple of 3, of which the third is "
         "a tuple of 2 instead of class names; return (train, test) or (train, test, classes): images for validation "
         "are split off from train"),
        ("d = Items([(PIXELS[0], 0)])\nreturn d, d, d", ": returned a tuple of 3, of which the third is of type Items "
         "instead of class names; return (train, test) or (train, test, classes): images for validation are split "
         "off from train"),
        ("return torch.utils.data.DataLoader(Items([(PIXELS[0], 0)])), None",
         ": train: is of type DataLoader; expected "
         "(images, labels) or a torch Dataset with a length; give the loader's dataset: `loader.dataset`"),
        ("return ((p, 0) for p in PIXELS), None", ": train: is of type generator; expected (images, labels) or a torch "
         "Dataset with a length; make a list of its items: `list(...)`"),
        ("yield PIXELS, LABELS", f": returned of type generator; {RETURNS}"),
        ("return [(PIXELS[0], 0.5)] * 3, None", ": train: item 0: the label is of type float; expected a whole number "
         "from 0, or a list of labels"),
        ("return [(PIXELS[0], 'cat')] * 3, None", ": train: item 0: the label is of type str; expected a whole number "
         "from 0, or a list of labels"),
        ("return [(PIXELS[0], torch.tensor(0.5))] * 3, None",
         ": train: item 0: the label is a float32 tensor of shape (); expected a whole number from 0, or a list of "
         "labels"),
        ("return (PIXELS, [[0], [1, 2]]), None", ": train: 6 images and 2 labels; expected equal numbers, at least 1"),
        ("return ([p for p in PIXELS[:5]] + [PIXELS[5, :4]], LABELS), None", ": train: image 5 is 1×4×4, but image 0 "
         "1×5×4 (channels×height×width); all must be equal"),
        ("return (PIXELS / 127.5 - 1, LABELS), None",
         ": train: the images' floats go from -1 to 0.945098; expected 0 to "
         "1, or uint8; do not normalise here: `normalize` of the sweep file does it"),
        ("return (PIXELS, LABELS), None, ['a', 'b', 'a']", ": classes: a is there twice; expected each name once"),
        ("return (PIXELS, LABELS), None, 3", ": classes: is of type int; expected the classes' names, in their order"),
        ("return None, None", ": train: is None; expected (images, labels) or a torch Dataset with a length"),
        ("return (PIXELS.astype('int32'), LABELS), None",
         f": train: the images are a int32 array of shape (6, 5, 4); {IMAGES}"),
        ("return (PIXELS[0], LABELS), None",
         f": train: the images are a uint8 array of shape (5, 4); {IMAGES}, C from 1 to 4"),
        ("return (PIXELS.tolist(), LABELS), None",
         f": train: the images are a list of 6; expected an array or tensor, {IMAGES.removeprefix('expected ')}"),
        ("return (PIXELS.astype('float32'), LABELS), None",
         ": train: the images' floats go from 0 to 248; expected 0 to 1, or uint8; write "
         "images.astype('uint8'), or divide by 255"),
        ("return (PIXELS * np.nan, LABELS), None",
         ": train: the images' floats go from nan to nan; expected 0 to 1, or uint8"),
        ("return (PIXELS, LABELS[:5]), None", ": train: 6 images and 5 labels; expected equal numbers, at least 1"),
        ("return (PIXELS, LABELS / 1), None",
         ": train: the labels are a float64 array of shape (6,); expected N whole numbers from 0"),
        ("return (PIXELS, list('abcabc')), None",
         ": train: the labels are a <U1 array of shape (6,); expected N whole numbers from 0; number the names, "
         "and return "
         "these as classes"),
        ("return (PIXELS, LABELS - 1), None", ": train: labels go from -1 to 1, but must lie in 0 to 1"),
        ("return (PIXELS, LABELS), None, 'abc'",
         ": classes: is of type str; expected the classes' names, in their order"),
        ("return (PIXELS, LABELS), (PIXELS, LABELS + 1), list('abc')",
         ": test: labels go from 1 to 3, but must lie in 0 to 2"),
        ("return (PIXELS, LABELS), (COLOUR, LABELS)",
         ": test images are 3×5×4, but training images 1×5×4 (channels×height×width); both must be equal"),
        ("return Items([1, 2, 3]), None", ": train: item 0 is of type int; expected (image, label)"),
        ("return Items([('a', 0)]), None",
         ": train: item 0: the image is of type str; expected a PIL image, an array or a tensor"),
        ("return Items([(PIXELS[0], 0), (PIXELS[1][:4], 0)]), None",
         ": train: image 1 is 1×4×4, but image 0 1×5×4 (channels×height×width); all must be equal"),
        ("return Items([]), None", ": train: 0 images and 0 labels; expected equal numbers, at least 1"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_described(body: str, message: str, load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(body)
    assert str(caught.value) == f"{tmp_path / 'own.py'}:data{message}"


def test_an_exception_in_the_function_becomes_one_line_with_its_place(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load("raise ValueError('two\\nlines')")
    line = len(PRELUDE.splitlines()) + 3
    assert str(caught.value) == (
        f"{tmp_path / 'own.py'}:data: raised ValueError: two lines ({tmp_path / 'own.py'}:{line})"
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_exception_in_an_item_names_the_item(load: Load) -> None:
    body = "class Bad(Items):\n    def __getitem__(self, k): return 1 / k\nreturn Bad([(PIXELS[0], 0)] * 3), None"
    with pytest.raises(DataError, match=r"own.py:data: train: item 0: raised ZeroDivisionError: .* \(.*own.py:\d+\)$"):
        load(body)


def test_a_wrong_argument_is_told(load: Load, tmp_path: Path) -> None:
    load("return (PIXELS, LABELS), None")
    with pytest.raises(DataError, match=r"raised TypeError: data\(\) got an unexpected keyword argument 'size'"):
        load_dataset(DatasetChoice(f"{tmp_path / 'own.py'}:data", {"size": 3}), tmp_path)


def test_a_torch_data_set_that_does_not_fit_is_refused_before_it_is_read(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load("return Items([(PIXELS[0], 0)] * 100), None", memory_bytes=1999)
    assert str(caught.value) == (
        f"{tmp_path / 'own.py'}:data: train: the images need 0.0 GB as uint8, but 0.0 GB of memory may be used; "
        "make them smaller, or store them as files: `image_folder` streams images that do not fit"
    )


@pytest.mark.parametrize(
    "body",
    [
        "return (np.broadcast_to(PIXELS[:1], (10**12, 5, 4)), LABELS), None",
        "return (torch.tensor(PIXELS)[:1].expand(10**12, 5, 4), LABELS), None",
        "return (torch.zeros(1, 1, 1).expand(10**12, 5, 4), LABELS), None",
        "return (np.broadcast_to(np.float64(0), (200, 5, 4)), LABELS), None",  # 4 KB as bytes, 32 KB to copy
        "return (PIXELS, np.broadcast_to(LABELS[:1], 10**12)), None",
        "class Long(Items):\n    def __len__(self): return 10**12\nreturn Long([(PIXELS[0], 0)]), None",
    ],
)
def test_arrays_that_say_to_be_larger_than_their_memory_are_refused(body: str, load: Load) -> None:
    with pytest.raises(DataError, match=r"the images need .* but 0\.0 GB of memory may be used"):
        load(body, memory_bytes=10_000)


def test_images_without_pixels_are_refused(load: Load) -> None:
    with pytest.raises(DataError, match=r"the images are a uint8 array of shape \(6, 0, 4\); expected"):
        load("return (PIXELS[:, :0], LABELS), None")


def test_many_floats_are_rounded_as_few_are(load: Load) -> None:
    dataset = load("return (np.tile(PIXELS, (100, 1, 1)) / 255, np.tile(LABELS, 100)), None")
    assert np.array_equal(pixels_of(dataset)[:, 0], np.tile(PIXELS, (100, 1, 1)))


def test_what_is_no_function_is_refused(load: Load, tmp_path: Path) -> None:
    load("return (PIXELS, LABELS), None")
    with pytest.raises(DataError, match=r"own.py:PIXELS: is not a function but a uint8 array of shape"):
        load_dataset(DatasetChoice(f"{tmp_path / 'own.py'}:PIXELS"), tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        load_dataset(DatasetChoice(f"{tmp_path / 'absent.py'}:data"), tmp_path)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(DatasetChoice("imagenet"), tmp_path)
    assert str(caught.value) == "dataset: unknown 'imagenet'; `cnnsweep datasets` lists the known ones"
