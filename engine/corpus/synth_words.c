#include "engine/corpus/synth_grammar.h"

/* Entries are parted by '|', the forms of an entry by spaces: nouns singular and plural, verbs
 * base, third person, past and -ing. Earlier entries come up more often. */
static const char BEASTS[] =
    "wolf wolves|fox foxes|bear bears|otter otters|hare hares|owl owls|crow crows|"
    "goose geese|duck ducks|swan swans|heron herons|eagle eagles|falcon falcons|"
    "sparrow sparrows|robin robins|frog frogs|toad toads|newt newts|snail snails|"
    "beetle beetles|spider spiders|moth moths|ant ants|wasp wasps|badger badgers|"
    "beaver beavers|squirrel squirrels|mouse mice|rat rats|bat bats|deer deer|"
    "moose moose|elk elks|goat goats|sheep sheep|pony ponies|horse horses|donkey donkeys|"
    "mule mules|ox oxen|hen hens|rooster roosters|turkey turkeys|cat cats|hound hounds|"
    "puppy puppies|kitten kittens|lizard lizards|snake snakes|turtle turtles|"
    "salmon salmon|trout trout|eel eels|crab crabs|seal seals|whale whales|"
    "dolphin dolphins|gull gulls|raven ravens|pigeon pigeons|lynx lynxes|weasel weasels|"
    "hedgehog hedgehogs|mole moles";
static const char ROLES[] =
    "baker bakers|farmer farmers|miller millers|weaver weavers|potter potters|"
    "tailor tailors|smith smiths|carpenter carpenters|mason masons|sailor sailors|"
    "fisherman fishermen|shepherd shepherds|hunter hunters|gardener gardeners|"
    "painter painters|singer singers|dancer dancers|teacher teachers|doctor doctors|"
    "nurse nurses|judge judges|clerk clerks|merchant merchants|innkeeper innkeepers|"
    "cook cooks|butcher butchers|brewer brewers|printer printers|scholar scholars|"
    "pilot pilots|guard guards|soldier soldiers|captain captains|king kings|queen queens|"
    "prince princes|princess princesses|duke dukes|knight knights|wizard wizards|"
    "witch witches|beggar beggars|thief thieves|pirate pirates|stranger strangers|"
    "traveller travellers|widow widows|orphan orphans|pupil pupils|neighbour neighbours|"
    "cobbler cobblers|barber barbers|watchman watchmen|messenger messengers|"
    "porter porters|ranger rangers|inventor inventors|astronomer astronomers|"
    "librarian librarians|musician musicians";
static const char THINGS[] =
    "lamp lamps|key keys|map maps|ring rings|rope ropes|basket baskets|bucket buckets|"
    "kettle kettles|spoon spoons|knife knives|hammer hammers|nail nails|ladder ladders|"
    "wheel wheels|cart carts|boat boats|sail sails|anchor anchors|lantern lanterns|"
    "candle candles|mirror mirrors|drum drums|flute flutes|bell bells|clock clocks|"
    "compass compasses|letter letters|book books|pen pens|brush brushes|blanket blankets|"
    "pillow pillows|coat coats|hat hats|boot boots|glove gloves|scarf scarves|belt belts|"
    "button buttons|needle needles|thread threads|coin coins|purse purses|box boxes|"
    "chest chests|barrel barrels|bottle bottles|jar jars|cup cups|plate plates|"
    "bowl bowls|pot pots|oven ovens|broom brooms|shovel shovels|rake rakes|axe axes|"
    "saw saws|plough ploughs|fence fences|gate gates|door doors|window windows|"
    "chair chairs|bench benches|table tables|bed beds|cradle cradles|kite kites|"
    "ball balls|doll dolls|puppet puppets|mask masks|crown crowns|sword swords|"
    "shield shields|helmet helmets|arrow arrows|bow bows|spear spears|flag flags|"
    "banner banners|tent tents|sledge sledges|saddle saddles|whistle whistles|"
    "feather feathers|shell shells|stone stones|pearl pearls|jewel jewels|"
    "crystal crystals|magnet magnets|lens lenses|telescope telescopes|engine engines|"
    "pump pumps|pulley pulleys|lever levers|spring springs|chain chains|hook hooks|"
    "net nets|trap traps|cage cages|wagon wagons|carriage carriages|raft rafts|oar oars|"
    "bridge bridges|tower towers|statue statues|fountain fountains|carpet carpets|"
    "curtain curtains|shelf shelves|trunk trunks|violin violins";
