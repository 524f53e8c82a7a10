"""The page in a browser: nothing is asked of the network, nothing goes wrong, charts are drawn, the table obeys."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from browser import Browser, find_browser
from pages_by_hand import grid_page, hostile_page, large_page, seeds_page

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium is here")

CHARTS = "document.querySelectorAll('.chart').length"
DRAWN = "document.querySelectorAll('.chart .main-svg').length"  # plotly makes several a chart
UNDRAWN = "[...document.querySelectorAll('.chart')].filter((chart) => !chart.querySelector('.main-svg')).length"
UNNAMED = (  # colours that are still called by what they stand for
    "[...document.querySelectorAll('.drawing')].some("
    '(one) => /"(colour|scale):/.test(JSON.stringify([one.data, one.layout])))'
)
FIRST_CHART_S = 2.0


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    made = {"grid": grid_page, "seeds": seeds_page, "hostile": hostile_page}
    return {name: make(folder / name)[1] for name, make in made.items()}


def assert_whole(browser, page):
    """Every chart is drawn, nothing went wrong, and nothing but the page itself was fetched."""
    browser.draw_all()
    assert browser.evaluate(UNDRAWN) == 0
    assert browser.evaluate(CHARTS) > 3
    assert not browser.evaluate(UNNAMED)
    assert browser.problems == []
    assert browser.requests == [page.resolve().as_uri()]


def column(browser, name):
    """The texts of a column, of the rows that are shown."""
    return browser.evaluate(
        f"""(() => {{
          const heads = [...document.querySelectorAll(".runs thead th")].map((head) => head.textContent);
          const rows = [...document.querySelector(".runs").tBodies[0].rows].filter((row) => !row.hidden);
          return rows.map((row) => row.cells[heads.indexOf({name!r})].textContent.trim());
        }})()"""
    )


def click(browser, name):
    found = f"[...document.querySelectorAll('.runs thead button')].find((one) => one.textContent === {name!r})"
    browser.evaluate(f"{found}.click()")
    return browser.evaluate(f"{found}.parentElement.getAttribute('aria-sort')")


def type_filter(browser, text):
    browser.evaluate(
        f"(() => {{ const box = document.getElementById('filter'); box.value = {text!r};"
        " box.dispatchEvent(new Event('input')); })()"
    )
    return browser.evaluate("document.querySelector('.filter output').textContent")


def test_charts_are_drawn_when_they_come_into_sight_without_network_or_errors(browser, pages):
    browser.open(pages["grid"])
    assert browser.evaluate(UNDRAWN) > 0  # those far below wait
    assert_whole(browser, pages["grid"])


def test_table_is_ordered_by_its_headings_and_filtered_by_words(browser, pages):
    browser.open(pages["grid"])
    best_first = column(browser, "val_accuracy")
    assert click(browser, "lr") == "ascending"
    assert column(browser, "lr") == sorted(column(browser, "lr"), key=float)
    assert click(browser, "lr") == "descending"
    assert column(browser, "lr")[0] == "0.1"
    assert click(browser, "val_accuracy") == "descending"  # of an accuracy the highest comes first
    assert column(browser, "val_accuracy") == best_first
    assert click(browser, "val_accuracy") == "ascending"
    assert column(browser, "val_accuracy")[-1] == "–"  # what is missing stays last
    assert type_filter(browser, "lr=0.0001 stopped") == "2 of 16 runs"
    assert set(column(browser, "run")) == {"run-14", "run-15"}
    assert type_filter(browser, "lr=0.1") == "4 of 16 runs"
    assert type_filter(browser, "") == ""
    assert len(column(browser, "run")) == 16


def test_drop_downs_choose_what_is_drawn_told_and_listed(browser, pages):
    browser.open(pages["grid"])
    browser.draw_all()

    def seen():
        return browser.evaluate(
            """(() => { const chart = document.getElementById("chart-heat-map");
              return [...chart.querySelectorAll("select")].map((one) => one.selectedOptions[0].textContent).concat(
                [chart.querySelector("figcaption").textContent, chart.querySelector(".drawing").ariaLabel,
                 chart.querySelector(".xtitle").textContent, chart.querySelector("thead th").textContent]); })()"""
        )

    across, up, *_ = seen()
    browser.evaluate(
        f"""(() => {{ const [first] = document.querySelectorAll("#chart-heat-map select");
          first.value = [...first.options].find((option) => option.textContent === {up!r}).value;
          first.dispatchEvent(new Event("change")); }})()"""
    )
    new_across, new_up, caption, label, axis, heading = seen()
    assert (across, new_across) != (up, new_up)
    assert new_across == up != new_up  # a hyperparameter is not set against itself
    assert caption == label
    assert f"{new_across} (across) and {new_up} (up)" in caption
    assert axis == new_across
    assert heading == f"{new_up} \\ {new_across}"
    assert browser.problems == []


def test_hostile_names_do_nothing(browser, pages):
    browser.open(pages["hostile"])
    assert_whole(browser, pages["hostile"])
    assert browser.evaluate("window.hurt") is None
    assert browser.evaluate("document.querySelectorAll('.chart a, .chart img, .chart b').length") == 0
    assert browser.evaluate(
        "[...document.querySelectorAll('.chart text')].some((one) => one.textContent.includes('</'))"
    )


@pytest.mark.faults
def test_colours_follow_the_readers_and_change_with_them(browser, pages):
    def colours():
        return browser.evaluate(
            "[getComputedStyle(document.body).backgroundColor, document.querySelector('.main-svg').style.background,"
            " document.querySelector('#chart-effects .point').style.fill]"
        )

    browser.open(pages["seeds"])
    browser.draw_all()
    light = colours()
    assert light[0] == light[1] == "rgb(255, 255, 255)"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait("document.querySelector('.main-svg').style.background !== 'rgb(255, 255, 255)'")
    dark = colours()
    assert dark[0] == dark[1] == "rgb(20, 24, 29)"
    assert dark[2] != light[2]
    assert browser.problems == []


@pytest.mark.faults
@pytest.mark.parametrize("name", ["grid", "seeds", "hostile"])
def test_page_fits_a_phone(browser, pages, name):
    browser.open(pages[name], width=360, height=740)
    assert_whole(browser, pages[name])
    assert browser.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.faults
def test_paper_shows_every_chart_in_light_and_every_table(browser, pages):
    browser.open(pages["grid"], dark=True)
    assert len(browser.print()) > 50_000
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate(UNDRAWN) == 0
    assert browser.evaluate("document.querySelector('.main-svg').style.background") == "rgb(255, 255, 255)"
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    assert browser.evaluate("[...document.querySelectorAll('.main-svg')].every((one) => one.clientWidth <= 680)")
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("document.querySelectorAll('details[open]').length") == 0
    assert browser.problems == []


@pytest.mark.faults
def test_first_chart_of_2000_runs_comes_in_two_seconds(browser, tmp_path):
    _, page = large_page(tmp_path / "large", 2000)
    seconds = []
    for _ in range(3):  # the first also compiles; other tests may run beside
        browser.open(page)
        browser.evaluate("document.querySelector('.chart').scrollIntoView()")
        browser.wait(f"{DRAWN} > 0")
        seconds.append(browser.evaluate("performance.getEntriesByName('chart drawn')[0].startTime") / 1000)
    assert min(seconds) < FIRST_CHART_S, seconds
    assert type_filter(browser, "optimizer=sgd") == "572 of 2000 runs"
    assert_whole(browser, page)


def unpacked_cifar10(shared_data, folder, train, test):
    """Unpack the first images of every class of CIFAR-10: a folder of one's own images, as a person has it."""
    archive = shared_data / "cifar10-jpg.tar.xz"
    if not archive.is_file():
        pytest.skip("CIFAR-10 is not here")
    most = {"train": train, "test": test}
    with tarfile.open(archive) as images:
        for member in images:
            path = Path(member.name)
            if member.isfile() and int(path.stem) < most[path.parts[0]]:
                images.extract(member, folder, filter="data")
    return folder


