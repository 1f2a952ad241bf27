"""Names of classes, models and files, in any script and from any machine."""

import contextlib
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from .errors import UserError

_IN_ASCII = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
_MODEL_BYTES = 120  # file systems allow 255

# Encodings in which Windows writes names, undeclared. charset-normalizer and chardet fail on names this short.
_CODE_PAGES = {
    "utf-8": "Unicode", "cp932": "Japanese", "gb18030": "Chinese", "cp949": "Korean", "big5": "traditional Chinese",
    "cp1251": "Cyrillic", "cp866": "Cyrillic, DOS", "cp1253": "Greek", "cp737": "Greek, DOS", "cp874": "Thai",
    "cp1255": "Hebrew", "cp862": "Hebrew, DOS", "cp1256": "Arabic", "cp1252": "Western European",
    "cp850": "Western European, DOS", "cp437": "DOS", "cp1250": "Central European", "cp852": "Central European, DOS",
    "cp1254": "Turkish", "cp857": "Turkish, DOS",
}  # fmt: skip
# Common characters of names. The same bytes can be valid in two scripts: the common characters decide.
_CHINESE = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没"
    "动面起看定天分还进好小部其些主样理心本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战"
    "向头文体政美相见被利什二等产或新己制身加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题"
    "活更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放"
    "强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运红黄蓝绿黑紫橙粉灰棕花草树木叶果苗菜"
    "瓜豆米麦猫狗鸟鱼虫蛇龟兔鼠牛羊猪鸡鸭鹅虎狮熊猴狼狐鹿豹鲸鲨蜂蝶蚁蛙鹰燕雀鸽鹤苹梨桃李杏橘蕉葡萄莓柠檬芒玫瑰郁菊兰荷莲梅竹松柏杨柳樱桂茶酒肉蛋奶"
    "饭汤饼糖盐照片图训练测验试集样车船飞鞋衣服帽包杯碗瓶桌椅床灯窗足脸耳鼻发男幼健康病常异良恶肺脑肝胃骨皮肤坏缺陷裂纹划痕香园"
)
_KOREAN = frozenset(
    "이가고나다의는에을를은로으사아자지기리하한해시대도인어서정상장원주부구수전동소오보무미모조우치라마바카타파거그너더두드들디래러레려류르른린만말매머먼면명"
    "목문물민박반발방배백버번벌범법변별병복본봉북분불비빛빨산살삼새색생석선설성세속손솔송술숲스습식신실심십쌀악안알암앙애야약양언얼엄업여역연열염영예옥온올와"
    "완왕외요용운울월위유육윤음일임입작잔잡재저적절점제족존종좌죽준중즈즐직진질집차착참창채책처천철청체초촉총최추축출충취친칠코콩크탁탄탈태택터토통트특판팔패"
    "편평포표품풍프피필학합항행향허험혁현형호홍화환활황회효후훈휘흑희흰힘개강각간갈감갑값갓걀게격견결겸경계곡곤골공과곽관광괴교국군굴궁권귀귤균극근글금급긴길"
    "김까꽃꿀꿩끼낙난날남낭내냉넓노녹논놀농누눈늑능니단달닭담답당덕데독돌돼둔득등딸땅또람랑량련령례록론롱료룡루률"
)


def class_name(text: str) -> str:
    """Return a folder's or table's text as a class name: printable, composed (NFC), without surplus blanks."""
    readable = unicodedata.normalize("NFC", printable(text).translate(_INVISIBLE))
    return " ".join(readable.split())


def same(text: str) -> str:
    """Return the key under which spellings of a class name are equal: `Cat`, `cat ` and `CAT` share one."""
    return unicodedata.normalize("NFKC", class_name(text)).casefold()


def printable(text: object) -> str:
    """Return `text` ready for print, JSON and images: `decoded` reads bytes that are not UTF-8; control characters and
    line separators become blanks."""
    text = str(text)
    with contextlib.suppress(UnicodeEncodeError):  # lone surrogates that do not stand for a byte
        data = text.encode("utf-8", "surrogateescape")
        text = data.decode() if data.isascii() or text.isprintable() else decoded([data])[0][0]
    return "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)


_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"))


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return names for use in a sentence: the first `most`, and how many more there are."""
    names = [printable(name) for name in names]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 photo", "2,000 photos"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def model_name(text: str) -> str:
    """Turn `text` into a folder name of lower-case letters of any script, digits and single hyphens.

    Latin letters lose their accents. A name that is too long ends in a digest, so that different names stay different.
    """
    return _hyphenated(text) or "photos"


def label_name(text: str) -> str:
    """Turn `text` into the label of a model's version; empty if nothing is left that could be one."""
    name = _hyphenated(text)
    return name if is_label(name) else ""


def is_label(text: str) -> bool:
    """Whether `text` can be the label of a version: as a model's name, with a letter, which the time of one lacks."""
    return _can_be_a_models(text) and any(unicodedata.category(letter)[0] == "L" for letter in text)


def _hyphenated(text: str) -> str:
    name = class_name(text).lower()
    plain = "".join(map(_without_accent, name.translate(_IN_ASCII)))
    kept = "-".join("".join(letter if _fits_a_model(letter) else " " for letter in plain).split())
    if len(kept.encode()) <= _MODEL_BYTES:
        return kept
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{kept.encode()[: _MODEL_BYTES - 7].decode(errors='ignore')}-{digest}"


