"""Points come out of a file as they were put into it, or the file is refused in one sentence."""

import io
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from mvit.data import DataError
from mvit.data.points import is_boxes, is_mark, read_points, understand

HEADS = np.array([[12.5, 34], [100, 50], [200, 150], [300.25, 10]])
SIZE = (4000, 3000)  # of the picture: larger than any position drawn below
QUIET = settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
positions = st.integers(0, 7999).map(lambda n: n / 4)
points_of = st.integers(0, 12).flatmap(
    lambda n: st.lists(st.tuples(positions, positions), min_size=n, max_size=n, unique=True)
)
NUMBERS = {
    "shortest": lambda v: f"{v:.10g}",
    "fixed": lambda v: f"{v:.3f}",
    "scientific": lambda v: f"{v:.18e}",
    "signed": lambda v: f"{v:+.2f}",
}
HEADERS = [
    ("x", "y"),
    ("X", "Y"),
    ("x [px]", "y [px]"),
    ("head_x", "head_y"),
    ("col", "row"),
    ("cx", "cy"),
    ("x_coord", "y_coord"),
]


def same(found: np.ndarray, points) -> bool:
    expected = np.array(points, dtype=float).reshape(-1, 2)
    return found.shape == expected.shape and np.allclose(found, expected, atol=1e-6)


@st.composite
def texts(draw):
    """(points, content): a table of points as one program or another writes it."""
    points = draw(points_of)
    delimiter = draw(st.sampled_from([",", ";", "\t", "|", " ", ", ", "   "]))
    style = NUMBERS[draw(st.sampled_from(sorted(NUMBERS)))]
    quote = draw(st.sampled_from(["", '"'] if len(delimiter) == 1 else [""]))
    comma = draw(st.booleans()) and (quote == '"' or "," not in delimiter)
    columns = [[style(x) for x, _ in points], [style(y) for _, y in points]]
    if comma:
        columns = [[v.replace(".", ",") for v in column] for column in columns]
    header = draw(st.sampled_from([None, *HEADERS]))
    beside = [["", [str(i) for i in range(len(points))]]] if draw(st.booleans()) else []
    if header is None:
        assume(points)
        names = [""] * 2
        if beside:  # without names, a numbering must be told from positions
            assume(len(points) > 2)
            assume(not any(is_mark(np.array(c)) for c in np.transpose(points)))
            # 1,000 beside whole numbers could be a thousand, and is refused
            assume(not all(re.fullmatch(r"[1-9]\d{0,2},\d{3}", v) for c in columns for v in c))
        else:
            assume(points[0] != (0, 1))  # or column numbers
    else:
        names = [name.replace(" ", "_") if delimiter.isspace() else name for name in header]
        beside = [["id", own] for _, own in beside]
        if draw(st.booleans()):
            beside.append(["label", ["head"] * len(points)])
    table = [*beside, *([n, c] for n, c in zip(names, columns, strict=True))]
    table = table if header is None else draw(st.permutations(table))
    rows = [] if header is None else [[name for name, _ in table]]
    rows += [list(row) for row in zip(*(column for _, column in table), strict=True)]
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [delimiter.join(f"{quote}{field}{quote}" for field in row) for row in rows]
    content = end.join(lines) + draw(st.sampled_from(["", end, end + end]))
    return points, content.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


@QUIET
@given(texts(), st.sampled_from([".csv", ".txt", ".tsv", ".CSV"]))
def test_points_in_any_spelling_are_read_as_they_were_written(tmp_path, drawn, suffix):
    points, content = drawn
    file = tmp_path / f"points{suffix}"
    file.write_bytes(content)
    assert same(read_points(file, SIZE), points), content


@st.composite
def arrays(draw):
    """(points, array): the same points as programs keep them in arrays."""
    points = draw(points_of)
    array = np.array(points, dtype=draw(st.sampled_from(["f8", "f4", ">f8"]))).reshape(-1, 2)
    how = draw(st.sampled_from(["N x 2", "2 x N", "N x 3", "0 x 0"]))
    if how == "2 x N":
        assume(len(points) > 3 and (len(points) > 6 or not is_boxes(array.T)))
        array = array.T
    elif how == "N x 3":  # DM-Count's: the distance to the next head
        assume(len(points) != 2 and not any(is_mark(c) for c in array.T))
        array = np.column_stack([array, 3 + np.arange(len(points)) % 5])
    elif how == "0 x 0":
        points, array = [], np.empty((0, 0))
    return points, array


