"""Turns of phrase that give an order to an agent away, in the languages that such orders come in most.

Each begins with a stem that is looked for first, since that costs next to nothing. They are chosen so that manuals,
cards and papers, which are full of "run", "you must" and "attention", hold none of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ml_intern.core.origins.flat import HIDDEN


@dataclass(frozen=True)
class Mark:
    """A turn of phrase.

    Attributes:
        source: All of it, as a regular expression.
        alone: It makes an order by itself; others do only beside a deed.
    """

    source: str
    alone: bool

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled where its stem has been found: few are in a session, and all take a while."""
        return re.compile(self.source)


_WHAT = r"(?:instruction|direction|directive|guideline|order|command|polic(?:y|ies)|rule|message|restriction)s?\b"
_CONTEXT = r"(?:prompts?(?! tokens?)|context|constraints)\b"
_PREVIOUS = r"(?:previous|prior|above|preceding|earlier|foregoing|your|all|any|every)\b"
_WHOSE = rf"(?:(?:of|the|these|those|my) )*(?:{_PREVIOUS}|(?:existing|original|initial|system|safety)\b)"
_ALL_ABOVE = (
    rf"(?:{_WHOSE}.{{0,30}}?\b{_WHAT}|(?:(?:all|any|your|the) )*{_PREVIOUS}.{{0,20}}?\b{_CONTEXT}"
    rf"|(?:the )?{_WHAT} (?:above|before|so far|from (?:the user|your)))"
)
_PERSON = r"(?:users?|humans?|persons?|owner|operator|anyone|anybody)\b"
_TELL = r"(?:tell|inform|mention|reveal|notify|alert|ask|warn|disclose|bother|consult)\b"
_KIND = r"(?:ai|llm|language[- ]model|coding|autonomous|automated)"
_MACHINE = (
    rf"(?:{_KIND} ?(?:agent|assistant|model|system|bot|crawler|tool)s?"
    r"|llms?|ai|chatbots?|copilot|claude|chatgpt|ml-intern)\b(?!-)"
)
_NO_PERSON = r"(?! (?:user|research|engineer|develop|enthusiast|practition|expert|compan|communit|student|lab|team))"
_READS = r"(?:reading|processing|parsing|visiting|summari[sz]ing|accessing|seeing|(?:that|who) (?:read|process)\w*)\b"
_BIDS = r"(?:please|you|now|your|do|run|execute|send|upload|delete|post|ignore|stop)\b"
_ASIDE = "".join(f"(?<!{word} the user )" for word in ("when", "if", "once", "unless", "what", "after"))
_USER_WANTS = (
    rf"{_ASIDE}(?:(?:already|explicitly|really|also) )*(?:wants? (?:this|you|it)"
    r"|(?:has |have )?(?:already )?(?:asked|told|instructed|authori[sz]ed|expects) you)\b"
)
_IGNORIERE = (
    r"(?:(?:bitte|por favor|alle|sämtliche|die|deine|bisherigen|vorherigen|vorigen|obigen|toutes|les|tes|vos|todas|las"
    r"|tus|sus|tutte|le|as|suas) )+(?:anweisung|instruktion|befehl|regel|vorgabe|instruction|consigne|directive|règle"
    r"|instruccion|orden|regla|indicacion|istruzion|indicazion|regol|instruç|regra)"
)
_SECRETS_TO = (
    r"[^.]{0,60}?(?:keys?|tokens?|passwords?|secrets?|credentials|\.env|\.ssh|environment variables|environment)\b"
    r".{0,40}? (?:to|at|via) (?:https?://|[\w.+-]+@)"
)
_TO_MACHINES = rf"(?:all |any |every |the )?{_MACHINE}{_NO_PERSON}"