static const char FOODS[] =
    "apple apples|pear pears|plum plums|cherry cherries|peach peaches|fig figs|"
    "grape grapes|melon melons|berry berries|nut nuts|almond almonds|walnut walnuts|"
    "carrot carrots|onion onions|turnip turnips|potato potatoes|tomato tomatoes|"
    "cabbage cabbages|bean beans|pumpkin pumpkins|radish radishes|mushroom mushrooms|"
    "egg eggs|cake cakes|pie pies|pudding puddings|biscuit biscuits|bun buns|"
    "pancake pancakes|sausage sausages|pickle pickles|dumpling dumplings|lemon lemons|"
    "orange oranges|date dates|olive olives|apricot apricots|chestnut chestnuts|"
    "lentil lentils|sweet sweets";
static const char PLACES[] =
    "river|lake|pond|stream|forest|wood|meadow|field|valley|hill|mountain|cliff|cave|"
    "beach|island|harbour|marsh|desert|garden|orchard|village|market|square|castle|"
    "palace|temple|mill|farm|barn|stable|inn|bakery|school|library|workshop|station|"
    "cellar|attic|kitchen|courtyard|street|road|crossroads|well|quarry|mine|lighthouse|"
    "shore|waterfall|glacier|canyon|prairie|swamp|heath|moor";
static const char MATERIALS[] =
    "iron|copper|silver|gold|tin|lead|wood|clay|glass|wool|cotton|silk|leather|paper|wax|"
    "salt|chalk|marble|granite|sand|coal|amber|ivory|bronze|steel|brass|rubber|linen|"
    "straw|slate";
static const char QUALITIES[] =
    "old|new|small|large|long|short|heavy|light|round|flat|smooth|rough|sharp|blunt|"
    "bright|dark|dusty|shiny|broken|empty|full|hollow|narrow|wide|thick|thin|hard|soft|"
    "warm|cold|dry|wet|clean|dirty|cheap|costly|rare|common|plain|strange|secret|hidden|"
    "wooden|ancient|tiny|huge|crooked|straight|fragile|sturdy|rusty|painted|carved|"
    "golden|ordinary|curious|precious|useless|useful|magic|perfect";
static const char MOODS[] =
    "happy|sad|angry|tired|brave|shy|proud|clever|foolish|kind|cruel|gentle|patient|"
    "lonely|hungry|thirsty|sleepy|nervous|calm|cheerful|gloomy|jealous|generous|greedy|"
    "honest|lazy|busy|careful|careless|polite|rude|quiet|noisy|hopeful|grateful|worried|"
    "surprised|frightened|excited|bored|wise|stubborn|modest|loyal|restless";
static const char COLOURS[] =
    "red|blue|green|yellow|white|black|brown|grey|purple|pink|scarlet|crimson|turquoise|"
    "violet";
