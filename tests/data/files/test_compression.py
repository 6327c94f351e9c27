import tracemalloc
from pathlib import Path

import pytest

from hf_seq2seq.data.files.compression import compressed
from hf_seq2seq.data.files.readers import iterate_rows
from hf_seq2seq.data.files.text_files import opened
from hf_seq2seq.errors import InputError

TEXT = "".join(f"Zeile {number}\n" for number in range(3000))
ENDINGS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read(write, ending):
    with opened(Path(path := write(f"a.txt{ending}", TEXT))) as file:
        assert (file.text("utf-8"), file.compressed) == (TEXT, True)
    assert Path(path).stat().st_size < len(TEXT) / 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_in_several_parts_are_read_to_the_end(write, ending):
    part = Path(write(f"a.txt{ending}", TEXT)).read_bytes()
    (whole := Path(write(f"b{ending}", ""))).write_bytes(part + part)
    assert len(list(iterate_rows(whole))) == 6000


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:12] + b"x" * 9 + data[21:], lambda _: b"plain\n"]
)
@pytest.mark.parametrize("ending", [".xz", ".zst"])
def test_damage_is_told(write, ending, damage):
    path = Path(write(f"a.txt{ending}", TEXT))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=rf"a\.txt{ending}: damaged {ENDINGS[ending]} file: "):
        list(iterate_rows(path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_large_file_in_a_small_one_is_read_in_pieces(tmp_path, ending):
    path = tmp_path / f"bomb.txt{ending}"
    with path.open("wb") as stream, compressed(stream, path) as packed:
        for _ in range(500):
            packed.write(b"a line of text\n" * 7000)  # 50 MB in all
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    rows = iterate_rows(path)
    assert [next(rows) for _ in range(1000)][-1] == {"text": "a line of text"}
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_window_that_needs_gigabytes_is_refused(tmp_path):
    # A frame whose header asks for a window of 2 GiB (RFC 8878, section 3.1.1.1.2: exponent 21, mantissa 0).
    (path := tmp_path / "a.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00")
    with pytest.raises(InputError, match=r"a\.txt\.zst: damaged zstd file: .*[Mm]emory"):
        list(iterate_rows(path))


def test_a_pipe_is_known_by_its_start(write, pipe):
    data = Path(write("a.zst", TEXT)).read_bytes()
    assert len(list(iterate_rows(pipe("p", data)))) == 3000
