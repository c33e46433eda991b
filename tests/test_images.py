"""Images as they come: every one is read rightly or refused by name."""

import io
import struct
import sys
import threading
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from kerafer import images
from kerafer.errors import UserError
from kerafer.images import (
    UnreadableImageError,
    as_image,
    find_flaw,
    is_blank,
    read_image,
    read_reduced,
    resize,
)


def quadrants():
    """Red, green / blue, white: shows a turn, a flip and swapped channels."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30] = 255, 0, 0
    picture[:20, 30:] = 0, 255, 0
    picture[20:, :30] = 0, 0, 255
    picture[20:, 30:] = 255, 255, 255
    return picture


def corners(picture):
    height, width = picture.shape[:2]
    rows, columns = (height // 4, -height // 4), (width // 4, -width // 4)
    return np.array([[picture[r, c] for c in columns] for r in rows]).astype(
        int
    )


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width, height):
    """A PNG that promises pixels and has none."""

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return (
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", checksum)
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x")


@pytest.mark.parametrize("kind", images.FORMATS)
def test_every_format_is_read_as_rgb(kind, tmp_path):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
    data = encoded(Image.fromarray(quadrants()), kind, **lossless.get(kind, {}))
    path = tmp_path / "Zoë 王 und Frau Ä.image"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        read = read_image(source)
        assert read.shape == (40, 60, 3)
        assert read.dtype == np.uint8
        assert abs(corners(read) - corners(quadrants())).max() < 20
    assert find_flaw(path) is None


def test_other_formats_are_not_opened(tmp_path):
    path = tmp_path / "face.jpg"
    Image.fromarray(quadrants()).save(path, "ICO")
    with pytest.raises(UnreadableImageError, match=r"face\.jpg.*JPEG, PNG"):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    upright = quadrants()
    # How each orientation is stored, from the EXIF standard's table.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG"):
        image = Image.fromarray(np.ascontiguousarray(stored))
        read = read_image(encoded(image, kind, exif=exif))
        assert read.shape == upright.shape
        assert abs(corners(read) - corners(upright)).max() < 20


def test_exif_rotation_of_16_bit_gray():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.array([[0, 65535, 257]], np.uint16))
    read = read_image(encoded(image, "PNG", exif=exif))
    np.testing.assert_array_equal(read[:, 0, 0], [0, 255, 1])


def test_damaged_exif_does_not_cost_the_picture():
    exif = b"Exif\0\0II*\0" + b"\xff" * 40
    data = encoded(Image.fromarray(quadrants()), "JPEG", exif=exif)
    assert read_image(data).shape == (40, 60, 3)


def test_16_bit_gray_is_scaled_not_clipped():
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (4, 1))
    for kind in ("PNG", "TIFF", "PPM"):
        read = read_image(encoded(Image.fromarray(ramp), kind))
        np.testing.assert_array_equal(read[0, :, 0], np.arange(256))
        np.testing.assert_array_equal(read[..., 0], read[..., 2])


def test_32_bit_pixels_are_refused():
    for dtype in (np.float32, np.int32):
        data = encoded(Image.fromarray(np.ones((4, 4), dtype)), "TIFF")
        with pytest.raises(UnreadableImageError, match="32-bit"):
            read_image(data)


def test_transparent_pixels_are_laid_on_white():
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, 0] = 200, 0, 0, 255
    rgba[0, 1] = 200, 0, 0, 0
    rgba[0, 2] = 0, 0, 0, 51
    read = read_image(encoded(Image.fromarray(rgba), "PNG"))
    np.testing.assert_array_equal(
        read[0], [[200, 0, 0], [255, 255, 255], [204, 204, 204]]
    )
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    data = encoded(palette, "PNG", transparency=bytes([255, 0]))
    np.testing.assert_array_equal(
        read_image(data)[0], [[10, 20, 30], [255, 255, 255]]
    )


def test_gray_and_two_level_pictures():
    gray = np.array([[0, 100], [200, 255]], np.uint8)
    read = read_image(encoded(Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(read, np.stack([gray] * 3, axis=-1))
    levels = read_image(encoded(Image.fromarray(gray).convert("1"), "PNG"))
    assert set(np.unique(levels)) == {0, 255}


def test_cmyk_jpeg():
    image = Image.fromarray(quadrants()).convert("CMYK")
    read = read_image(encoded(image, "JPEG", quality=95))
    assert abs(corners(read) - corners(quadrants())).max() < 20


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(data)[4, 4], [255, 0, 0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_truncated_file_is_refused(kind, kept, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(UnreadableImageError, match=r"cut\.img"):
        read_image(path)
    assert find_flaw(path)


def test_damaged_files_are_only_ever_refused():
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 256, (30, 20, 3), np.uint8)
    refused = 0
    for kind in images.FORMATS:
        whole = np.frombuffer(encoded(Image.fromarray(noise), kind), np.uint8)
        for _ in range(60):
            data = whole.copy()
            places = generator.integers(0, min(len(data), 400), 8)
            data[places] = generator.integers(0, 256, 8)
            try:
                assert read_image(data.tobytes()).shape[-1] == 3
            except UnreadableImageError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("no image"), "no whole image"),
        (lambda p: p.mkdir(), "no file"),
        (lambda p: p.symlink_to(p), "no such file"),
        (lambda p: None, "no such file"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(make, reason, tmp_path):
    path = tmp_path / "face 1.jpg"
    make(path)
    with pytest.raises(UserError, match=rf"face 1\.jpg.*{reason}"):
        read_image(path)
    assert reason in find_flaw(path)


def test_size_is_bounded_before_decoding(monkeypatch):
    for width, height in ((10_001, 10_000), (60_000, 60_000)):
        with pytest.raises(UnreadableImageError, match="100,000,000 pixels"):
            read_image(png_header(width, height))
    # Below the bound it is decoding that fails: the bound is no other error.
    with pytest.raises(UnreadableImageError, match="damaged"):
        read_image(png_header(10_000, 9_999))


def test_very_wide_picture_is_read_and_resized():
    stripe = np.zeros((100, 20_000, 3), np.uint8)
    stripe[:, ::2] = 255
    read = read_image(encoded(Image.fromarray(stripe), "PNG"))
    assert read.shape == (100, 20_000, 3)
    small = resize(read, (224, 224))
    assert small.shape == (224, 224, 3)
    # Averaged, not picked: black and white columns in turn become gray.
    assert abs(small.astype(int) - 127).max() <= 2


def test_resize_keeps_each_corner_in_its_place():
    for size in ((20, 20), (224, 200), (20, 224), (224, 20), (40, 60)):
        resized = resize(quadrants(), size)
        assert resized.shape == (*size, 3)
        assert abs(corners(resized) - corners(quadrants())).max() <= 2


def test_blank():
    black = np.zeros((20, 20, 3), np.uint8)
    assert is_blank(black)
    assert is_blank(black[..., 0])
    assert is_blank(black + np.array([9, 200, 30], np.uint8))
    assert is_blank(read_image(encoded(Image.fromarray(black), "JPEG")))
    face = black.copy()
    face[4, 4, 1] = 9
    assert not is_blank(face)
    assert not is_blank(face[..., 1])


def test_blank_is_told_from_faint(tmp_path):
    """What vanishes in the small decoding is looked at in full."""
    blank = np.full((512, 512, 3), 60, np.uint8)
    dot = blank.copy()
    dot[100, 100] = 120
    tints = blank.copy()
    tints[:256] = 94, 40, 62
    for name, picture in (("blank", blank), ("dot", dot), ("tints", tints)):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(encoded(Image.fromarray(picture), "JPEG", quality=98))
        expected = "it is blank" if name == "blank" else None
        assert find_flaw(path) == expected


def test_remarks_of_pillow_stay_inside_and_filters_come_back():
    palette = Image.new("P", (2, 2))
    palette.putpalette([10, 20, 30])
    remarked = encoded(palette, "PNG", transparency=bytes([7]))
    with pytest.warns(UserWarning, match="Transparency"):
        Image.open(io.BytesIO(remarked)).convert("RGB")
    before = list(warnings.filters)
    threads = [
        threading.Thread(
            target=lambda: [read_image(remarked) for _ in range(50)]
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(UnreadableImageError):
        read_image(b"x")
    # Pillow remarks on an image above its own bound, which is below ours.
    with warnings.catch_warnings(record=True) as remarks:
        with pytest.raises(UnreadableImageError, match="damaged"):
            read_image(png_header(10_000, 9_500))
        assert remarks == []
    assert warnings.filters == before


# === Kinds that phones leave behind ===


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".bin"])
def test_heic_is_read_where_its_package_is(suffix, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / f"a{suffix}"
    heif = pillow_heif.from_pillow(Image.fromarray(quadrants()))
    heif.save(path, quality=95)
    # Pillow's own kinds come when it meets one that it does not know yet.
    Image.init()
    before = set(Image.OPEN)
    read = read_image(path)
    assert read.shape == (40, 60, 3)
    assert abs(corners(read) - corners(quadrants())).max() < 20
    assert images.is_image(path) and find_flaw(path) is None
    # Nothing was registered for whoever else opens images here.
    assert set(Image.OPEN) == before
    data = path.read_bytes()
    for cut in (12, 40, len(data) // 2):
        with pytest.raises(UnreadableImageError):
            read_image(data[:cut])


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(UnreadableImageError, match="pip install pillow-heif"):
        read_image(path)
    # An image all the same: no video, and not another kind of file.
    assert images.is_image(path)
    assert not images.is_image(tmp_path)


@pytest.mark.parametrize(
    "suffix", [".avif", ".jp2", ".j2k", ".heic", ".heif", ".jpf"]
)
def test_their_suffixes_are_those_of_pictures(suffix):
    assert suffix in images.SUFFIXES


def test_jpeg_2000_of_16_bits_and_with_opacity():
    deep = np.full((40, 60), 40_000, np.uint16)
    read = read_image(encoded(Image.fromarray(deep), "JPEG2000"))
    assert abs(int(read.mean()) - 40_000 / 257) < 2
    see_through = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert read_image(encoded(see_through, "JPEG2000")).min() > 250


def test_which_files_have_several_frames(tmp_path):
    frames = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        several = io.BytesIO()
        frames[0].save(several, kind, save_all=True, append_images=frames[1:])
        file = tmp_path / f"file.{kind.lower()}"
        file.write_bytes(several.getvalue())
        assert images.read_first_image(file)[1]
        file.write_bytes(encoded(frames[0], kind))
        assert not images.read_first_image(file)[1]
    # A phone's JPEG with its preview is one image.
    phone = io.BytesIO()
    frames[0].save(phone, "MPO", save_all=True, append_images=frames[1:])
    file = tmp_path / "phone.jpg"
    file.write_bytes(phone.getvalue())
    pixels, has_several = images.read_first_image(file)
    assert pixels.shape == (9, 9, 3) and not has_several


def tiff(pixels, **tags):
    """A TIFF file with tags by number, such as `t281=4095`."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        directory[int(name[1:])] = value
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", tiffinfo=directory)
    return stream.getvalue()


