"""The languages texts are translated into: codes as people write them, names, codes of mBART-50.

Source: training specification, section 10.3 (the card of mBART-50 lists 52 codes).
"""

from __future__ import annotations

from dataclasses import dataclass

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError

__all__ = ["Tongue", "tongue"]

_KNOWN = """af Afrikaans af_ZA|ar Arabic ar_AR|az Azerbaijani az_AZ|bn Bengali bn_IN|cs Czech cs_CZ|
de German de_DE|en English en_XX|es Spanish es_XX|et Estonian et_EE|fa Persian fa_IR|
fi Finnish fi_FI|fr French fr_XX|gl Galician gl_ES|gu Gujarati gu_IN|he Hebrew he_IL|
hi Hindi hi_IN|hr Croatian hr_HR|id Indonesian id_ID|it Italian it_IT|ja Japanese ja_XX|
ka Georgian ka_GE|kk Kazakh kk_KZ|km Khmer km_KH|ko Korean ko_KR|lt Lithuanian lt_LT|
lv Latvian lv_LV|mk Macedonian mk_MK|ml Malayalam ml_IN|mn Mongolian mn_MN|mr Marathi mr_IN|
my Burmese my_MM|ne Nepali ne_NP|nl Dutch nl_XX|pl Polish pl_PL|ps Pashto ps_AF|
pt Portuguese pt_XX|ro Romanian ro_RO|ru Russian ru_RU|si Sinhala si_LK|sl Slovene sl_SI|
sv Swedish sv_SE|sw Swahili sw_KE|ta Tamil ta_IN|te Telugu te_IN|th Thai th_TH|tl Tagalog tl_XX|
tr Turkish tr_TR|uk Ukrainian uk_UA|ur Urdu ur_PK|vi Vietnamese vi_VN|xh Xhosa xh_ZA|
zh Chinese zh_CN"""


@dataclass(frozen=True)
class Tongue:
    """A language.

    Attributes:
        code: Two letters.
        name: In English.
        mbart: Its token in mBART-50.
    """

    code: str
    name: str
    mbart: str


_TONGUES = {
    entry.split()[0]: Tongue(*entry.split()) for entry in _KNOWN.replace("\n", "").split("|")
}


def tongue(word: str) -> Tongue:
    """A language by its code ("de", "de-AT", "de_DE") or its English name.

    Raises:
        ConfigError: There is none.
    """
    wanted = word.strip().lower()
    found = _TONGUES.get(wanted.replace("_", "-").split("-")[0])
    if found is None:
        found = next((t for t in _TONGUES.values() if t.name.lower() == wanted), None)
    if found is None:
        known = [*_TONGUES, *(t.name.lower() for t in _TONGUES.values())]
        raise ConfigError(
            f"language {word!r}: is not known{nearest(wanted, known)}; expected one of "
            f"{', '.join(_TONGUES)}"
        )
    return found
