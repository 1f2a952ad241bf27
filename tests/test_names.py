"""Names from other alphabets, other machines, and people who type."""

import pytest
from catdog.names import class_name, decoded, model_name, printable, require_model_name, same
from conftest import refused
from hypothesis import given
from hypothesis import strategies as st

# As Windows writes names in zips, where nothing says in what.
UNDECLARED = {
    "cp866": ["кошка собака", "роза тюльпан"],
    "cp1251": ["кошка собака", "роза тюльпан"],
    "cp1253": ["γάτα σκύλος"],
    "cp737": ["γάτα σκύλος"],
    "cp874": ["แมว หมา"],
    "cp1255": ["חתול כלב"],
    "cp862": ["חתול כלב"],
    "cp1256": ["قطة كلب"],
    "cp1250": ["kočka źrebię łoś"],
    "cp852": ["kočka źrebię łoś"],
    "cp1254": ["köpek kuş"],
    "cp857": ["kuş ağaç ışık"],
    "cp932": ["猫 犬", "Tシャツ", "ねこ いぬ", "りんご 写真", "花 鳥", "柴犬 三毛猫"],
    "gb18030": ["猫 狗", "苹果 玫瑰", "鸟 花", "郁金香 向日葵", "训练 测试"],
    "cp949": ["고양이 개", "사과 강아지", "새 꽃", "장미 튤립", "훈련 시험"],
    "big5": ["貓 狗", "蘋果 玫瑰"],
    "cp1252": ["Käse Kühe", "Café Thé", "niño pâté", "Straße"],
    "cp437": ["Käse Kühe", "Café"],
    "cp850": ["ção não"],
    "utf-8": ["猫 é", "Café"],
}


@pytest.mark.parametrize(("code_page", "words"), [(page, one) for page, all_ in UNDECLARED.items() for one in all_])
def test_names_in_a_code_page_that_nobody_declared_are_read(code_page, words):
    assert decoded([word.encode(code_page) for word in words.split()])[0] == words.split()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Photos (2)", "my-photos-2"), ("Käse", "kase"), ("Straße", "strasse"), ("Crème brûlée", "creme-brulee"),
        ("A_b", "a-b"), ("...", "photos"), ("", "photos"), ("Фото й", "фото-й"), ("猫狗 2", "猫狗-2"),
        ("हिन्दी", "हिन्दी"), ("Ｃａｔｓ", "cats"), ("Cafe\u0301", "cafe"),
    ],
)  # fmt: skip
def test_what_a_model_is_called(text, name):
    assert model_name(text) == name


def test_names_of_other_alphabets_stay_apart():
    names = [
        model_name(text) for text in ("фото", "猫狗", "写真 2", "写真 3", "photos", 300 * "a", 299 * "a", 99 * "猫")
    ]
    assert len(set(names)) == len(names)
    for name in names:
        require_model_name(name)


@pytest.mark.parametrize("name", ["Meine Tiere!", "../../x", "a b", "Ä", " ", "Фото", 121 * "a", "\ud800"])
def test_what_a_model_cannot_be_called_is_told_with_what_it_can(name):
    with refused("model-name", model_name(name)):
        require_model_name(name)
    with refused("model-name"):
        require_model_name("")
    require_model_name("", or_none=True)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_name_can_be_shown_written_and_be_a_models(text):
    for shown in (printable(text), class_name(text)):
        shown.encode()
        assert not any(ord(letter) < 32 for letter in shown)
    assert same(class_name(text)) == same(text)
    require_model_name(model_name(text))


def test_bytes_that_are_no_text_are_read_as_well_as_can_be():
    assert printable("caf\udce9") == "café"