_ALONE: tuple[tuple[str, str], ...] = (
    ("ignor", rf"(?:e|ing) {_ALL_ABOVE}"),
    ("disregard", rf"(?:ing)? {_ALL_ABOVE}"),
    ("forget ", rf"(?:about )?{_ALL_ABOVE}"),
    ("overrid", rf"(?:e|es|ing) (?:the )?{_PREVIOUS}.{{0,30}}?\b{_WHAT}"),
    ("follow", rf"(?:ing)? none of (?:the |your )?{_WHAT}"),
    ("do not ", rf"(?:ever |even )?{_TELL}.{{0,40}}?\b{_PERSON}|follow {_WHOSE}.{{0,30}}?\b{_WHAT}"),
    ("don’t ", rf"(?:ever |even )?{_TELL}.{{0,40}}?\b{_PERSON}|follow {_WHOSE}.{{0,30}}?\b{_WHAT}"),
    ("never ", rf"{_TELL}.{{0,40}}?\b{_PERSON}"),
    ("must not ", rf"{_TELL}.{{0,40}}?\b{_PERSON}"),
    ("without ", rf"(?:ask|tell|inform|notify|consult|alert|mention)ing .{{0,30}}?\b{_PERSON}"),
    ("the user ", _USER_WANTS),
    ("if you are a", rf"n? (?:\w+ )?(?:{_MACHINE}|(?:agent|assistant|bot)\b){_NO_PERSON}"),
    ("note ", rf"(?:to|for) {_TO_MACHINES}"),
    ("notice ", rf"(?:to|for) {_TO_MACHINES}"),
    ("instruction", rf"s? (?:to|for) {_TO_MACHINES}.{{0,30}}?[:!]"),
    ("important for ", _TO_MACHINES),
    ("dear ", _TO_MACHINES),
    ("attention", rf"[,:!]? (?:all |any )?{_KIND} (?:agent|assistant|bot)s?\b"),
    ("send ", _SECRETS_TO),
    ("post ", _SECRETS_TO),
    ("upload ", _SECRETS_TO),
    ("forward ", _SECRETS_TO),
    ("email ", _SECRETS_TO),
    (HIDDEN, ""),
    # German, French, Spanish, Italian, Portuguese, Dutch, Polish
    ("ignor", rf"(?:iere|ieren sie|e|ez|er|a|ad) {_IGNORIERE}"),
    ("verg", r"(?:iss|essen sie) (?:bitte )?(?:alle|deine|die)\b.{0,20}?(?:anweisung|instruktion|befehl|regel)"),
    ("oubli", r"e[zr]? (?:toutes |les |tes |vos )+.{0,20}?(?:instruction|consigne|règle)"),
    ("olvid", r"[ae] (?:todas |las |tus )+.{0,20}?(?:instruccion|regla|orden)"),
    ("dimentica", r"(?:re)? (?:tutte |le )+.{0,20}?(?:istruzion|regol)"),
    ("negeer ", r"(?:alle )?(?:vorige |eerdere |bovenstaande )?(?:instructies|opdrachten|regels)"),
    ("zignoruj ", r"(?:wszystkie )?.{0,20}?(?:instrukcj|polece)"),
    ("utilisateur", r" (?:ne doit (?:pas|rien)|a déjà (?:accepté|approuvé)|n’a pas à)"),
    ("le dis pas", r".{0,10}utilisateur"),
    ("usuario", r" (?:no debe|ya ha (?:aceptado|aprobado))"),
    ("digas nada", r" al? .{0,4}usuari"),
    # Russian, Chinese, Japanese, Korean, Arabic, Turkish
    ("игнорируй", r"\w* .{0,30}?(?:инструкц|указан|команд|правил)"),
    ("забудь", r"\w* .{0,30}?(?:инструкц|указан|команд|правил)"),
    ("не ", r"(?:говори|сообщай|рассказывай|показывай|спрашивай)\w* .{0,20}?пользовател"),
    ("忽略", r".{0,10}(?:指令|指示|命令|提示词|規則|规则)"),
    ("无视", r".{0,10}(?:指令|指示|命令|提示词|规则)"),
    ("不要", r"(?:告诉|告訴|告知|询问|通知).{0,4}(?:用户|使用者|用戶|任何人)"),
    ("指示", r".{0,8}(?:無視|忘れ)"),
    ("命令", r".{0,8}(?:無視|忘れ)"),
    ("ユーザー", r".{0,8}(?:言わない|言わず|知らせない|知らせず|伝えない|教えない|聞かない|聞かず)"),
    ("지시", r"\w{0,3} .{0,6}무시"),
    ("명령", r"\w{0,3} .{0,6}무시"),
    ("사용자에게 ", r".{0,8}(?:말하지|알리지|묻지)"),
    ("تجاهل ", r".{0,12}(?:التعليمات|الأوامر)"),
    ("talimatlar", r"\w* .{0,12}(?:yok say|unut|görmezden gel|dikkate alma)"),
)
"""A stem, and what must follow it."""