def mat(array: np.ndarray, key: str, version: str = "5", count: int = 0) -> bytes:
    content = io.BytesIO()
    if key == "image_info":  # ShanghaiTech
        savemat(content, {key: {"location": array, "number": count}})
    elif key == "NWPU":
        savemat(content, {"annBoxes": np.ones((3, 4)), "annPoints": array, "width": 640})
    else:
        savemat(content, {key: array}, format=version, do_compression=version == "5")
    return content.getvalue()


@QUIET
@given(
    arrays(),
    st.sampled_from(
        ["npy", "annPoints", "loc", "image_info", "points", "NWPU", "point_position", "mine"]
    ),
    st.sampled_from("45"),
)
def test_points_in_any_container_are_read_as_they_were_written(tmp_path, drawn, key, version):
    points, array = drawn
    file = tmp_path / ("points.npy" if key == "npy" else "points.MAT")
    if key == "npy":
        np.save(file, array)
    else:
        file.write_bytes(mat(array, key, version, len(points)))
    assert same(read_points(file), points)


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


BOXES = np.column_stack([HEADS - 5, HEADS + 5])
ROWS = "12.5,34\n100,50\n200,150\n300.25,10\n"
NO_POINTS = {  # what must not be read as some number of people, and a word of the reason
    "nan.csv": (b"12.5,34\nnan,nan\n200,150\n", "row 2 has 'nan'"),
    "missing.csv": (b"12.5,34\n,50\n", "row 2 has ''"),
    "short.csv": (b"12.5,34\n100\n200,150\n", "line 2"),
    "one.csv": (b"12.5\n100\n200\n", "one number a line"),
    "empty.csv": (b"", "empty"),
    "words.csv": (b"nothing here\n", "no pair of columns named x and y"),
    "word.csv": (b"nothing\n", "no numbers"),
    "other.csv": (b"lat,lon\n1,2\n", "lat, lon"),
    "twice.csv": (b"x,y,cx,cy\n1,2,3,4\n", "more than one pair"),
    "numbers.csv": (b"0,1\n12.5,34\n100,50\n", "numbers of columns"),
    "size.csv": (f"640,480\n{ROWS}".encode(), "picture's size"),
    "count.csv": (f"4\n{ROWS}".encode(), "line 1"),
    "several.csv": (b"image,x,y\na.jpg,1,2\nb.jpg,3,4\n", "several pictures"),
    "corners.csv": (b"x1,y1,x2,y2\n7.5,29,17.5,39\n", "boxes"),
    "xywh.csv": (b"x,y,w,h\n7.5,29,10,10\n", "boxes"),
    "boxes.txt": (b"7 29 17 39\n95 45 105 55\n1 2 3 4\n", "boxes"),
    "yolo.txt": (b"0 0.1 0.2 0.01 0.02\n0 0.5 0.5 0.01 0.02\n", "boxes"),
    "triple.csv": (b"1,2,3\n7,5,2\n4,4,9\n", "3 x 3"),
    "thousand.csv": (b"1,234;600\n100;50\n", "could be a decimal comma or a thousand"),
    "mixed.csv": (b"12.5;34,0\n", "mixes decimal points and commas"),
    "density.csv": (b"\n".join([b",".join([b"0.001"] * 20)] * 12), "density map"),
    "page.csv": (b"<!DOCTYPE html><p>404, not found</p>", "no pair of columns"),
    "bytes.csv": (b"\xff\xd8\xff\xe0\0\x10JFIF", "no text"),
    "empty.npy": (b"", "empty"),
    "cut.npy": (npy(HEADS)[:100], "cut short"),
    "object.npy": (npy(np.array([{"x": 1}])), "Python objects"),
    "text.npy": (b"12 34\n", "no NumPy file"),
    "nan.npy": (npy(np.array([[1, 2], [np.nan, 3]])), "point 2 has no finite position"),
    "density.npy": (npy(np.full((96, 128), 0.01)), "density map"),
    "maps.npy": (npy(np.zeros((96, 128, 1))), "96 x 128 x 1"),
    "flat.npy": (npy(HEADS.ravel()), "N x 2"),
    "boxes.npy": (npy(BOXES), "boxes"),
    "two_boxes.npy": (npy(BOXES[:2]), "boxes"),
    "two_or_three.npy": (npy(np.arange(6.0).reshape(2, 3)), "2 x 3"),
    "words.npy": (npy(np.array([["a", "b"]])), "no plain numbers"),
    "empty.mat": (b"", "empty"),
    "cut.mat": (mat(HEADS, "annPoints")[:150], "no whole MATLAB file"),
    "cut_later.mat": (mat(HEADS, "annPoints")[:-9], "no whole MATLAB file"),
    "text.mat": (b"12 34\n55 66\n", "no whole MATLAB file"),
    "page.mat": (b"<!DOCTYPE html>" + b" " * 500, "no whole MATLAB file"),
    "density.mat": (mat(np.full((96, 128), 0.01), "density"), "no array is the points'"),
    "boxes.mat": (mat(BOXES, "annPoints"), "boxes"),
    "words.mat": (mat(np.array(["a"]), "annPoints"), "no array is the points'"),
}


