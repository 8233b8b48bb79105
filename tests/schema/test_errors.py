import pytest

from schema.errors import BundleError, FaultList, InputError, together


def fault(number, kind=InputError, fix="Write it again."):
    return kind(f"rule {number}", got=f"got {number}", where=f"place {number}", fix=fix)


def test_one_fault_stays_as_it_is():
    one = fault(1)
    assert together([one]) is one


def test_several_faults_are_one_line_with_each_fix_once():
    error = together([fault(1), fault(2), fault(3, fix="Copy it.")])
    assert str(error) == (
        "3 faults, (1) rule 1: got got 1 in place 1; (2) rule 2: got 2 in place 2; (3) rule 3: got 3 in place 3. "
        "Write it again. Copy it."
    )
    assert type(error) is InputError


def test_of_very_many_faults_five_are_told():
    text = str(together([fault(number) for number in range(1, 1001)]))
    assert text.startswith("1000 faults, (1) rule 1")
    assert "(5) rule 5: got 5 in place 5; and 995 more. " in text
    assert "rule 6" not in text


def test_five_faults_are_all_told():
    text = str(together([fault(number) for number in range(1, 6)]))
    assert "(5) rule 5" in text
    assert "more" not in text


def test_a_list_notes_faults_of_its_kind_and_lets_others_through():
    faults = FaultList(InputError)
    faults.check()
    for number in (1, 2):
        with faults:
            raise fault(number)
    with pytest.raises(BundleError), faults:
        raise fault(3, BundleError)
    with pytest.raises(InputError, match=r"2 faults, \(1\) rule 1"):
        faults.check()