_BESIDE_A_DEED: tuple[tuple[str, str], ...] = (
    ("without ", r"(?:asking|any question|hesitat)"),
    (
        "the user ",
        r"(?:has |have )?(?:(?:already|explicitly|previously) )*(?:approved|agreed|consented|authori[sz]ed)\b",
    ),
    ("ai ", rf"(?:(?:agent|assistant|model)s? )?(?:.{{0,30}}?{_READS}|(?:must|have to|are required)\b)"),
    ("llm", rf"s? (?:.{{0,30}}?{_READS}|(?:must|have to|are required)\b)"),
    ("language model", rf"s? .{{0,30}}?{_READS}"),
    ("assistant", rf"(?:s? {_READS}|[,:!] {_BIDS})"),
    ("agent", rf"(?:s? {_READS}|[,:!] {_BIDS})"),
    ("coding agents ", r"(?:must|have to|are required)\b"),
    ("claude", rf"[,:!] {_BIDS}"),
    ("chatgpt", rf"[,:!] {_BIDS}"),
    ("copilot", rf"[,:!] {_BIDS}"),
    ("ml-intern", rf"[,:!] {_BIDS}"),
    ("system ", r"(?:notice|alert|override|instruction|directive)"),
    ("<system>", ""),
    ("<important>", ""),
    ("[system]", ""),
    ("secretly ", ""),
    ("before ", r"(?:(?:you do |doing )?anything else|using this tool)"),
    ("new instructions:", ""),
    ("your ", r"(?:new|real|only) (?:task|instruction|goal|objective|job) is"),
    ("ohne ", r"(?:zu fragen|nachfrage|rückfrage|(?:den|die) (?:nutzer|benutzer|anwender|person)\w* zu)"),
    ("nutzer", r"\w* (?:davon )?(?:nichts|nicht|kein wort)"),
    ("sans ", r"(?:demander|prévenir|avertir)"),
    ("sin ", r"(?:preguntar|avisar|pedir permiso)"),
    ("senza ", r"(?:chiedere|avvisare)"),
    ("sem ", r"(?:perguntar|avisar)"),
)


def _by_stem() -> dict[str, tuple[Mark, ...]]:
    marks: dict[str, tuple[Mark, ...]] = {}
    for table, alone in ((_ALONE, True), (_BESIDE_A_DEED, False)):
        for stem, rest in table:
            mark = Mark(f"{re.escape(stem)}(?:{rest})", alone)
            marks[stem] = (*marks.get(stem, ()), mark)
    return marks


MARKS = _by_stem()
"""The marks by the stem that they begin with."""

DEEDS = re.compile(
    r"\b(?:run|execute|eval|send|post|upload|push|publish|forward|e-?mail|transmit|exfiltrate|leak|delete|remove|erase"
    r"|wipe|overwrite|drop|install|download|curl|wget|approve|accept|confirm|disable|grant|reveal|print|paste|append"
    r"|call|create|read|pass|führe|lösch\w*|sende|schicke|lade|exécute\w*|supprime\w*|envoie\w*|ejecuta\w*|elimin\w*"
    r"|borra\w*|env[ií]a\w*|esegui|cancella|invia|apague|envie|удали\w*|отправ\w*|выполни\w*|запусти\w*)\b"
    r"|运行|執行|执行|删除|刪除|发送|發送|上传|上傳|実行|削除|送信|실행|삭제|전송"
)
"""What an order wants done."""

URGES = re.compile(
    r"\b(?:run|execute|send|post (?:the|this|it|your|all)|upload|push|forward|e-?mail|exfiltrate|delete|erase|wipe"
    r"|install|curl|wget|approve|grant|ignore|you must)\b"
)
"""What nobody writes who hides a remark for the next author of a page."""

ADVISES = re.compile(
    r"\b(?:run|execute|eval|send|post|upload|push|publish|forward|e-?mail|transmit|delete|remove|erase|wipe|overwrite|drop"
    r"|install|download|curl|wget|paste|append|add|copy|write|share|submit|clone|please|make sure|be sure"
    r"|you (?:must|should|need to|have to)|führe|lösch\w*|sende|schicke|lade|bitte|exécute\w*|supprime\w*|envoie\w*"
    r"|ejecuta\w*|elimina\w*|borra\w*|env[ií]a\w*|esegui|cancella|invia|удали\w*|отправ\w*|выполни\w*)\b"
    r"|运行|执行|删除|发送|上传|実行|削除|送信|실행|삭제|전송"
)
"""What tells a reader to do something, in a manual as well."""

HIDING: dict[str, tuple[re.Pattern[str], str]] = {
    "<!--": (re.compile("<!--"), "-->"),
    "[//]: #": (re.compile(re.escape("[//]: #")), ")"),
    "hidden>": (re.compile("hidden>"), "</"),
    "style=": (
        re.compile(
            r"style=[^>]{0,200}?(?:display: ?none|visibility: ?hidden|opacity: ?0|font-size: ?[01](?:px|pt|em)?\b"
            r"|color: ?(?:white|transparent|#fff))[^>]{0,200}>"
        ),
        "</",
    ),
}
"""What begins text that a page does not show, by the stem that is looked for first, and what ends it."""