def real_page(sweep_file, folder, data_root, *overrides):
    """Run a sweep, evaluate it, and return its page, by the commands that a person types."""
    changes = [part for override in overrides for part in ("--set", override)]
    page = folder.with_suffix(".html")
    for arguments in (
        ["run", sweep_file, "--data-root", data_root, "--out", folder, *changes],
        ["evaluate", folder, "--data-root", data_root],
        ["report", folder, "--html", page],
    ):
        call = [sys.executable, "-m", "cnnsweep", *map(str, arguments)]
        subprocess.run(call, check=True, capture_output=True)
    return page


@pytest.mark.faults
@pytest.mark.parametrize("what", ["fashion", "cifar10"])
def test_page_of_a_real_sweep_shows_classes_and_mistakes(browser, shared_data, tmp_path, what):
    sweeps = Path(__file__).parent.parent.parent / "sweeps"
    if what == "fashion":
        fewer = ["params.epochs=2", "params.batch_size=1000", "params.shuffle=true"]
        page, side = real_page(sweeps / "fashion.yaml", tmp_path / "fashion", shared_data, *fewer), 28
    else:
        unpacked_cifar10(shared_data, tmp_path / "images", train=200, test=50)
        own = "dataset={name: image_folder, path: images, normalize: {mean: 0.5, std: 0.5}}"
        changes = [own, "params.lr=[0.001,0.003]", "params.epochs=2"]
        page, side = real_page(sweeps / "cifar10.yaml", tmp_path / "cifar10", tmp_path, *changes), 32
    browser.open(page)
    assert_whole(browser, page)
    assert "Tested: accuracy" in browser.evaluate("document.getElementById('summary').textContent")
    assert browser.evaluate("document.querySelectorAll('#chart-classes .ytick').length") == 10
    assert browser.evaluate("[...document.querySelectorAll('.images img')].length") > 0
    assert browser.evaluate(
        """(async () => { for (const image of document.querySelectorAll(".images img")) { image.loading = "eager";
             await image.decode(); if (image.naturalWidth !== SIDE) return false; } return true; })()""".replace(
            "SIDE", str(side)
        )
    )