static const char TVERBS[] =
    "find finds found finding|carry carries carried carrying|hide hides hid hiding|"
    "break breaks broke breaking|mend mends mended mending|sell sells sold selling|"
    "buy buys bought buying|steal steals stole stealing|paint paints painted painting|"
    "wash washes washed washing|clean cleans cleaned cleaning|lift lifts lifted lifting|"
    "drop drops dropped dropping|push pushes pushed pushing|pull pulls pulled pulling|"
    "throw throws threw throwing|catch catches caught catching|hold holds held holding|"
    "keep keeps kept keeping|lose loses lost losing|bring brings brought bringing|"
    "choose chooses chose choosing|polish polishes polished polishing|"
    "count counts counted counting|measure measures measured measuring|"
    "weigh weighs weighed weighing|draw draws drew drawing|"
    "describe describes described describing|remember remembers remembered remembering|"
    "forget forgets forgot forgetting|borrow borrows borrowed borrowing|"
    "lend lends lent lending|repair repairs repaired repairing|"
    "build builds built building|carve carves carved carving|"
    "decorate decorates decorated decorating|destroy destroys destroyed destroying|"
    "open opens opened opening|close closes closed closing|fill fills filled filling|"
    "empty empties emptied emptying|cover covers covered covering|"
    "move moves moved moving|turn turns turned turning|touch touches touched touching|"
    "watch watches watched watching|examine examines examined examining|"
    "guard guards guarded guarding|follow follows followed following|"
    "admire admires admired admiring|wrap wraps wrapped wrapping|"
    "bury buries buried burying|collect collects collected collecting|"
    "deliver delivers delivered delivering";
static const char IVERBS[] =
    "sing sings sang singing|dance dances danced dancing|sleep sleeps slept sleeping|"
    "run runs ran running|swim swims swam swimming|jump jumps jumped jumping|"
    "walk walks walked walking|laugh laughs laughed laughing|cry cries cried crying|"
    "whisper whispers whispered whispering|shout shouts shouted shouting|"
    "sit sits sat sitting|stand stands stood standing|wait waits waited waiting|"
    "wake wakes woke waking|weep weeps wept weeping|ride rides rode riding|"
    "fall falls fell falling|climb climbs climbed climbing|crawl crawls crawled crawling|"
    "creep creeps crept creeping|wander wanders wandered wandering|"
    "travel travels travelled travelling|rest rests rested resting|"
    "dream dreams dreamed dreaming|smile smiles smiled smiling|nod nods nodded nodding|"
    "tremble trembles trembled trembling|shiver shivers shivered shivering|"
    "kneel kneels knelt kneeling|hurry hurries hurried hurrying|"
    "listen listens listened listening|work works worked working|"
    "play plays played playing|pray prays prayed praying|march marches marched marching|"
    "sail sails sailed sailing|fly flies flew flying|hop hops hopped hopping|"
    "whistle whistles whistled whistling|yawn yawns yawned yawning|"
    "sneeze sneezes sneezed sneezing|stumble stumbles stumbled stumbling";
static const char ADVERBS[] =
    "quickly|slowly|quietly|loudly|gently|carefully|suddenly|happily|sadly|angrily|"
    "bravely|proudly|secretly|softly|silently|politely|eagerly|nervously|calmly|"
    "patiently|kindly|gladly|boldly|wearily|cheerfully|firmly|warmly|coldly|sternly|"
    "merrily|anxiously|honestly";
static const char NAMES[] =
    "Anna|Clara|Emma|Ida|Lena|Mara|Nora|Olga|Petra|Rosa|Sara|Tilda|Vera|Willa|Zora|Agnes|"
    "Bella|Celia|Daphne|Elsa|Flora|Greta|Hilda|Irene|Judith|Karin|Lucia|Martha|Nadia|"
    "Ottilie|Paula|Ruth|Sofia|Thea|Ursula|Viola|Yvonne|Adela|Beatrix|Cora|"
    "Adam|Bruno|Carl|David|Emil|Felix|Georg|Hugo|Ivan|Jacob|Karl|Leo|Max|Nils|Oscar|Paul|"
    "Quentin|Robert|Simon|Theo|Ulrich|Victor|Walter|Xaver|Yorick|Anton|Boris|Conrad|"
    "Dietrich|Edmund|Franz|Gustav|Henrik|Igor|Julius|Konrad|Ludwig|Martin|Norbert|Otto";
