"""The shapes in which people keep their images: each is read as it is meant, or refused with the reason."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from cnnsweep.datasets.folder_listing import Listing, list_images
from cnnsweep.datasets.split_names import parts_by_name
from cnnsweep.errors import DataError

# A layout is a text of folders and how many images (or which other file) lie in them: `train/cat:4 notes.txt`.


def pair(folder: str, count: int = 4) -> str:
    return f"{folder}/cat:{count} {folder}/dog:{count}"


def build(root: Path, layout: str) -> Path:
    for word in layout.split():
        place, _, count = word.partition(":")
        path = root / place.replace("~", " ")
        if not count and path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("no image")
            continue
        path.mkdir(parents=True, exist_ok=True)
        for number in range(int(count or 0)):
            (path / f"{number}.png").write_bytes(b"")
    return root


def parts(listing: Listing) -> tuple[int, int | None, int | None]:
    """Return how many images are trained, validated and tested on."""
    own, test = listing.validation, listing.test
    return len(listing.train), None if own is None else len(own), None if test is None else len(test)


READ = {
    # Parts by their many names.
    "train and test": (f"{pair('train')} {pair('test')}", (8, None, 8)),
    "train, val and test": (f"{pair('train')} {pair('val', 2)} {pair('test', 3)}", (8, 4, 6)),
    "train and val": (f"{pair('train')} {pair('val', 2)}", (8, 4, None)),
    "train and valid": (f"{pair('train')} {pair('valid', 2)}", (8, 4, None)),
    "train alone": (pair("train", 10), (16, None, 4)),
    "Training and Testing": (f"{pair('Training')} {pair('Testing', 3)}", (8, None, 6)),
    "TRAIN and TEST": (f"{pair('TRAIN')} {pair('TEST', 3)}", (8, None, 6)),
    "training, validation and evaluation": (
        f"{pair('training')} {pair('validation', 2)} {pair('evaluation', 3)}",
        (8, 4, 6),
    ),
    "trn, dev and tst": (f"{pair('trn')} {pair('dev', 2)} {pair('tst', 3)}", (8, 4, 6)),
    "training_set and test_set": (f"{pair('training_set')} {pair('test_set', 3)}", (8, None, 6)),
    "trainset, valset, testset": (f"{pair('trainset')} {pair('valset', 2)} {pair('testset', 3)}", (8, 4, 6)),
    "TrainData and TestData": (f"{pair('TrainData')} {pair('TestData', 3)}", (8, None, 6)),
    "train_images and test_images": (f"{pair('train_images')} {pair('test_images', 3)}", (8, None, 6)),
    "Train set and Test set": (f"{pair('Train~set')} {pair('Test~set', 3)}", (8, None, 6)),
    "train2017 and val2017": (f"{pair('train2017')} {pair('val2017', 2)}", (8, 4, None)),
    "seg_train, seg_test and seg_pred": (
        f"{pair('seg_train/seg_train')} {pair('seg_test/seg_test', 3)} seg_pred/seg_pred:9",
        (8, None, 6),
    ),
    # Classes alone.
    "classes": (pair(".", 10), (16, None, 4)),
    "classes below a folder": (pair("photos", 10), (16, None, 4)),
    "classes below three folders": (pair("a/b/c", 10), (16, None, 4)),
    "parts below a folder": (f"{pair('photos/train')} {pair('photos/test', 3)}", (8, None, 6)),
    "a part in a folder of its own name": (f"{pair('train/train')} {pair('test/test', 3)}", (8, None, 6)),
    "a class called test": ("cat:5 dog:5 test:5", (12, None, 3)),
    "a class called train": ("bus:5 car:5 train:5", (12, None, 3)),
    "a class called dev with folders of its own": ("ops:5 qa:5 dev/monday:3 dev/friday:2", (12, None, 3)),
    "classes called freight_train and test_tube": ("freight_train:5 test_tube:5", (8, None, 2)),
    "letters whose case matters": ("A:5 a:5", (8, None, 2)),
    "classes of numbers": ("0:5 1:5 10:5", (12, None, 3)),
    "folders in class folders": ("cat/monday:2 cat/friday:3 dog/monday:5", (8, None, 2)),
    "the same folders in all classes": ("apple/sick:3 apple/well:2 tomato/sick:3 tomato/well:2", (8, None, 2)),
    # What systems and people leave lying about.
    "a Mac's archive": (f"{pair('photos', 10)} __MACOSX/photos/cat:10 .DS_Store photos/.DS_Store", (16, None, 4)),
    "hidden folders": (f"{pair('train')} {pair('test')} train/.thumbnails:9 .git/objects:3", (8, None, 8)),
    "folders of a network disk": (f"{pair('.', 10)} cat/@eaDir:10 lost+found:2", (16, None, 4)),
    "files beside the parts": (f"{pair('train')} {pair('test')} README.md labels.csv", (8, None, 8)),
    "folders without images beside the parts": (f"{pair('train')} docs/index.html", (6, None, 2)),
    "images beside the parts": (f"{pair('train')} {pair('test')} unlabelled:30", (8, None, 8)),
    "images beside the classes": (f"{pair('.', 10)} .:3", (16, None, 4)),
    "a test part without classes": (f"{pair('train', 10)} test:7", (16, None, 4)),
    "a validation part without classes": (f"{pair('train')} {pair('test')} val:7", (8, None, 8)),
}
SAID = {
    "classes below three folders": "read from {root}/a/b/c, since the folders above it hold nothing else",
    "a Mac's archive": "read from {root}/photos, since the folders above it hold nothing else",
    "a part in a folder of its own name": "read from {root}/test/test, since the folders above it hold nothing else",
    "seg_train, seg_test and seg_pred": "left out beside the parts: seg_pred",
    "images beside the parts": "left out beside the parts: unlabelled",
    "images beside the classes": "left out: 3 images in {root} that lie in no class folder",
    "a test part without classes": "left out: {root}/test, since the test part needs class folders (7 images)",
    "a validation part without classes": "left out: {root}/val, since the validation part needs class folders "
    "(7 images)",
    "the same folders in all classes": "apple, tomato are the classes, though all of them hold the same folders "
    "(sick, well): if these are the classes, turn it round",
    "classes": "0.2 of each class kept for testing, since there is no folder for it",
}
REFUSED = {
    "test alone": (pair("test"), "{root}: holds test, but no train/ to learn from; put"),
    "val alone": (pair("val"), "{root}: holds val, but no train/ to learn from; put"),
    "val and test": (f"{pair('val')} {pair('test')}", "{root}: holds test, val, but no train/ to learn from; put"),
    "two training parts": (f"{pair('train1')} {pair('train2')}", "train1, train2 may both be the train part; keep one"),
    "flat parts": ("Training:9 Testing:3", "Training: is called like the training part, beside Testing, but holds no"),
    "a flat training part": (f"train:9 {pair('test')}", "train: is called like the training part, beside test, but"),
    "train and test as classes": ("train:5 test/more:5", "train: is called like the training part, beside test, but"),
    "classes beside a test part": (f"{pair('.')} {pair('test')}", "test holds folders (cat, dog), so it looks like"),
    "a training part beside classes": (f"{pair('train')} bird:4", "train holds folders (cat, dog), so it looks like"),
    "parts in each class": (
        "cat/train:4 cat/test:2 dog/train:4 dog/test:2",
        "{root}: cat, dog hold parts (test, train) of their own; turn it round",
    ),
    "parts of categories": (
        "bottle/train/good:4 bottle/test/bad:2 bottle/ground_truth/bad:2 cable/train/good:3 cable/test/bad:4",
        "bottle, cable hold parts (ground_truth, test, train) of their own; turn it round",
    ),
    "parts below a folder beside another": (
        f"{pair('data/train')} {pair('data/test')} docs/index.html",
        "data holds the parts of a data set (test, train), and docs lie beside it; give `path` as {root}/data",
    ),
    "a test part beside another with the same folders": (
        f"{pair('train_val')} {pair('test')}",
        "so it looks like the test part of the data, but train_val beside it are no parts",
    ),
    "one class": ("cat:5", "{root}: holds one class only (cat), and there is nothing to learn from one; expected two"),
    "one class below a folder": ("photos/cat:5", "{root}/photos: holds one class only (cat), and there is nothing"),
    "one class in parts": ("train/cat:5 test/cat:5", "{root}/train: holds one class only (cat), and there is nothing"),
    "images alone": (".:5", "{root}: 5 images lie in no class folder; none exists. Move each image into"),
    "images and a table": (
        ".:5 labels.csv",
        "5 images lie in no class folder; none exists. If labels.csv names the labels of each image, add "
        "labels: labels.csv to the data set. Move",
    ),
    "nothing": ("", "{root}: no class folders; expected train/<class>/ and test/<class>/, or <class>/"),
    "images and masks": ("images:5 masks:5", "{root}: holds images, masks, which are no classes; expected one"),
    "images and labels": ("images:5 labels/a.txt", "{root}: holds images, labels, which are no classes; expected one"),
    "folds": (f"{pair('fold1')} {pair('fold2')} {pair('fold3')}", "fold1, fold2, fold3 hold the same folders"),
    "a class only in train": (f"{pair('train')} train/bird:3 {pair('test')}", "bird only in {root}/train; both parts"),
    "a class only in test": (f"{pair('train')} test/bird:3 {pair('test')}", "bird only in {root}/test; both parts"),
    "a class only in train, not in val": (f"{pair('train')} train/bird:3 {pair('val')}", "bird only in {root}/train"),
    "another case": (
        "train/Cat:4 train/dog:4 test/cat:4 test/dog:4",
        "Cat only in {root}/train and cat only in {root}/test; both parts need the same classes (Cat and cat differ in "
        "case alone: rename one)",
    ),
    "an empty class": (f"{pair('.')} bird", "{root}: no images in bird; put images there (.avif .bmp"),
    "a class of other files": (f"{pair('.')} bird/a.heic", "{root}: no images in bird; put images there (.avif .bmp"),
}  # fmt: skip


def test_forty_layouts_and_more_are_in_the_table() -> None:
    assert len(READ) + len(REFUSED) >= 60


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read_as_it_is_meant(name: str, tmp_path: Path) -> None:
    layout, expected = READ[name]
    listing = list_images(build(tmp_path, layout), 0.2)
    assert parts(listing) == expected
    if "/cat:" in layout:
        assert listing.classes == ("cat", "dog")
    if name in SAID:
        assert SAID[name].format(root=tmp_path) in listing.notes


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_is_no_data_set_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    layout, reason = REFUSED[name]
    with pytest.raises(DataError) as caught:
        list_images(build(tmp_path, layout), 0.2)
    assert reason.format(root=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_image_has_the_class_of_its_folder_in_every_part(tmp_path: Path) -> None:
    listing = list_images(build(tmp_path, f"{pair('a/Train')} {pair('a/Dev', 2)} {pair('a/Tst', 3)}"), 0.2)
    for part, folder in ((listing.train, "Train"), (listing.validation, "Dev"), (listing.test, "Tst")):
        assert part is not None
        assert {Path(file.path).parts[1] for file in part} == {folder}
        assert all(listing.classes[file.label] == Path(file.path).parts[2] for file in part)


def test_a_share_for_testing_is_not_taken_from_a_folder_with_a_validation_part(tmp_path: Path) -> None:
    folder = build(tmp_path, f"{pair('train')} {pair('val')}")
    assert list_images(folder, 0).test is None
    with pytest.raises(DataError, match=r"so no share is split off for testing; leave `test: 0.3` out"):
        list_images(folder, 0.3)


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_names_that_differ_in_their_normal_form_alone_are_one_class(tmp_path: Path) -> None:
    assert COMPOSED != DECOMPOSED
    build(tmp_path, f"train/{COMPOSED}:4 train/tea:4 test/{DECOMPOSED}:2 test/tea:2")
    listing = list_images(tmp_path, 0.2)
    assert listing.classes == (COMPOSED, "tea")
    assert Counter(file.label for file in listing.test or ()) == {0: 2, 1: 2}
    build(tmp_path, f"train/{DECOMPOSED}:3")
    listing = list_images(tmp_path, 0.2)
    assert Counter(file.label for file in listing.train) == {0: 7, 1: 4}
    assert any("is one class, though its folders' names differ" in note for note in listing.notes)


def test_a_name_that_is_written_in_one_way_stays_as_it_is(tmp_path: Path) -> None:
    """Or the data of a sweep that was begun before would count as others."""
    build(tmp_path, f"train/{DECOMPOSED}:4 train/tea:4 test/{DECOMPOSED}:2 test/tea:2")
    assert list_images(tmp_path, 0.2).classes == (DECOMPOSED, "tea")


def test_a_test_part_that_is_a_link_to_the_training_part_is_refused(tmp_path: Path) -> None:
    build(tmp_path, pair("train"))
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(DataError, match=r"is the same folder as .*, so its images would count twice"):
        list_images(tmp_path, 0.2)


def test_folders_that_lead_round_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="leads back to a folder above it"):
        list_images(tmp_path, 0.2)


def test_what_is_left_out_is_counted_by_its_ending(tmp_path: Path) -> None:
    folder = build(
        tmp_path, f"{pair('.', 10)} cat/a.txt cat/b.TXT dog/c.psd dog/.thumbs/x.png dog/Thumbs.db dog/._0.png"
    )
    (folder / "dog" / "LICENCE").write_text("")
    listing = list_images(folder, 0.2)
    assert {ending: count for ending, count in listing.left_out.items() if count} == {
        ".txt": 2,
        ".psd": 1,
        "without ending": 1,
        "hidden": 1,
    }


def test_an_archive_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    from cnnsweep.datasets.folder_listing import find_folder

    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"photos\.zip is a file; unpack it if it is an archive, give its folder"):
        find_folder("photos.zip", tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train", "val", "test"], {"train": "train", "val": "validation", "test": "test"}),
        (["Training Set", "DEV-SET"], {"Training Set": "train", "DEV-SET": "validation"}),
        (["seg_train", "seg_test"], {"seg_train": "train", "seg_test": "test"}),
        (["seg_train", "cam_test"], {}),
        (["freight_train", "test_tube"], {}),
        (["training", "traineeship", "trains"], {"training": "train"}),
        (["contest", "attest", "invalid", "retrain"], {}),
        (["train_val", "test"], {"test": "test"}),
        (["trainval", "test"], {"trainval": "train", "test": "test"}),
    ],
)
def test_parts_are_known_by_their_names(names: list[str], expected: dict[str, str]) -> None:
    assert parts_by_name(names) == expected


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_classes_may_be_links_to_folders_elsewhere(tmp_path: Path) -> None:
    build(tmp_path / "elsewhere", pair(".", 10))
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert parts(list_images(tmp_path / "photos", 0.2)) == (16, None, 4)
