// A choice of things that people ask for first: few enough to be learned well in an hour.

/** Labels of Emojibase. */
export const common = new Set(
  `grinning face; face with tears of joy; winking face; smiling face with heart-eyes; smiling face with sunglasses;
  thinking face; sleeping face; crying face; angry face; partying face; cowboy hat face; skull; pile of poo; clown face;
  ghost; alien; alien monster; robot; red heart; orange heart; yellow heart; green heart; blue heart; purple heart;
  black heart; broken heart; sparkling heart; collision; thought balloon; waving hand; OK hand; victory hand; thumbs up;
  thumbs down; clapping hands; folded hands; flexed biceps; brain; eyes; tooth; bone; baby; Santa Claus;
  monkey face; dog face; wolf; fox; cat face; lion; tiger face; tiger; horse face; unicorn; zebra; deer; cow face; pig face;
  pig; ram; camel; giraffe; elephant; rhinoceros; hippopotamus; mouse face; mouse; hamster; rabbit face; rabbit; hedgehog;
  bat; bear; koala; panda; sloth; kangaroo; rooster; chicken; hatching chick; bird; penguin; dove; eagle; duck; swan; owl;
  flamingo; parrot; frog; crocodile; turtle; lizard; snake; dragon; T-Rex; spouting whale; whale; dolphin; seal; fish;
  tropical fish; shark; octopus; crab; lobster; shrimp; snail; butterfly; ant; honeybee; lady beetle; spider; scorpion;
  rose; hibiscus; sunflower; tulip; cherry blossom; evergreen tree; deciduous tree; palm tree; cactus; four leaf clover;
  maple leaf; mushroom; grapes; watermelon; tangerine; lemon; banana; pineapple; red apple; green apple; pear; peach;
  cherries; strawberry; kiwi fruit; tomato; coconut; avocado; eggplant; potato; carrot; ear of corn; hot pepper; cucumber;
  broccoli; bread; croissant; pretzel; pancakes; cheese wedge; hamburger; french fries; pizza; hot dog; sandwich; taco;
  burrito; egg; cooking; popcorn; sushi; fried shrimp; ice cream; doughnut; cookie; birthday cake; shortcake; cupcake;
  chocolate bar; candy; lollipop; honey pot; glass of milk; hot beverage; teapot; wine glass; cocktail glass; beer mug;
  globe showing Europe-Africa; volcano; house; castle; tent; locomotive; bus; police car; taxi; automobile; delivery truck;
  tractor; bicycle; sailboat; speedboat; ship; airplane; helicopter; rocket; flying saucer; alarm clock; full moon;
  crescent moon; sun; star; cloud; rainbow; umbrella; umbrella with rain drops; high voltage; snowflake; snowman; fire;
  droplet; water wave; jack-o-lantern; Christmas tree; balloon; wrapped gift; trophy; soccer ball; baseball; basketball;
  tennis; bowling; video game; game die; teddy bear; crown; top hat; ring; gem stone; bell; guitar; violin; drum;
  telephone; television; camera; light bulb; candle; books; money bag; envelope; pencil; scissors; key; hammer; magnet;
  microscope; telescope; bed; toilet; moai; glasses; t-shirt; high-heeled shoe; backpack`
    .split(';')
    .map((label) => label.trim().replace(/\s+/g, ' ')),
);