static const char TOWNS[] =
    "Ardenfel|Brackwater|Caldmoor|Dunwick|Elmsworth|Farhaven|Greyford|Holloway|Ilverton|"
    "Juniper|Kestrel|Larkspur|Marlow|Northgate|Oakham|Pinewood|Quarrybank|Ravensburg|"
    "Stonebridge|Thornhill|Underhill|Valebrook|Westmarch|Yarrow|Zelmark|Ashdown|"
    "Birchfield|Cranmere|Drayton|Eastleigh|Foxley|Glenrock|Hartwell|Ironbridge|Kingsport|"
    "Longmead|Millbrook|Newcastle|Oldcastle|Redcliff|Saltmarsh|Tidewater|Whitby|Wolfsberg";
static const char SUBJECTS[] =
    "history|music|mathematics|geography|astronomy|medicine|farming|cooking|painting|"
    "poetry|geometry|grammar|chemistry|navigation|architecture|botany|philosophy|law|"
    "trade|weaving";
static const char VIRTUES[] =
    "courage|patience|wisdom|honesty|friendship|kindness|hope|justice|freedom|peace|luck|"
    "memory|truth|trust|love|duty|fame|power|silence|beauty";
static const char WEATHERS[] = "sunny|cloudy|rainy|windy|foggy|snowy|stormy|misty|frosty|mild";
static const char PARTS[] =
    "head heads|tail tails|wing wings|paw paws|ear ears|eye eyes|nose noses|beak beaks|"
    "neck necks|leg legs|back backs|shoulder shoulders|claw claws|horn horns|fin fins|"
    "tooth teeth|whisker whiskers";
static const char SEASONS[] = "spring|summer|autumn|winter";
static const char REGIONS[] = "Norland|Sudmark|Estwold|Westreach|Highmoor|Lowfen|Midvale|Farcoast";
static const char SPICES[] =
    "honey|butter|milk|cream|sugar|flour|oil|vinegar|pepper|mustard|ginger|cinnamon|"
    "parsley|garlic|mint|thyme";
static const char CROWDS[] =
    "children|women|men|people|students|workers|villagers|guests|elders|cousins";
static const char SHE[] = "she|he";
static const char HER_OBJECT[] = "her|him";
static const char HER[] = "her|his";
static const char DAYS[] = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday";

const char *const BN_SYNTH_LISTS[BN_LIST_COUNT] = {
    [BN_LIST_BEASTS] = BEASTS,
    [BN_LIST_ROLES] = ROLES,
    [BN_LIST_THINGS] = THINGS,
    [BN_LIST_FOODS] = FOODS,
    [BN_LIST_PLACES] = PLACES,
    [BN_LIST_MATERIALS] = MATERIALS,
    [BN_LIST_QUALITIES] = QUALITIES,
    [BN_LIST_MOODS] = MOODS,
    [BN_LIST_COLOURS] = COLOURS,
    [BN_LIST_TVERBS] = TVERBS,
    [BN_LIST_IVERBS] = IVERBS,
    [BN_LIST_ADVERBS] = ADVERBS,
    [BN_LIST_NAMES] = NAMES,
    [BN_LIST_TOWNS] = TOWNS,
    [BN_LIST_SUBJECTS] = SUBJECTS,
    [BN_LIST_VIRTUES] = VIRTUES,
    [BN_LIST_WEATHERS] = WEATHERS,
    [BN_LIST_PARTS] = PARTS,
    [BN_LIST_SEASONS] = SEASONS,
    [BN_LIST_REGIONS] = REGIONS,
    [BN_LIST_SPICES] = SPICES,
    [BN_LIST_CROWDS] = CROWDS,
    [BN_LIST_SHE] = SHE,
    [BN_LIST_HER_OBJECT] = HER_OBJECT,
    [BN_LIST_HER] = HER,
    [BN_LIST_DAYS] = DAYS,
};
