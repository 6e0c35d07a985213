"""State dicts of PyTorch in a file: written, read, and what is refused."""

import io
from typing import Any

import pytest

from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.study.torch_states import States, check, dump, load, no_weights

torch = pytest.importorskip("torch")


def test_state_dicts_are_read_back_unchanged() -> None:
    file = io.BytesIO()
    dump(States({"model": {"weights": torch.arange(3), 7: 0.5}}, {"python": 4}), file)
    size = file.tell()
    file.seek(0)
    states = load(file, size)
    assert list(states) == ["model"]
    assert states["model"]["weights"].tolist() == [0, 1, 2]
    assert states["model"][7] == 0.5
    assert states.random == {"python": 4}


def test_writing_a_state_dict_raises_the_first_disk_error() -> None:
    class Full:
        writes = 0

        def write(self, data: bytes) -> int:
            self.writes += 1
            raise OSError(28, f"No space left at write {self.writes}")

    with pytest.raises(OSError, match=r"No space left at write 1$"):
        dump(States({"model": {"weights": torch.ones(3)}}, None), Full())


def test_a_pytorch_file_without_named_state_dicts_is_refused() -> None:
    file = io.BytesIO()
    torch.save({"weights": torch.ones(3)}, file)
    size = file.tell()
    file.seek(0)
    with pytest.raises(StudyError, match="has no named state dicts"):
        load(file, size)


def test_an_error_of_pytorch_names_the_forbidden_class() -> None:
    assert no_weights(ValueError("see GLOBAL os.system was not allowed")) == (
        "it contains os.system"
    )
    assert no_weights(ValueError("a broken\nfile")) == "ValueError: a broken file"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"a": [1, {"b": object}]}, "at model['a'][1]['b'], a builtins.type; "),
        ({"a": {(1, 2): 3}}, "contains (1, 2) at model['a'][(1, 2)], a builtins.tuple; "),
        ([b""], "contains b'' at model[0], a builtins.bytes; "),
    ],
)
def test_a_state_dict_with_an_unsupported_value_or_key_is_refused(state: Any, says: str) -> None:
    with pytest.raises(ObjectiveError) as refusal:
        check(state, "model")
    assert says in str(refusal.value)


def test_a_state_dict_may_nest_tensors_and_plain_values_in_containers() -> None:
    check({"a": [torch.ones(2), None, (1, b"x")], 3: {"b": {2.0}}}, "model")