def packed_tiff(pixels):
    """A gray TIFF file of 12 bits a pixel, two pixels in three bytes."""
    bits = "".join(f"{value:012b}" for value in pixels.ravel())
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    height, width = pixels.shape
    values = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 122}
    values |= {277: 1, 278: height, 279: len(data)}
    entries = [struct.pack("<HHII", t, 4, 1, v) for t, v in values.items()]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + b"".join(entries) + bytes(4) + data


RAMP = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff(RAMP * 16, t262=0), 255 - RAMP / 16.06),
        (tiff(RAMP, t281=4095), RAMP / 16.06),
        (tiff(RAMP, t281=4095, t262=0), 255 - RAMP / 16.06),
        (tiff(RAMP * 16, t281=0), RAMP / 16.06),
        (packed_tiff(RAMP), RAMP / 16.06),
    ],
    ids=["white is 0", "12 bits", "both", "no maximum", "packed"],
)
def test_tiff_of_16_bits_is_scaled_as_its_tags_require(content, expected):
    image = read_image(content)
    assert np.abs(image[..., 0] - expected).max() <= 1.1


def colour_file(suffix, values):
    return cv2.imencode(suffix, np.stack([values] * 3, -1))[1].tobytes()


def test_colours_of_12_bits_are_scaled_by_a_tag():
    with Image.open(io.BytesIO(colour_file(".tiff", RAMP))) as image:
        image.tag_v2[281] = (4095, 4095, 4095)
        scaled = as_image(image)
    assert np.abs(scaled[..., 0] - RAMP / 16.06).max() <= 16


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("times", [1, 16])
@pytest.mark.parametrize(
    ("suffix", "encode"),
    [
        (".tif", tiff),
        (".png", lambda values: cv2.imencode(".png", values)[1].tobytes()),
        (".pgm", lambda values: cv2.imencode(".pgm", values)[1].tobytes()),
        (".rgb.png", lambda values: colour_file(".png", values)),
        (".rgb.tif", lambda values: colour_file(".tiff", values)),
    ],
)
def test_a_small_part_of_16_bits_is_worth_a_warning(
    suffix, encode, times, tmp_path, capfd
):
    file = tmp_path / f"a{suffix}"
    file.write_bytes(encode(RAMP * times))
    read_image(file)
    read_image(file)
    assert capfd.readouterr().err.count(f"a{suffix}") == (times == 1)


def test_a_large_jpeg_is_decoded_small(tmp_path):
    file = tmp_path / "a.jpg"
    Image.new("RGB", (4000, 3001), "orange").save(file)
    image, times = read_reduced(file, 900)
    assert times == 4 and image.shape == (751, 1000, 3)
    image, times = read_reduced(file, 4000)
    assert times == 1 and image.shape == read_image(file).shape