def _without_accent(letter: str) -> str:
    base = unicodedata.normalize("NFKD", letter)
    return "".join(part for part in base if not unicodedata.combining(part)) if base[:1].isascii() else letter


def _fits_a_model(letter: str) -> bool:
    """Tell whether a model's name may contain it: letters, digits, and the combining marks that some scripts need."""
    return unicodedata.category(letter)[0] in "LMN" and letter == letter.lower()


def _can_be_a_models(text: str) -> bool:
    return all(letter == "-" or _fits_a_model(letter) for letter in text) and len(text.encode()) <= _MODEL_BYTES


def require_model_name(text: str, or_none: bool = False) -> None:
    """Raise UserError for a name that a model cannot have; with `or_none`, an empty name is allowed."""
    if not (_can_be_a_models(text) if text else or_none):
        raise UserError(
            "model-name",
            f'A model cannot be called "{printable(text)}": use lower-case letters, digits and hyphens, such as '
            f"{model_name(text)}.",
        )


def decoded(names: Sequence[bytes]) -> tuple[list[str], str]:
    """Decode names of undeclared encoding with the most plausible one; return them and that encoding in words."""
    best = max(_CODE_PAGES, key=lambda code_page: _sense(names, code_page))
    return [name.decode(best, "replace") for name in names], _CODE_PAGES[best]


def _sense(names: Iterable[bytes], code_page: str) -> float:
    """Return how plausible the non-ASCII letters are in `code_page`, from -1 to 1 on average."""
    try:
        texts = [name.decode(code_page) for name in names]
    except UnicodeDecodeError:
        return -2
    if code_page == "utf-8":
        return 2
    runs = [run for text in texts for run in re.findall(r"[^\x00-\x40\x5b-\x60\x7b-\x7f]+", text) if not run.isascii()]
    found = {letter: _usual(letter, code_page) for run in runs for letter in run if not letter.isascii()}
    sense = sum(found.values()) / max(1, len(found))
    mixed = code_page not in _LATIN and any(letter.isascii() for run in runs for letter in run)
    if mixed and not all("\u3040" <= letter <= "\u30ff" for letter in found):
        return 0.3 * sense  # names do not mix scripts, except with kana
    return sense if all(run in (run.lower(), run.upper(), run.capitalize()) for run in runs) else sense - 0.5


def _usual(letter: str, code_page: str) -> float:
    if code_page in _LATIN:
        letters, sense = _LATIN[code_page]
        return sense if letter in letters else -1
    if code_page in _SCRIPTS:
        usual, some = _SCRIPTS[code_page]
        return 1 if letter in usual else 0.4 if re.fullmatch(some, letter) else -1
    if code_page == "cp932" and "\u3040" <= letter <= "\u30ff":
        return 1
    if code_page == "cp932" and "\uff61" <= letter <= "\uff9f":
        return 0.45
    if letter in {"gb18030": _CHINESE, "cp949": _KOREAN}.get(code_page, ()):
        return 1
    return 0.5 if _is_of_the_first_level(letter, code_page) else -0.5


_WESTERN = frozenset("äöüßÄÖÜàáâãåæçèéêëìíîïñòóôõøùúûýÿœÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛÝŒšžŠŽ’–°")
_CENTRAL = frozenset("ąćčďęěłńňóőřśšťůűźżžĄĆČĎĘĚŁŃŇÓŐŘŚŠŤŮŰŹŻŽáâäçéëíîôöúüýßÁÂÄÇÉËÍÎÔÖÚÜÝ")
_TURKISH = frozenset("çğıöşüâîûÇĞİÖŞÜ")
_LATIN = {
    "cp1252": (_WESTERN, 0.46), "cp850": (_WESTERN, 0.45), "cp437": (_WESTERN, 0.44), "cp1250": (_CENTRAL, 0.43),
    "cp852": (_CENTRAL, 0.42), "cp1254": (_TURKISH, 0.41), "cp857": (_TURKISH, 0.4),
}  # fmt: skip
_CYRILLIC = ("оеаинтсрвлкмдпуягзбычйхжшюьі", "[а-яА-ЯёЁєЄіІїЇґҐ]")
_GREEK = ("αοιετνσηρκπλυμςάίόέήύώ", "[\u0386-\u03ce]")
_THAI = ("ากนรอเมลวหยสตง่้ีแ", "[\u0e01-\u0e4e]")
_HEBREW = ("יוהלאמרתבשנחכעדקפ", "[\u05d0-\u05ea]")
_ARABIC = ("اليمنرتبوهقدعفسكةطح", "[\u0621-\u064a]")
_SCRIPTS = {
    "cp1251": _CYRILLIC, "cp866": _CYRILLIC, "cp1253": _GREEK, "cp737": _GREEK,
    "cp874": _THAI, "cp1255": _HEBREW, "cp862": _HEBREW, "cp1256": _ARABIC,
}  # fmt: skip
_FIRST_LEVELS = {  # lead bytes of the standards' most common characters (level 1)
    "cp932": ("euc_jp", 0xB0, 0xCF),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "cp949": ("euc_kr", 0xB0, 0xC8),
    "big5": ("big5", 0xA4, 0xC6),
}


def _is_of_the_first_level(letter: str, code_page: str) -> bool:
    encoding, first, last = _FIRST_LEVELS[code_page]
    try:
        signs = letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return len(signs) == 2 and first <= signs[0] <= last
