"""Common English words, our own selection; data only."""

from __future__ import annotations

__all__ = ["WORDS"]

_TEXT = """
a about above across act after again against age ago agree air all almost alone along already also
always among amount and animal another answer any apple area arm around arrive art as ask at
autumn away baby back bad bag ball bank base basket be beach bear beautiful because become bed
before begin behind believe below beside best better between beyond big bird black blue board boat
body book born both bottle bottom box boy branch bread break bridge bright bring broad brother
brown build busy but buy by cake call calm camp can capital captain car card care carry case
castle catch cause centre century certain chair chance change charge cheap check child choose
church circle city class clean clear climb clock close cloth cloud coast coat coffee cold colour
come common company complete cook cool copper copy corn corner cost cotton could count country
course cover cross crowd cry cup cut daily dance danger dark daughter day deal dear decide deep
degree desert design desk detail did differ dinner direct distance district do doctor dog door
double doubt down draw dream dress drink drive drop dry during dust duty each ear early earth east
easy eat edge education effect egg eight either electric else empty end engine enjoy enough enter
equal even evening event ever every exact example except expect explain eye face fact fall family
famous far farm fast father favour feather feel few field fight figure fill find fine finger
finish fire first fish five flat floor flow flower fly follow food foot for force foreign forest
forget form forward four free fresh friend from front fruit full future game garden gate gather
general gentle get girl give glad glass go gold good government grain grand grass gray great green
ground group grow guard guess guide hair half hall hand happen happy harbour hard harvest hat have
he head hear heart heat heavy height help her here high hill him his history hold hole home honest
hope horse hospital hot hour house how hundred hurry ice idea if important in inch income increase
industry inside instead interest into iron island it its jacket join journey judge juice jump just
keep kettle key kind king kitchen knee knife knock know ladder lady lake lamp land language large
last late laugh law lay lead leaf learn leather leave left leg less lesson let letter level
library lie life lift light like limit line lion list listen little live local long look lose loud
love low lucky machine main make man many map march mark market matter may meadow mean measure
meat meet member memory metal middle might mile milk mill mind minute mirror miss model modern
moment money month moon more morning most mother motion mountain mouth move much music must my
name narrow nation nature near neck need neighbour never new news next nice night nine no noise
none noon north nose not note nothing notice now number nurse object ocean of off offer office
often oil old on once one only open opinion orange order other our out outside over own page paint
pair paper parcel parent park part party pass past path pay peace pencil people perhaps period
person picture piece pipe place plain plan plane plant plate play please pleasure pocket poem
point polite poor port possible post potato pound power prepare present press price print private
prize problem process produce promise proof proud public pull pupil purple push put quality
quarter queen question quick quiet quite race rail rain raise rather reach read ready real reason
record red regular remember repeat reply report rest result return rich ride right ring rise river
road rock roof room root rope rough round row rule run safe sail salt same sand save say scale
school science sea search season seat second secret see seed seem sell send sentence separate
serve set seven several shade shall shape share sharp she sheep shelf shine ship shirt shoe shop
short should shoulder show side sign signal silver similar simple since sing sister sit six size
skill skin sky sleep slow small smell smile smoke snow so soap soft soil soldier some son song
soon sort sound soup south space speak special speed spell spend spoon spring square stage stand
star start state station stay steam steel step still stone stop store storm story strange street
strong student study such sudden sugar summer sun supply support sure surface sweet swim system
table tail take talk tall taste tea teach team tell temple ten test than thank that the their them
then there these they thick thin thing think third this those though thread three through ticket
time tiny to today together tomorrow tool top total touch tower town track trade train travel tree
trip trouble true trust try turn twelve twenty two type under union unit until up upon use usual
valley value various vegetable very view village visit voice wait walk wall want war warm wash
watch water wave way we weather week weight welcome well west wet what wheat wheel when where
whether which while white who whole why wide wild will win wind window winter wire wise wish with
within without woman wonder wood word work world would wrong yard year yellow yes yesterday yet
you young your
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