@pytest.mark.parametrize("name", NO_POINTS)
def test_what_holds_no_points_or_could_be_read_in_two_ways_is_refused(name, tmp_path):
    content, reason = NO_POINTS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_points(tmp_path / name)
    assert reason in str(refused.value) and str(refused.value).startswith(f"{name} holds no ")
    assert "\n" not in str(refused.value)


def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path):
    savemat(tmp_path / "two.mat", {"a": HEADS, "b": HEADS + 1})
    with pytest.raises(DataError, match=r"several arrays could be the points .*: a, b"):
        read_points(tmp_path / "two.mat")
    savemat(tmp_path / "more.mat", {"image_info": {"location": HEADS, "number": 5}})
    with pytest.raises(DataError, match="there are 5 people and holds 4 points"):
        read_points(tmp_path / "more.mat")


SPELLED = {
    "header.csv": (b"label,x (px),y (px)\n" + b"head,12.5,34\nhead,100,50\n", "x (px) and y (px)"),
    "centres.csv": (b"cx,cy,w,h\n12.5,34,9,9\n100,50,9,9\n", "cx and cy"),
    "imagej.csv": (b" ,Area,X,Y\n1,0,12.5,34\n2,0,100,50\n", "X and Y"),
    "r.txt": (b'"x" "y"\n"1" 12.5 34\n"2" 100 50\n', "x and y"),
    "pandas.csv": (b",0,1\n0,12.5,34\n1,100,50\n", "N x 2"),
    "matlab.csv": (b"Var1,Var2\n12.5,34\n100,50\n", "N x 2"),
    "savetxt.csv": (b"# y,x\n3.4e+01,1.25e+01\n5e+01,1e+02\n", "x and y"),
    "excel.csv": (b"sep=;\n12,5;34\n100;50\n", "N x 2"),
    "trailing.csv": (b"12.5,34,\n100,50,\n", "N x 2"),
    "brackets.txt": (b"[12.5, 34]\n[100, 50]\n", "N x 2"),
    "jhu.txt": (b"12.5 34 12 14 1 0\n100 50 9 11 3 1\n", "occlusion"),
}


@pytest.mark.parametrize("name", SPELLED)
def test_what_programs_write_is_understood_and_said(name, tmp_path):
    content, told = SPELLED[name]
    (tmp_path / name).write_bytes(content)
    points, how = understand(tmp_path / name)
    assert same(points, HEADS[:2]) and told in how


def test_nobody_is_there_only_where_a_file_says_so(tmp_path):
    said = {"header.csv": b"x,y\n", "jhu.txt": b"", "array.npy": npy(np.array([]))}
    for name, content in said.items():
        (tmp_path / name).write_bytes(content)
        assert read_points(tmp_path / name).shape == (0, 2)


def test_a_picture_of_known_size_decides_what_the_first_row_is(tmp_path):
    (tmp_path / "a.csv").write_text(f"640,480\n{ROWS}")
    assert len(read_points(tmp_path / "a.csv", (800, 600))) == 5
    with pytest.raises(DataError, match="picture's size"):
        read_points(tmp_path / "a.csv", (480, 640))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (",x,y\n1,12,34\n2,100,50\nmean,56,42\n", "mean"),
        ("id,x,y\n1,12,34\n2,100,50\ntotal,112,84\n", "total"),
        ("12,34\n100,50\n-1,-1\n-1,-1\n", "filler"),
        ("12,34\n100,50\n0,0\n0,0\n", "filler"),
        ("12,34\n100,50\n640,480\n", "size"),
        ("x (%),y (%)\n12,34\n50,60\n", "per cent"),
    ],
)
def test_rows_that_are_no_heads_are_refused(tmp_path, text, reason):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        read_points(tmp_path / "a.csv", (640, 480))


def test_a_mask_of_zeros_is_no_list_of_points(tmp_path):
    np.save(tmp_path / "mask.npy", np.zeros((2, 640)))
    with pytest.raises(DataError, match="filler|640"):
        read_points(tmp_path / "mask.npy")
